"""Says how many days are left until a birthday, by the component greeting.wasm: the rule of the birthday API alone.

The component imports nothing, so no host function is needed. Its interface is `greeting/wit/greeting.wit`.
"""

import argparse
import datetime
import sys
from pathlib import Path
from typing import Any

from wasmtime import Engine, Store, WasmtimeError
from wasmtime.component import Component, Linker, Record, Variant

WASM = Path(__file__).parents[2] / "target/wasm32-unknown-unknown/component/greeting.wasm"
INTERFACE = "birthday:greeting/greeting@0.1.0"
LEAP_DAYS = {"mar-1": "march-first", "feb-28": "february-last"}

# The cases of the WIT enum `error`.
ERRORS = {
    "invalid-username": "a username is 1 to 64 ASCII letters",
    "invalid-date": "a date is a day of the calendar, written as YYYY-MM-DD",
    "date-not-past": "the date of birth is not before today",
}


class GreetingError(Exception):
    """What the component refuses. `case` is that of the WIT enum `error`."""

    def __init__(self, case: str):
        super().__init__(ERRORS[case])
        self.case = case


class Greeting:
    """The functions of the component. Each raises `GreetingError`. An object is for one thread at a time."""

    def __init__(self, wasm: Path = WASM):
        engine = Engine()
        self._store = Store(engine)
        self._instance = Linker(engine).instantiate(self._store, Component.from_file(engine, wasm))
        self._interface = self._instance.get_export_index(self._store, INTERFACE)

    def parse(self, date_of_birth: str, today: datetime.date) -> datetime.date:
        """Reads a date of birth, which must be before `today`."""
        date = self._call("parse", date_of_birth, _record(today))
        return datetime.date(date.year, date.month, date.day)

    def days_until(self, date_of_birth: datetime.date, today: datetime.date, leap_day: str = "mar-1") -> int:
        """Whole days to the next birthday; 0 on the day itself."""
        return self._call("days-until", _record(date_of_birth), _record(today), LEAP_DAYS[leap_day])

    def message(self, username: str, days: int) -> str:
        return self._call("message", username, days)

    def _call(self, name: str, *arguments: Any) -> Any:
        index = self._instance.get_export_index(self._store, name, self._interface)
        function = self._instance.get_func(self._store, index) if index else None
        if function is None:
            raise WasmtimeError(f"the component has no function {name}")
        result = function(self._store, *arguments)
        # wasmtime-py gives a Variant if both sides of a result are of the same class, as in result<string, error>.
        # Otherwise the class says which side it is: an enum is a string.
        if isinstance(result, Variant):
            if result.tag == "ok":
                return result.payload
            raise GreetingError(str(result.payload))
        if isinstance(result, str):
            raise GreetingError(result)
        return result


def _record(date: datetime.date) -> Record:
    record = Record()
    vars(record).update(year=date.year, month=date.month, day=date.day)
    return record


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Says how many days are left until a birthday.")
    parser.add_argument("username")
    parser.add_argument("date_of_birth", metavar="YYYY-MM-DD")
    parser.add_argument(
        "--today", type=datetime.date.fromisoformat, default=datetime.date.today(), metavar="YYYY-MM-DD"
    )
    parser.add_argument(
        "--leap-day", choices=LEAP_DAYS, default="mar-1", help="the birthday, in common years, of 29 February"
    )
    options = parser.parse_args(arguments)
    if not WASM.exists():
        print(f"greet.py: {WASM} is not built: run `make components`", file=sys.stderr)
        return 1
    greeting = Greeting()
    try:
        born = greeting.parse(options.date_of_birth, options.today)
        days = greeting.days_until(born, options.today, options.leap_day)
        print(greeting.message(options.username, days))
    except GreetingError as error:
        print(f"greet.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
