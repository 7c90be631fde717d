"""`fermyon:spin/variables`: settings of the application."""

import re
from collections.abc import Mapping

from wasmtime.component import Variant

from .imports import Interface
from .wit import Refused

# As with Spin: the variable `api_token` is SPIN_VARIABLE_API_TOKEN in the environment.
PREFIX = "SPIN_VARIABLE_"


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables in an environment. One that is empty counts as not set."""
    named = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value}
    return {name.removeprefix(PREFIX).lower(): value for name, value in named.items()}


class Variables(Interface):
    name = "fermyon:spin/variables@2.0.0"

    def __init__(self, variables: Mapping[str, str]):
        self._variables = variables

    def get(self, name: str) -> str:
        if not re.fullmatch(r"[a-z](_?[a-z0-9])*", name):
            raise Refused(Variant("invalid-name", name))
        if name not in self._variables:
            raise Refused(Variant("undefined", name))
        return self._variables[name]
