"""From the JSON of an answer to its record, by the record's own types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from insula.client.errors import RemoteError

T = TypeVar("T")


def read(kind: type[T], body: object) -> T:
    """The record of an answer's body. Fields that the record lacks are passed over.

    Raises RemoteError (`bad_answer`) where a field that it needs is missing or is of another type.
    """
    found: T = _value(kind, body, kind.__name__)
    return found


@cache
def _types(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _record(kind: Any, body: Mapping[str, Any], where: str) -> Any:
    given: dict[str, Any] = {}
    for one in fields(kind):
        if one.name in body:
            given[one.name] = _value(_types(kind)[one.name], body[one.name], f"{where}.{one.name}")
        elif one.default is MISSING and one.default_factory is MISSING:
            raise _wrong(f"{where}.{one.name}", "is missing")
    return kind(**given)


def _value(kind: Any, value: object, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is UnionType:
        if value is None and NoneType in inner:
            return None
        (other,) = (one for one in inner if one is not NoneType)
        return _value(other, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(inner[0], one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {_key(inner[0], k, where): _value(inner[1], v, f"{where}.{k}") for k, v in value.items()}
    if is_dataclass(kind) and isinstance(value, dict):
        return _record(kind, value, where)
    if kind is datetime and isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise _wrong(where, "is no instant") from error
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    raise _wrong(where, f"is of the type '{type(value).__name__}'")


def _key(kind: Any, key: str, where: str) -> Any:
    if kind is not int:
        return key
    if not key.isdecimal():
        raise _wrong(where, "has a key that is no number")
    return int(key)


def _wrong(where: str, what: str) -> RemoteError:
    said = f"The answer's field '{where[:120]}' {what}; is the address that of an Insula service of this version?"
    return RemoteError(200, "bad_answer", said, said)
