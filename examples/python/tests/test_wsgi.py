"""The WSGI application."""

import http.client
import io
import json
import logging
import threading
import unittest
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import waitress

from wasi_host.pool import Pool
from wasi_host.sqlite_store import SqliteStore
from wasi_host.wsgi import ComponentApp, Truncated, _path_with_query

from .components import Answer, birthday, handler

BORN = b'{"dateOfBirth":"2000-10-01"}'


def call(app: Any, method: str, path: str, body: bytes = b"", **more: str) -> Answer:
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    setup_testing_defaults(environ)
    environ.update({"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", "REQUEST_METHOD": method} | more)
    answer = Answer()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        answer.status = int(status[:3])
        answer.headers = {name: value.encode() for name, value in headers}

        def write(part: bytes) -> None:
            answer.body += part

        return write

    parts = app(environ, start_response)
    for part in parts:
        answer.body += part
    if hasattr(parts, "close"):
        parts.close()
    return answer


class Paths(unittest.TestCase):
    def test_the_component_gets_the_path_as_it_was_sent(self) -> None:
        for environ, path in [
            ({"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2Fb?x=%2f"}, "/a%2Fb?x=%2f"),
            ({"PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb"}, "/a%2Fb"),
            # Mounted below a path.
            ({"SCRIPT_NAME": "/m", "PATH_INFO": "/a/b", "REQUEST_URI": "/m/a%2Fb?x"}, "/a%2Fb?x"),
            ({"SCRIPT_NAME": "/m", "PATH_INFO": "", "REQUEST_URI": "/m?x", "QUERY_STRING": "x"}, "/?x"),
            # A server that does not give it.
            ({"PATH_INFO": "/a b/\xc3\xbc%", "QUERY_STRING": "x=y"}, "/a%20b/%C3%BC%25?x=y"),
            ({"PATH_INFO": ""}, "/"),
            ({"PATH_INFO": "/a", "REQUEST_URI": "http://host/a"}, "/a"),
        ]:
            with self.subTest(environ):
                self.assertEqual(_path_with_query(environ), path)


class Application(unittest.TestCase):
    def test_it_keeps_the_rules_of_wsgi(self) -> None:
        app = validator(ComponentApp(Pool(birthday())))
        self.assertEqual(call(app, "PUT", "/hello/bob", BORN).status, 204)
        answer = call(app, "GET", "/hello/bob")
        self.assertTrue(json.loads(answer.body)["message"].startswith("Hello, bob! "))
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)).encode())

    def test_it_can_be_mounted_below_a_path(self) -> None:
        app = ComponentApp(Pool(birthday()))
        answer = call(app, "GET", "/a/b", SCRIPT_NAME="/birthdays/hello", REQUEST_URI="/birthdays/hello/a%2Fb")
        self.assertEqual(answer.status, 404)
        answer = call(app, "GET", "/hello/a/b", SCRIPT_NAME="/birthdays", REQUEST_URI="/birthdays/hello/a%2Fb")
        self.assertEqual(answer.status, 400)

    def test_headers_arrive(self) -> None:
        app = ComponentApp(Pool(birthday()))
        page = call(app, "GET", "/", HTTP_ACCEPT="text/html")
        self.assertEqual(page.headers["content-type"], b"text/html; charset=utf-8")
        refused = call(app, "PUT", "/hello/bob", BORN, HTTP_CONTENT_ENCODING="gzip")
        self.assertEqual(refused.status, 415)


class Failures(unittest.TestCase):
    def problem(self, app: ComponentApp, status: int, name: str) -> None:
        answer = call(app, "GET", "/hello/bob")
        document = json.loads(answer.body)
        self.assertEqual(answer.headers["content-type"], b"application/problem+json")
        self.assertEqual((answer.status, document["status"], document["type"]), (status, status, f"/problems/{name}"))

    def test_a_failure_is_a_problem_document_and_one_line_of_the_log(self) -> None:
        class Broken(SqliteStore):
            is_broken = True

            def get(self, key: str) -> bytes | None:
                if self.is_broken:
                    raise RuntimeError("line\n" * 1000 + "pa55word")
                return super().get(key)

        store = Broken(":memory:")
        app = ComponentApp(Pool(birthday(store)))
        with self.assertLogs("wasi_host.wsgi", logging.ERROR) as logs:
            self.problem(app, 500, "internal")
        self.assertEqual(len(logs.output), 1)
        self.assertLess(len(logs.output[0]), 600)
        self.assertNotIn("\n", logs.output[0])
        store.is_broken = False
        self.assertEqual(call(app, "GET", "/hello/bob").status, 404)

    def test_a_request_that_takes_too_long_is_given_up(self) -> None:
        with self.assertLogs("wasi_host.wsgi", logging.ERROR):
            self.problem(ComponentApp(Pool(handler("(loop $l br $l)", max_seconds=0.5))), 504, "timeout")

    def test_without_an_instance_it_is_overloaded(self) -> None:
        pool = Pool(birthday(), size=1, wait_seconds=0.01)
        app = ComponentApp(pool)
        with pool.instance():
            self.problem(app, 503, "overloaded")
            self.assertEqual(call(app, "GET", "/").headers["retry-after"], b"1")
        self.assertEqual(call(app, "GET", "/").status, 200)

    def failing_export(self) -> tuple["FailingOnce", ComponentApp]:
        letters = "abcdefghijklmnopqrstuvwxyz"
        names = [a + b + c for a in letters for b in letters for c in "ab"]
        store = FailingOnce(":memory:")
        store.set_many([(f"people/{name}", b"2000-10-01") for name in names])
        return store, ComponentApp(Pool(birthday(store, {"api_token": "t"})))

    def test_an_answer_that_breaks_off_is_not_completed(self) -> None:
        store, app = self.failing_export()
        with self.assertLogs("wasi_host.wsgi", logging.ERROR), self.assertRaises(Truncated):
            call(app, "GET", "/export", HTTP_AUTHORIZATION="Bearer t")
        answer = call(app, "GET", "/export", HTTP_AUTHORIZATION="Bearer t")
        self.assertEqual(answer.body.count(b"\n"), len(store.keys("", 10_000)))

    def test_a_client_sees_that_an_answer_has_broken_off(self) -> None:
        _, app = self.failing_export()
        server = waitress.create_server(app, host="127.0.0.1", port=0)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.effective_port, timeout=30)
        self.addCleanup(connection.close)
        with self.assertLogs(level=logging.ERROR):
            connection.request("GET", "/export", headers={"authorization": "Bearer t"})
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            with self.assertRaises(http.client.IncompleteRead):
                response.read()


class FailingOnce(SqliteStore):
    """The second page of the first export fails."""

    pages = 0

    def get_many(self, keys: list[str]) -> list[tuple[str, bytes | None]]:
        self.pages += 1
        if self.pages == 2:
            raise RuntimeError
        return super().get_many(keys)
