"""Requests of the component to other servers."""

import re
import socket
import threading
import time
import unittest
from collections.abc import Callable

from wasmtime.component import Variant

from wasi_host import outgoing
from wasi_host.http_fields import Fields
from wasi_host.outgoing import MAX_REQUESTS, OutgoingHandler, nowhere
from wasi_host.pool import Pool
from wasi_host.wasi_http import FutureIncomingResponse, IncomingResponse, OutgoingRequest
from wasi_host.wasi_io import Events, InputStream
from wasi_host.wit import Refused

from .components import birthday, request, send


class Server:
    """Gives `answer` to each request, and keeps what it was sent. Without an answer it stays silent."""

    def __init__(self, answer: bytes | None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.authority = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.closed = threading.Event()
        threading.Thread(target=self._serve, args=(answer,), daemon=True).start()

    def _serve(self, answer: bytes | None) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(_received(connection))
                if answer is None:
                    connection.recv(1)
                    self.closed.set()
                else:
                    connection.sendall(answer)

    def close(self) -> None:
        self.listener.close()


def _received(connection: socket.socket) -> bytes:
    """A request with its body."""
    received = b""
    while True:
        received += connection.recv(65536) or b"\r\n\r\n"
        if not received.startswith((b"GET", b"POST")):
            return received
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and len(body) >= int(length.group(1) if length else 0):
            return received


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Y: z\r\n\r\nabc"


def anywhere(scheme: str, host: str, port: int) -> bool:
    return True


class Outgoing(unittest.TestCase):
    def setUp(self) -> None:
        self.events = Events()
        self.events.deadline = time.monotonic() + 20

    def server(self, answer: bytes | None) -> Server:
        server = Server(answer)
        self.addCleanup(server.close)
        return server

    def request(self, authority: str, scheme: str = "HTTP") -> OutgoingRequest:
        sent = OutgoingRequest(self.events, Fields([("accept", b"text/plain")]))
        sent.set_authority(authority)
        sent.set_scheme(Variant(scheme))
        return sent

    def send(self, sent: OutgoingRequest, allow: Callable[[str, str, int], bool] = anywhere) -> FutureIncomingResponse:
        return OutgoingHandler(self.events, allow).handle(sent, None)

    def outcome(self, sent: OutgoingRequest) -> Variant:
        future = self.send(sent)
        future.subscribe().block()
        taken = future.get()
        assert taken and taken.tag == "ok"
        self.assertEqual(future.get(), Variant("err"))
        return taken.payload

    def read_all(self, stream: InputStream) -> tuple[bytes, str]:
        """The content, and how it ended."""
        content = b""
        while True:
            try:
                content += stream.blocking_read(2)
            except Refused as end:
                return content, end.payload.tag

    def test_an_answer_arrives(self) -> None:
        server = self.server(OK)
        response: IncomingResponse = self.outcome(self.request(server.authority)).payload
        self.assertEqual((response.status(), response.headers().get("x-y")), (200, [b"z"]))
        self.assertEqual(self.read_all(response.consume().stream()), (b"abc", "closed"))
        head = server.requests[0].decode().lower()
        self.assertTrue(head.startswith("get / http/1.1\r\n"))
        self.assertIn(f"host: {server.authority}\r\n", head)
        self.assertNotIn("accept-encoding", head)

    def test_a_body_is_sent_when_it_is_complete(self) -> None:
        server = self.server(OK)
        sent = self.request(server.authority)
        sent.set_method(Variant("post"))
        body = sent.body()
        future = self.send(sent)
        body.write().write(b"hello")
        self.assertIsNone(future.get())
        body.finish()
        future.subscribe().block()
        self.assertTrue(server.requests[0].endswith(b"\r\n\r\nhello"))
        self.assertIn(b"content-length: 5", server.requests[0])

    def test_an_answer_that_breaks_off_is_told(self) -> None:
        for answer in [
            OK.replace(b"3", b"30"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ]:
            response: IncomingResponse = self.outcome(self.request(self.server(answer).authority)).payload
            content, end = self.read_all(response.consume().stream())
            self.assertEqual((content[:3], end), (b"abc"[: len(content)], "last-operation-failed"))

    def test_what_went_wrong_is_told_by_a_code(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            nobody = f"127.0.0.1:{closed.getsockname()[1]}"
        for authority, scheme, case in [
            (nobody, "HTTP", "connection-refused"),
            (self.server(b"").authority, "HTTP", "connection-terminated"),
            (self.server(b"no HTTP\r\n\r\n").authority, "HTTP", "HTTP-protocol-error"),
            (self.server(OK).authority, "HTTPS", "TLS-protocol-error"),
            ("name.invalid", "HTTP", "DNS-error"),
        ]:
            with self.subTest(case):
                outcome = self.outcome(self.request(authority, scheme))
                self.assertEqual((outcome.tag, outcome.payload.tag), ("err", case))

    def test_what_is_not_allowed_is_refused(self) -> None:
        for authority, allow, case in [
            ("127.0.0.1:1", nowhere, "HTTP-request-denied"),
            ("127.0.0.1:x", anywhere, "HTTP-request-URI-invalid"),
            (":80", anywhere, "HTTP-request-URI-invalid"),
        ]:
            with self.subTest(authority), self.assertRaises(Refused) as raised:
                self.send(self.request(authority), allow)
            self.assertEqual(raised.exception.payload.tag, case)

    def test_an_answer_that_nobody_wants_is_given_up(self) -> None:
        server = self.server(None)
        future = self.send(self.request(server.authority))
        while not server.requests:
            time.sleep(0.01)
        future.dropped()
        self.assertTrue(server.closed.wait(5))

    def test_requests_at_a_time_are_bounded(self) -> None:
        silent = self.server(None)
        futures = [self.send(self.request(silent.authority)) for _ in range(MAX_REQUESTS)]
        with self.assertRaises(Refused) as raised:
            self.send(self.request(silent.authority))
        self.assertEqual(raised.exception.payload.tag, "connection-limit-reached")
        for future in futures:
            future.dropped()
        slots = [outgoing._slots.acquire(timeout=15) for _ in range(MAX_REQUESTS)]
        for _ in slots:
            outgoing._slots.release()
        self.assertEqual(slots, [True] * MAX_REQUESTS)


class Populate(unittest.TestCase):
    """The birthday component fetches people from another server."""

    def populate(self, server: Server, allow: Callable[[str, str, int], bool]) -> tuple[int, bytes]:
        variables = {"api_token": "token", "populate_url": f"http://{server.authority}/people"}
        pool = Pool(birthday(variables=variables, allow=allow))
        answer = send(pool, request("POST", "/populate", headers=[("authorization", b"Bearer token")]))
        return answer.status, answer.body

    def test_people_are_fetched(self) -> None:
        people = b'[{"username":"bob","dateOfBirth":"2000-10-01"}]'
        server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(people), people))
        self.addCleanup(server.close)
        self.assertEqual(self.populate(server, anywhere), (200, b'{"stored":1,"skipped":0}'))

    def test_nobody_is_fetched_from_where_it_is_not_allowed(self) -> None:
        server = Server(OK)
        self.addCleanup(server.close)
        self.assertEqual(self.populate(server, nowhere)[0], 502)
        self.assertEqual(server.requests, [])
