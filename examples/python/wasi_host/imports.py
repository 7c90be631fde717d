"""What a component imports, and how Python gives it.

A WIT interface is a subclass of `Interface`, and a WIT resource is a subclass of `Resource`:

    [method]input-stream.read      the method `read` of the resource's class
    [static]store.open             the method `store_open` of the interface
    [constructor]fields            the method `new_fields` of the interface
    poll                           the method `poll` of the interface
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wasmtime import Engine, StoreContext, WasmtimeError
from wasmtime.component import (
    Component,
    ComponentInstanceType,
    FuncType,
    Linker,
    LinkerInstance,
    ResourceType,
    ResultType,
    Variant,
)

from .lock import released
from .wit import Handles, Lift, Lower, Refused, Resource, lifting, lowering


class MissingImport(Exception):
    """The component imports something that no interface gives. The message names it."""


class Interface:
    """A WIT interface. `name` has its version as far as that matters: `wasi:io/poll@0.2` is every 0.2.x."""

    name: str
    # By the names in WIT, with those that the interface uses of others.
    resources: dict[str, type[Resource]] = {}

    def gives(self, imported: str) -> bool:
        return imported == self.name or imported.startswith(self.name + ".")


@dataclass
class Guest:
    """What the host functions of one instance share."""

    handles: Handles
    # What the last host function raised, and which one it was. wasmtime only knows that there was something.
    failure: BaseException | None = None


@dataclass(frozen=True)
class Function:
    """A function that a component imports, with its conversions."""

    name: str
    parameters: list[Lift]
    result: Lower | None
    may_fail: bool

    @classmethod
    def read(cls, name: str, ty: FuncType) -> "Function":
        result = ty.result
        return cls(
            name,
            [lifting(parameter) for _, parameter in ty.params],
            lowering(result) if result else None,
            isinstance(result, ResultType),
        )

    def given_by(self, interface: Interface) -> Callable[..., Any] | None:
        kind, _, name = self.name.rpartition("]")
        if not kind:
            return getattr(interface, _snake(name), None)
        resource, _, method = name.partition(".")
        match kind:
            case "[method":
                method = _snake(method)
                if not hasattr(interface.resources[resource], method):
                    return None
                # That of the object, whose class may be a subclass.
                return lambda self, *arguments: getattr(self, method)(*arguments)
            case "[static":
                return getattr(interface, _snake(f"{resource}_{method}"), None)
            case _:
                return getattr(interface, _snake(f"new_{resource}"), None)

    def host_function(self, function: Callable[..., Any], guest: Guest) -> Callable[..., Any]:
        """`function` as wasmtime-py calls it: an exception ends the component's call."""

        def call(store: StoreContext, *arguments: Any) -> Any:
            try:
                values = [
                    lift(store, guest.handles, value) for lift, value in zip(self.parameters, arguments, strict=True)
                ]
                with released():
                    outcome = self._outcome(function, values)
                return self.result(guest.handles, outcome) if self.result else None
            except BaseException as error:
                guest.failure = error
                # wasmtime-py passes this one on by itself; any other would wait in a global variable.
                raise WasmtimeError(f"the host function {self.name} failed") from None

        return call

    def _outcome(self, function: Callable[..., Any], values: list[Any]) -> Any:
        if not self.may_fail:
            return function(*values)
        try:
            return Variant("ok", function(*values))
        except Refused as refused:
            return Variant("err", refused.payload)


class Imports:
    """The imports of a component, which are read once and linked for each instance."""

    def __init__(self, engine: Engine, component: Component):
        self._interfaces: dict[str, tuple[list[str], list[Function]]] = {}
        for name, imported in component.type.imports(engine).items():
            ty = imported.ty
            if not isinstance(ty, ComponentInstanceType):
                raise MissingImport(f"the component imports {name}, which is no interface")
            items = {item: export.ty for item, export in ty.exports(engine).items()}
            self._interfaces[name] = (
                [item for item, kind in items.items() if isinstance(kind, ResourceType)],
                [Function.read(item, kind) for item, kind in items.items() if isinstance(kind, FuncType)],
            )

    def link(self, engine: Engine, interfaces: Iterable[Interface], guest: Guest) -> Linker:
        """A linker for one instance, whose host functions share `guest`.

        Raises `MissingImport` if `interfaces` do not have all that the component imports.
        """
        linker = Linker(engine)
        try:
            self._link(linker, list(interfaces), guest)
        except BaseException:
            linker.close()
            raise
        return linker

    def _link(self, linker: Linker, interfaces: list[Interface], guest: Guest) -> None:
        with linker.root() as root:
            for name, (resources, functions) in self._interfaces.items():
                interface = next((each for each in interfaces if each.gives(name)), None)
                if interface is None:
                    raise MissingImport(f"the component imports {name}, which this host does not have")
                with root.add_instance(name) as instance:
                    for resource in resources:
                        _add_resource(instance, name, resource, interface, guest)
                    for function in functions:
                        _add_function(instance, name, function, interface, guest)


def _add_resource(instance: LinkerInstance, name: str, resource: str, interface: Interface, guest: Guest) -> None:
    cls = interface.resources.get(resource)
    if cls is None:
        raise MissingImport(f"the component imports the resource {resource} of {name}, which this host does not have")
    ty = ResourceType.host(cls.type_number)
    instance.add_resource(resource, ty, lambda store, number: guest.handles.drop(number))


def _add_function(instance: LinkerInstance, name: str, function: Function, interface: Interface, guest: Guest) -> None:
    given = function.given_by(interface)
    if given is None:
        raise MissingImport(f"the component imports {function.name} of {name}, which this host does not have")
    instance.add_func(function.name, function.host_function(given, guest))


def _snake(name: str) -> str:
    return name.replace("-", "_")
