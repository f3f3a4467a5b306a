"""Build objects from a config that was read from a file.

The file may come from a stranger. Its config is data: nothing in it is resolved, imported from outside this package or
called, except for constructors of classes that are declared for their place. The declaration is the annotation of the
constructor's argument: `geometry: Geometry` accepts a config of `Geometry` or of a subclass.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from inpaintlab.errors import UnknownChoice, UserError
from inpaintlab.utils.printable import printable

Kind = TypeVar("Kind")
TARGET = "_target_"
OURS = __name__.partition(".")[0] + "."
DEEPEST, LARGEST = 32, 100_000  # nesting and number of values; a real config has 6 levels and 200 values
LONGEST = 100_000  # characters of a text
INTEGERS = 2**53  # beyond, JSON and float lose digits; seeds stay below 2^32


def require_plain(config: object, source: str) -> None:
    """Raise unless the config of a file is plain data of a sensible size, without references.

    Args:
        source: the file and the place of the config in it, for the message.

    Raises:
        UserError: naming the first entry that is not text, a finite number, a truth value, null, a list or a mapping
            with text as keys, or that holds `${`.
    """
    left = [(config, source, 0)]
    count = 0
    while left:
        value, place, depth = left.pop()
        count += 1
        if count > LARGEST or depth > DEEPEST:
            raise UserError(
                f"{source} is larger than any config: at most {LARGEST} values and {DEEPEST} levels are read"
            )
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise UserError(f"{place} has the key {shown(key)}; expected text")
                _require_text(key, f"a key of {place}")
            left += [(child, f"{place}.{key}", depth + 1) for key, child in value.items()]
        elif isinstance(value, (list, tuple)):
            left += [(child, f"{place}[{number}]", depth + 1) for number, child in enumerate(value)]
        elif isinstance(value, str):
            _require_text(value, place)
        elif isinstance(value, (int, float)):
            if not math.isfinite(value) or abs(value) > INTEGERS:
                raise UserError(f"{place} must be a finite number below 2^53, got {shown(value)}")
        elif value is not None:
            raise UserError(f"{place} must be plain data, got an object of type {type(value).__name__}")


def _require_text(text: str, place: str) -> None:
    if "${" in text:
        raise UserError(f"{place} holds a reference, '${{'; the config of a file is data and must hold none")
    if len(text) > LONGEST:
        raise UserError(f"{place} has {len(text)} characters; at most {LONGEST} are read")


def build(config: object, kind: type[Kind], place: str, **given: object) -> Kind:
    """Build the object that a config describes.

    Args:
        config: {"_target_": dotted name of a class, argument: value, ...}. Values are plain data, or configs of
            objects where the constructor's annotation is a class of this package.
        kind: the class must derive from it and be defined in the package of `kind`, for example in
            `inpaintlab.networks` for `InpaintingGenerator`.
        place: what the config is called in messages.
        given: arguments of the constructor in place of those in the config.

    Raises:
        UserError: if the config names another class or has unknown, missing or wrong arguments; or as the constructor
            raises it.
        OSError: from the constructor, for example if a folder is missing.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get(TARGET), str):
        raise UserError(f"{place} must be a mapping with the entry {TARGET}, got {shown(config)}")
    constructor = _class(config[TARGET], kind, place)
    parameters = inspect.signature(constructor).parameters
    known = [name for name, one in parameters.items() if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)]
    arguments = {name: value for name, value in config.items() if name != TARGET and name not in given}
    unknown = [str(name) for name in arguments if name not in known]
    if unknown:
        raise UserError(
            f"{place}: {constructor.__qualname__} has no argument {shown(unknown[0])}; its arguments are "
            f"{', '.join(known) or 'none'}"
        )
    missing = [name for name in known if parameters[name].default is inspect.Parameter.empty]
    missing = [name for name in missing if name not in arguments and name not in given]
    if missing:
        raise UserError(f"{place}: {constructor.__qualname__} needs the argument {missing[0]}, which is not given")
    hints = get_type_hints(inspect.unwrap(constructor.__init__))
    values = {name: _value(hints.get(name), value, f"{place}.{name}") for name, value in arguments.items()}
    try:
        return constructor(**values, **given)
    except UnknownChoice as error:
        raise UnknownChoice(f"{place}: {error}") from error
    except (UserError, OSError):
        raise
    except Exception as error:  # the constructor's own, for values that it does not accept
        raise UserError(f"{place} cannot be built: {error or type(error).__name__}") from error


def _class(target: str, kind: type[Kind], place: str) -> type[Kind]:
    """Return the class of this name if it is declared for its place."""
    package = kind.__module__.rpartition(".")[0] + "."
    found: object = None
    if target.startswith(package) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+", target):
        module, _, name = target.rpartition(".")
        try:
            found = vars(importlib.import_module(module)).get(name)
        except ImportError:  # no such module
            found = None
    if (
        not isinstance(found, type)
        or not issubclass(found, kind)
        or f"{found.__module__}.{found.__qualname__}" != target  # defined there, not imported from elsewhere
        or inspect.isabstract(found)
    ):
        raise UserError(
            f"{place} names {shown(target)}; expected a class of {kind.__name__} that is defined in {package[:-1]}"
        )
    return found


def _value(hint: Any, value: object, place: str) -> object:
    """Return the value of a constructor's argument with the annotation `hint`."""
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(options, value, place, hint)
    if isinstance(hint, type) and origin is None and hint.__module__.startswith(OURS):
        return build(value, hint, place)
    if origin in (list, Sequence) and isinstance(value, (list, tuple)):
        return [_value(options[0], one, f"{place}[{number}]") for number, one in enumerate(value)]
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = options if options[-1] is not Ellipsis else (options[0],) * len(value)
        if len(kinds) == len(value):
            return tuple(_value(one, part, place) for one, part in zip(kinds, value, strict=True))
    if hint is bool and type(value) in (bool, int) and value in (0, 1):
        return bool(value)
    if hint is float and type(value) in (int, float):
        return value
    if hint is NoneType and value is None:
        return value
    if hint in (str, int) and type(value) is hint:
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    raise UserError(f"{place} must be {_named(hint)}, got {shown(value)}")


def _one_of(options: Sequence[Any], value: object, place: str, hint: Any) -> object:
    if isinstance(value, Mapping):  # an object: its own sentence says what is wrong
        options = [one for one in options if isinstance(one, type) and one.__module__.startswith(OURS)]
        if len(options) == 1:
            return build(value, options[0], place)
    for option in options:
        try:
            return _value(option, value, place)
        except UserError:
            continue
    raise UserError(f"{place} must be {_named(hint)}, got {shown(value)}")


def _named(hint: Any) -> str:
    """Return the name of an annotation for a message."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_named(one) for one in get_args(hint))
    if hint is NoneType:
        return "null"
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    return words.get(hint) or (hint.__name__ if isinstance(hint, type) and not get_origin(hint) else "a list")


def shown(value: object) -> str:
    """Return a value for a message, shortened and without control characters."""
    if isinstance(value, (Mapping, list, tuple, set)):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value) if isinstance(value, (str, bool, int, float, NoneType)) else type(value).__name__
    text = printable(text)
    return text if len(text) <= 60 else f"{text[:57]}..."
