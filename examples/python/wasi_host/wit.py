"""Values of WIT, as wasmtime-py converts them and as host functions see them.

wasmtime-py drops the tag of a variant, an option or a result if the class of the Python value alone says which case it
is. Which of them that are depends on all cases, and is easy to get wrong. Host functions of this package always see and
give the same form, and `lifting` and `lowering` translate by type:

    variant, nested result   Variant(tag, payload)
    result of a function     the value, or `raise Refused(payload)`
    option                   None, or the value
    record                   dict
    list<u8>                 bytes
    resource                 an object of a subclass of `Resource`
"""

import itertools
from collections.abc import Callable
from typing import Any

from wasmtime import Store, StoreContext
from wasmtime.component import (
    U8,
    BorrowType,
    ListType,
    OptionType,
    OwnType,
    Record,
    RecordType,
    ResourceAny,
    ResourceHost,
    ResultType,
    TupleType,
    ValType,
    Variant,
    VariantType,
)

Storelike = Store | StoreContext

# So many resources may an instance have at a time: a request needs about twenty, so one with more leaks them.
MAX_RESOURCES = 1000


class Refused(Exception):
    """The error of a WIT result: `payload` is what its error type has."""

    def __init__(self, payload: Any = None):
        super().__init__(payload)
        self.payload = payload


class Resource:
    """An object that a component has a handle of. Methods of WIT are its methods, in snake case."""

    _numbers = itertools.count(1)
    # How wasmtime tells the types of resources apart.
    type_number: int

    def __init_subclass__(cls) -> None:
        # A subclass is the same type for the component.
        if Resource in cls.__bases__:
            cls.type_number = next(Resource._numbers)

    def dropped(self) -> None:
        """The component has dropped its handle."""


class Handles:
    """The resources of one instance, by the number that wasmtime keeps of each."""

    def __init__(self) -> None:
        self._resources: dict[int, Resource] = {}
        self._numbers = itertools.count(1)

    def own(self, resource: Resource) -> ResourceHost:
        """A handle that the component will own."""
        if len(self._resources) >= MAX_RESOURCES:
            raise RuntimeError(f"the component has more than {MAX_RESOURCES} resources")
        number = next(self._numbers)
        self._resources[number] = resource
        return ResourceHost.own(number, resource.type_number)

    def resource(self, store: Storelike, handle: ResourceAny) -> Resource:
        """What the component has lent, or given away: then its handle is gone."""
        host = handle.to_host(store)
        return self._resources.pop(host.rep) if host.owned else self._resources[host.rep]

    def drop(self, number: int) -> None:
        self._resources.pop(number).dropped()

    def drop_all(self) -> None:
        """The instance is gone."""
        while self._resources:
            self._resources.popitem()[1].dropped()

    def __len__(self) -> int:
        return len(self._resources)


Lift = Callable[[Storelike, Handles, Any], Any]
Lower = Callable[[Handles, Any], Any]
Cases = list[tuple[str, ValType | None]]


def lifting(ty: ValType) -> Lift:
    """How arguments of type `ty` become what a host function sees."""
    match ty:
        case OwnType() | BorrowType():
            return lambda store, handles, value: handles.resource(store, value)
        case ListType() if not isinstance(ty.element, U8):
            element = lifting(ty.element)
            return lambda store, handles, value: [element(store, handles, each) for each in value]
        case TupleType():
            elements = [lifting(each) for each in ty.elements]
            return lambda store, handles, value: tuple(
                element(store, handles, each) for element, each in zip(elements, value, strict=True)
            )
        case RecordType():
            fields = {name: lifting(field) for name, field in ty.fields}
            return lambda store, handles, value: {
                name: field(store, handles, getattr(value, name)) for name, field in fields.items()
            }
        case OptionType():
            tagged, payload = _is_tagged(_cases(ty)), lifting(ty.payload)

            def option(store: Storelike, handles: Handles, value: Any) -> Any:
                if value is None or (tagged and value.tag == "none"):
                    return None
                return payload(store, handles, value.payload if tagged else value)

            return option
        case ResultType() | VariantType():
            return _lifting_variant(_cases(ty))
        case _:
            return lambda store, handles, value: value


def _lifting_variant(cases: Cases) -> Lift:
    tagged = _is_tagged(cases)
    payloads = {tag: lifting(payload) if payload else None for tag, payload in cases}
    classes = [(tag, tuple(_classes(payload))) for tag, payload in cases if payload]
    empty = next((tag for tag, payload in cases if payload is None), None)

    def variant(store: Storelike, handles: Handles, value: Any) -> Variant:
        if tagged:
            tag, value = value.tag, value.payload
        elif value is None:
            tag = empty
        else:
            tag = next(tag for tag, candidates in classes if isinstance(value, candidates))
        payload = payloads[tag]
        return Variant(tag, payload(store, handles, value) if payload else None)

    return variant


def lowering(ty: ValType) -> Lower:
    """How what a host function gives becomes a value of type `ty`."""
    match ty:
        case OwnType():
            return lambda handles, value: handles.own(value)
        case ListType() if isinstance(ty.element, U8):
            return lambda handles, value: bytes(value)
        case ListType():
            element = lowering(ty.element)
            return lambda handles, value: [element(handles, each) for each in value]
        case TupleType():
            elements = [lowering(each) for each in ty.elements]
            return lambda handles, value: tuple(
                element(handles, each) for element, each in zip(elements, value, strict=True)
            )
        case RecordType():
            fields = {name: lowering(field) for name, field in ty.fields}

            def record(handles: Handles, value: dict[str, Any]) -> Record:
                lowered = Record()
                for name, field in fields.items():
                    setattr(lowered, name, field(handles, value[name]))
                return lowered

            return record
        case OptionType():
            tagged, payload = _is_tagged(_cases(ty)), lowering(ty.payload)

            def option(handles: Handles, value: Any) -> Any:
                lowered = None if value is None else payload(handles, value)
                if tagged:
                    return Variant("none") if value is None else Variant("some", lowered)
                return lowered

            return option
        case ResultType() | VariantType():
            cases = _cases(ty)
            tagged = _is_tagged(cases)
            payloads = {tag: lowering(payload) if payload else None for tag, payload in cases}

            def variant(handles: Handles, value: Variant) -> Any:
                payload = payloads[value.tag]
                lowered = payload(handles, value.payload) if payload else None
                return Variant(value.tag, lowered) if tagged else lowered

            return variant
        case _:
            return lambda handles, value: value


def _cases(ty: OptionType | ResultType | VariantType) -> Cases:
    match ty:
        case OptionType():
            return [("none", None), ("some", ty.payload)]
        case ResultType():
            return [("ok", ty.ok), ("err", ty.err)]
        case _:
            return ty.cases


def _classes(ty: ValType | None) -> set[type]:
    """The classes of the values that wasmtime-py makes of `ty`; `object` stands for None."""
    classes: set[type] = set()
    if ty is None:
        classes.add(object)
    else:
        ty.add_classes(classes)
    return classes


def _is_tagged(cases: Cases) -> bool:
    """Whether wasmtime-py keeps the tag: two cases have a class in common."""
    seen: set[type] = set()
    for _, payload in cases:
        classes = _classes(payload)
        if classes & seen:
            return True
        seen |= classes
    return False
