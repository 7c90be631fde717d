"""The interfaces of WASI that are written in Python, without a component."""

import threading
import time
import unittest

from wasmtime.component import Variant

from wasi_host.exchange import Exchange, ResponseBody
from wasi_host.http_fields import Fields
from wasi_host.wasi_cli import MAX_LINE_BYTES, Lines
from wasi_host.wasi_clocks import MonotonicClock
from wasi_host.wasi_http import OutgoingRequest, OutgoingResponse, ResponseOutparam, Types
from wasi_host.wasi_io import CHUNK_BYTES, DeadlinePassed, Events, InputStream, OutputStream, Poll, Pollable
from wasi_host.wit import Refused

from .components import Answer, request


class Waiting(unittest.TestCase):
    def setUp(self) -> None:
        self.events = Events()
        self.events.deadline = time.monotonic() + 10
        self.clock = MonotonicClock(self.events)
        self.poll = Poll(self.events).poll

    def test_what_is_ready_is_told_by_its_place(self) -> None:
        later, now = self.clock.subscribe_duration(5_000_000_000), self.clock.subscribe_duration(0)
        self.assertEqual(self.poll([later, now, now]), [1, 2])

    def test_time_is_waited_for(self) -> None:
        start = time.monotonic()
        self.clock.subscribe_duration(20_000_000).block()
        self.assertGreaterEqual(time.monotonic() - start, 0.02)
        self.clock.subscribe_instant(self.clock.now()).block()

    def test_another_thread_wakes_it(self) -> None:
        done = threading.Event()

        def change() -> None:
            with self.events.changed:
                done.set()
                self.events.changed.notify_all()

        threading.Timer(0.02, change).start()
        self.assertEqual(self.poll([Pollable(self.events, done.is_set)]), [0])

    def test_nothing_is_waited_for_longer_than_the_request_may_take(self) -> None:
        self.events.deadline = time.monotonic() + 0.02
        with self.assertRaises(DeadlinePassed):
            self.poll([Pollable(self.events)])

    def test_to_wait_for_nothing_is_a_mistake(self) -> None:
        with self.assertRaises(ValueError):
            self.poll([])


class Streams(unittest.TestCase):
    def test_what_is_written_arrives(self) -> None:
        parts: list[bytes] = []
        stream = OutputStream(Events(), parts.append)
        stream.write(b"a" * stream.check_write())
        stream.blocking_write_and_flush(b"b")
        stream.write_zeroes(1)
        self.assertEqual(b"".join(parts), b"a" * CHUNK_BYTES + b"b\0")

    def test_more_than_is_permitted_is_a_mistake(self) -> None:
        stream = OutputStream(Events(), lambda contents: None)
        for write, length in [(stream.write, CHUNK_BYTES + 1), (stream.blocking_write_and_flush, 4097)]:
            with self.assertRaises(ValueError):
                write(bytes(length))

    def test_a_stream_that_nobody_reads_is_closed(self) -> None:
        def refuse(contents: bytes) -> None:
            raise BrokenPipeError

        stream = OutputStream(Events(), refuse)
        for use in (lambda: stream.write(b"a"), stream.check_write, stream.blocking_flush):
            with self.assertRaises(Refused) as raised:
                use()
            self.assertEqual(raised.exception.payload, Variant("closed"))
        self.assertTrue(stream.subscribe().ready())

    def test_an_empty_stream_is_at_its_end(self) -> None:
        with self.assertRaises(Refused) as raised:
            InputStream(Events()).read(1)
        self.assertEqual(raised.exception.payload, Variant("closed"))

    def test_lines_of_the_log_are_bounded(self) -> None:
        lines: list[str] = []
        log = Lines(lines.append)
        for part in [b"a", b"b\nc\n", b"\xff\n", b"x" * (2 * MAX_LINE_BYTES + 1), b"\n"]:
            log.write(part)
        self.assertEqual(lines, ["ab", "c", "\ufffd", "x" * MAX_LINE_BYTES, "x" * MAX_LINE_BYTES, "x"])


