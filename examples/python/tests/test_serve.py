"""The server as a process."""

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

SERVE = Path(__file__).parents[1] / "serve.py"
BORN = b'{"dateOfBirth":"2000-10-01"}'


class Server:
    """`serve.py` on a free port."""

    def __init__(self, *options: str, **variables: str):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SPIN_VARIABLE_")}
        self.process = subprocess.Popen(
            [sys.executable, SERVE, "--listen", "127.0.0.1:0", *options],
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.line = self.process.stdout.readline()
        found = re.fullmatch(r"http://(127\.0\.0\.1:\d+)\n", self.line)
        self.authority = found.group(1) if found else ""

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.authority, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


class Serving(unittest.TestCase):
    def test_it_says_where_it_listens_and_ends_on_sigterm(self) -> None:
        server = Server()
        try:
            self.assertEqual(server.send("PUT", "/hello/bob", BORN), (204, b""))
            self.assertEqual(server.send("GET", "/hello/a%2Fb")[0], 400)
        finally:
            ended = server.end()
        self.assertEqual(ended, (0, ""))

    def test_people_in_a_file_survive_kill_9(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = str(Path(folder) / "people.db")
            server = Server("--store", store)
            try:
                self.assertEqual(server.send("PUT", "/hello/bob", BORN)[0], 204)
            finally:
                server.end(signal.SIGKILL)
            server = Server("--store", store)
            try:
                self.assertEqual(server.send("GET", "/hello/bob")[0], 200)
            finally:
                server.end()

    def test_variables_are_those_of_the_environment(self) -> None:
        server = Server(SPIN_VARIABLE_API_TOKEN="s3cret", SPIN_VARIABLE_TIMEZONE="")
        try:
            self.assertEqual(server.send("GET", "/hello/bob")[0], 401)
            self.assertEqual(server.send("GET", "/hello/bob", authorization="Bearer s3cret")[0], 404)
        finally:
            _, errors = server.end()
        self.assertEqual(errors, "")

    def test_without_postgres_a_database_is_out_of_reach(self) -> None:
        server = Server(SPIN_VARIABLE_DATABASE_URL="postgres://bob:pa55word@db/people")
        try:
            self.assertEqual(server.send("GET", "/health")[0], 503)
        finally:
            _, errors = server.end()
        self.assertIn("this host has no Postgres", errors)
        self.assertNotIn("pa55word", errors)

    def test_many_clients_are_served_at_a_time(self) -> None:
        server = Server()
        statuses: list[int] = []

        def work(letter: str) -> None:
            for number in range(10):
                name = letter * (number + 1)
                statuses.append(server.send("PUT", f"/hello/{name}", BORN)[0])
                status, body = server.send("GET", f"/hello/{name}")
                statuses.append(status if f"Hello, {name}!".encode() in body else 0)

        try:
            threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcdefghijkl"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            ended = server.end()
        self.assertEqual(sorted(statuses), [200] * 120 + [204] * 120)
        self.assertEqual(ended, (0, ""))


class Refusing(unittest.TestCase):
    def test_what_cannot_be_served_is_said_before_it_listens(self) -> None:
        for options, reason in [
            (["--component", "/nothing.wasm"], "run `make components`"),
            (["--component", str(SERVE)], "component"),
            (["--store", "/nothing/people.db"], "unable to open database file"),
            (["--allow-outbound", "http://host:x"], "'http://host:x' is not of the form http://host:port"),
            (["--listen", "nowhere"], "an address is HOST:PORT"),
        ]:
            with self.subTest(options):
                server = Server(*options)
                _, errors = server.process.communicate(timeout=30)
                self.assertEqual(server.line, "")
                self.assertNotEqual(server.process.returncode, 0)
                self.assertIn(reason, errors)
                self.assertNotIn("Traceback", errors)
