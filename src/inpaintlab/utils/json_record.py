"""Dataclasses as JSON files, checked when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import write_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)


class _MismatchError(Exception):
    """A value has another type than its field."""


def write_record(path: Path, record: DataclassInstance, leave_out: tuple[str, ...] = ()) -> None:
    """Write a dataclass as a JSON object, one key per field.

    Args:
        leave_out: names of fields that the file does not hold.
    """
    content = {name: value for name, value in asdict(record).items() if name not in leave_out}
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_record(kind: type[Record], path: Path, remedy: str, **known: object) -> Record:
    """Read a file of `write_record`. Keys that are not fields are ignored.

    Args:
        kind: a dataclass whose fields are plain values, lists, dictionaries and other dataclasses.
        remedy: what the user can do about a file that cannot be read; it ends the message.
        known: values of the fields that the file does not hold.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if the file is not JSON, lacks a field, or has a value of another type.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # also of bytes that are not UTF-8
        raise UserError(f"{path} is not valid JSON ({error}); {remedy}") from None
    try:
        values = _values(kind, content, "the file", skip=known)
    except _MismatchError as error:
        raise UserError(f"{path} was not written by this version of inpaintlab: {error}; {remedy}") from None
    return kind(**values, **known)


def _values(kind: type[DataclassInstance], content: Any, place: str, skip: Mapping[str, object]) -> dict[str, Any]:
    """The constructor's arguments of a dataclass."""
    if not isinstance(content, dict):
        raise _MismatchError(f"{place} must be an object, got {_shown(content)}")
    hints, values = get_type_hints(kind), {}
    for field in fields(kind):
        if field.name in skip:
            continue
        if field.name in content:
            values[field.name] = _converted(hints[field.name], content[field.name], field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise _MismatchError(f"{place} has no {field.name!r}")
    return values


def _converted(kind: Any, value: Any, place: str) -> Any:
    """`value` as an instance of the annotation `kind`."""
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**_values(kind, value, place, {}))
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        options = [option for option in arguments if option is not NoneType or value is None]
        if len(options) == 1:
            return _converted(options[0], value, place)
        for option in options:
            try:
                return _converted(option, value, place)
            except _MismatchError:
                continue
    elif origin is list and isinstance(value, list):
        return [_converted(arguments[0], one, place) for one in value]
    elif origin is dict and isinstance(value, dict):
        return {key: _converted(arguments[1], one, f"{place}.{key}") for key, one in value.items()}
    elif kind is float and type(value) is int:
        return float(value)
    elif type(value) is kind:
        return value
    raise _MismatchError(f"{place} must be {_named(kind)}, got {_shown(value)}")


def _named(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_origin(kind) else str(kind)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