class Http(unittest.TestCase):
    def test_names_of_headers_have_no_case(self) -> None:
        fields = Fields()
        fields.append("Accept", b"a")
        fields.append("accept", b"b")
        self.assertEqual((fields.get("ACCEPT"), fields.has("x")), ([b"a", b"b"], False))
        fields.set("ACCEPT", [b"c"])
        self.assertEqual(fields.entries(), [("ACCEPT", b"c")])
        fields.delete("accept")
        self.assertFalse(fields.has("ACCEPT"))

    def test_headers_that_would_break_an_answer_are_refused(self) -> None:
        for name, value, case in [
            ("a b", b"", "invalid-syntax"),
            ("", b"", "invalid-syntax"),
            ("a", b"x\r\nb: c", "invalid-syntax"),
            ("a", b"\0", "invalid-syntax"),
            ("Transfer-Encoding", b"chunked", "forbidden"),
            ("connection", b"close", "forbidden"),
        ]:
            with self.subTest(name=name, value=value), self.assertRaises(Refused) as raised:
                Fields().append(name, value)
            self.assertEqual(raised.exception.payload, Variant(case))

    def test_headers_of_a_request_cannot_be_changed(self) -> None:
        with self.assertRaises(Refused) as raised:
            Fields([("a", b"b")], is_mutable=False).append("c", b"d")
        self.assertEqual(raised.exception.payload, Variant("immutable"))

    def test_parts_of_a_url_are_checked(self) -> None:
        outgoing = OutgoingRequest(Events(), Fields())
        for set_part, wrong in [
            (outgoing.set_authority, "user@host"),
            (outgoing.set_authority, "a b"),
            (outgoing.set_path_with_query, "no slash"),
            (outgoing.set_path_with_query, "/a\r\nb"),
            (outgoing.set_method, Variant("other", "a b")),
        ]:
            with self.subTest(wrong), self.assertRaises(Refused):
                set_part(wrong)  # type: ignore[arg-type]

    def exchange(self, method: str = "GET") -> tuple[Answer, Exchange, OutgoingResponse, Types]:
        answer = Answer()

        def start(status: int, headers: list[tuple[str, bytes]]):  # type: ignore[no-untyped-def]
            answer.status = status

            def write(part: bytes) -> None:
                answer.body += part

            return write

        types = Types(Events(), ResponseBody)
        fields = types.fields_from_list([("content-length", b"3")])
        exchange = Exchange(Events(), request(method, "/"), start)
        return answer, exchange, types.new_outgoing_response(fields), types

    def answer(self, exchange: Exchange, response: OutgoingResponse, types: Types) -> None:
        types.response_outparam_set(exchange.outparam, Variant("ok", response))

    def test_what_is_written_before_the_head_follows_it(self) -> None:
        answer, exchange, response, types = self.exchange()
        body = response.body()
        stream = body.write()
        stream.write(b"abc")
        self.assertEqual(answer, Answer())
        self.answer(exchange, response, types)
        types.outgoing_body_finish(body, None)
        self.assertEqual((answer.status, answer.body, exchange.is_finished), (200, b"abc", True))

    def test_before_the_head_not_more_is_taken_than_is_kept(self) -> None:
        _, _, response, _ = self.exchange()
        response.body()
        other = Types(Events(), ResponseBody).new_outgoing_response(Fields())
        stream = other.body().write()
        stream.write(bytes(CHUNK_BYTES))
        self.assertEqual((stream.check_write(), stream.subscribe().ready()), (0, False))

    def test_a_body_that_is_not_finished_has_broken_off(self) -> None:
        _, exchange, response, types = self.exchange()
        response.body()
        self.answer(exchange, response, types)
        self.assertFalse(exchange.is_finished)

    def test_a_body_of_another_length_than_announced_is_refused(self) -> None:
        _, exchange, response, types = self.exchange()
        body = response.body()
        body.write().write(b"ab")
        self.answer(exchange, response, types)
        with self.assertRaises(Refused) as raised:
            types.outgoing_body_finish(body, None)
        self.assertEqual(raised.exception.payload, Variant("HTTP-response-body-size", 2))
        self.assertFalse(exchange.is_finished)

    def test_a_body_longer_than_announced_is_cut_before_it_is_sent(self) -> None:
        answer, exchange, response, types = self.exchange()
        stream = response.body().write()
        self.answer(exchange, response, types)
        with self.assertRaises(Refused):
            stream.write(b"abcd")
        self.assertEqual(answer.body, b"")

    def test_an_answer_to_head_has_no_content(self) -> None:
        answer, exchange, response, types = self.exchange("HEAD")
        stream = response.body().write()
        stream.write(b"abc")
        self.answer(exchange, response, types)
        with self.assertRaises(Refused):
            stream.write(b"")
        self.assertEqual((answer.status, answer.body, exchange.is_finished), (200, b"", True))

    def test_a_body_is_taken_once(self) -> None:
        _, exchange, response, _ = self.exchange()
        body, content = response.body(), exchange.incoming.consume()
        body.write()
        content.stream()
        for take in (response.body, body.write, exchange.incoming.consume, content.stream):
            with self.assertRaises(Refused):
                take()

    def test_an_error_may_be_the_answer(self) -> None:
        outcomes: list[Variant] = []
        error = Variant("err", Variant("internal-error", None))
        Types(Events(), ResponseBody).response_outparam_set(ResponseOutparam(outcomes.append), error)
        self.assertEqual(outcomes, [error])
