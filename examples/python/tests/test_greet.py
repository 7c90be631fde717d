"""The component greeting.wasm, and its command line."""

import contextlib
import io
import subprocess
import sys
import unittest
from datetime import date

import greet
from greet import Greeting, GreetingError

from .components import ROOT

TODAY = date(2026, 9, 26)


class Functions(unittest.TestCase):
    greeting = Greeting()

    def test_a_date_of_birth_is_read(self) -> None:
        for text, expected in [
            ("2000-10-01", date(2000, 10, 1)),
            ("0001-01-01", date(1, 1, 1)),
            ("2026-09-25", date(2026, 9, 25)),
        ]:
            self.assertEqual(self.greeting.parse(text, TODAY), expected)

    def test_what_is_no_date_of_birth_is_refused_by_the_case_of_the_enum(self) -> None:
        for text, case in [
            ("2001-02-29", "invalid-date"),
            ("2000-1-01", "invalid-date"),
            (" 2000-10-01", "invalid-date"),
            ("", "invalid-date"),
            ("２０００-１０-０１", "invalid-date"),
            ("2026-09-26", "date-not-past"),
            ("9999-12-31", "date-not-past"),
        ]:
            with self.subTest(text), self.assertRaises(GreetingError) as raised:
                self.greeting.parse(text, TODAY)
            self.assertEqual(raised.exception.case, case)

    def test_days_are_counted_to_the_next_birthday(self) -> None:
        for born, today, leap_day, expected in [
            (date(2000, 10, 1), date(2026, 10, 1), "mar-1", 0),
            (date(2000, 10, 1), date(2026, 9, 30), "mar-1", 1),
            (date(2000, 10, 1), date(2026, 10, 2), "mar-1", 364),
            (date(2000, 2, 29), date(2027, 2, 28), "mar-1", 1),
            (date(2000, 2, 29), date(2027, 2, 28), "feb-28", 0),
            (date(2000, 2, 29), date(2027, 3, 1), "feb-28", 365),
        ]:
            self.assertEqual(self.greeting.days_until(born, today, leap_day), expected)

    def test_days_to_the_birthday_of_somebody_who_is_not_born_are_refused(self) -> None:
        with self.assertRaises(GreetingError) as raised:
            self.greeting.days_until(TODAY, TODAY)
        self.assertEqual(raised.exception.case, "date-not-past")

    def test_the_message_names_the_user(self) -> None:
        self.assertEqual(self.greeting.message("Bob", 5), "Hello, Bob! Your birthday is in 5 day(s)")
        self.assertEqual(self.greeting.message("Bob", 0), "Hello, Bob! Happy birthday!")

    def test_what_is_no_username_is_refused(self) -> None:
        for username in ["", "b0b", "Müller", "x" * 65]:
            with self.subTest(username), self.assertRaises(GreetingError) as raised:
                self.greeting.message(username, 5)
            self.assertEqual(raised.exception.case, "invalid-username")

    def test_an_argument_of_another_type_is_refused_before_the_call(self) -> None:
        with self.assertRaises(TypeError):
            self.greeting.message("Bob", "5")  # type: ignore[arg-type]
        self.assertEqual(self.greeting.message("Bob", 0), "Hello, Bob! Happy birthday!")


class Readme(unittest.TestCase):
    def test_its_listing_prints_the_message(self) -> None:
        readme = (ROOT / "examples/python/README.md").read_text()
        listing = readme.split("```python\n")[1].split("```")[0]
        ran = subprocess.run([sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual((ran.stdout, ran.stderr), ("Hello, Bob! Your birthday is in 5 day(s)\n", ""))


class CommandLine(unittest.TestCase):
    def check(self, arguments: str, status: int, output: str, errors: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.assertEqual(greet.main(arguments.split()), status)
        self.assertEqual((out.getvalue(), err.getvalue()), (output, errors))

    def test_it_prints_the_message(self) -> None:
        self.check("Bob 2000-10-01 --today 2026-09-26", 0, "Hello, Bob! Your birthday is in 5 day(s)\n", "")
        self.check("Eve 2000-02-29 --today 2027-02-28 --leap-day feb-28", 0, "Hello, Eve! Happy birthday!\n", "")

    def test_it_says_what_is_wrong(self) -> None:
        for arguments, reason in [
            ("b0b 2000-10-01", "a username is 1 to 64 ASCII letters"),
            ("Bob 2000-13-01", "a date is a day of the calendar, written as YYYY-MM-DD"),
            ("Bob 2026-09-26 --today 2026-09-26", "the date of birth is not before today"),
        ]:
            self.check(arguments, 1, "", f"greet.py: {reason}\n")
