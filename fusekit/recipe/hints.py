"""Does a plain value fit a type annotation? Strict: true is no int, 3 is no string, nan is no number."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from fusekit.registry import nearest


class MismatchError(Exception):
    """The value does not fit; the text says what was expected and what was found."""


def convert(value: Any, hint: Any) -> Any:
    """`value` as `hint` wants it: a list becomes a tuple, an int a float, a string a path.

    Everything else stays as it is. A path's `~` becomes the home folder.

    An annotation that has no plain form (a class of one's own) is not checked.

    Raises:
        MismatchError: it does not fit.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(value, hint, args)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in args):
            raise MismatchError(_expected(hint, value))
        return value
    base = origin or hint
    if base is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if base in (int, str, bool, types.NoneType):
        if type(value) is base:
            return value
    elif base is Path:
        if isinstance(value, str | Path):
            return Path(os.path.expanduser(value))
    elif base is tuple and isinstance(value, list | tuple):
        return tuple(_items(value, args if args[-1:] != (Ellipsis,) else args[:1] * len(value), hint))
    elif base in (list, Sequence) and isinstance(value, list | tuple):
        return list(_items(value, args * len(value), hint))
    elif base in (dict, Mapping) and isinstance(value, dict):
        return {key: _within(f"'{key}': ", item, args[1]) for key, item in value.items()} if args else value
    elif base not in (float, tuple, list, dict, Sequence, Mapping):
        return value
    raise MismatchError(_expected(hint, value))


def describe(hint: Any) -> str:
    """An annotation in a reader's words: "int", "true or false", "list of float", "scalar or vector"."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return " or ".join(str(arg) for arg in args)
    words = {str: "string", bool: "true or false", Path: "path", types.NoneType: "null"}
    if (origin or hint) is tuple and args and args[-1] is not Ellipsis:
        kinds = list(dict.fromkeys(map(describe, args)))
        return f"list of {len(args)} {kinds[0]}" if len(kinds) == 1 else f"list of {' and '.join(kinds)}"
    if (origin or hint) in (tuple, list, Sequence):
        return f"list of {describe(args[0])}" if args else "list"
    if (origin or hint) in (dict, Mapping):
        return "mapping"
    return words.get(hint) or str(getattr(hint, "__name__", hint))


def show(value: Any) -> str:
    """A value as one would type it in a recipe, shortened."""
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(show(item) for item in value)}]"
    else:
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _convert_union(value: Any, hint: Any, args: tuple[Any, ...]) -> Any:
    for arg in sorted(args, key=lambda arg: arg is not type(value)):  # int | float keeps an int an int
        try:
            return convert(value, arg)
        except MismatchError:
            continue
    plain = [arg for arg in args if arg is not types.NoneType]
    if len(plain) == 1 and value is not None:
        convert(value, plain[0])  # its text is the more precise one
    raise MismatchError(_expected(hint, value))


def _items(values: Sequence[Any], hints: Sequence[Any], whole: Any) -> list[Any]:
    if not get_args(whole):
        return list(values)
    if len(values) != len(hints):
        raise MismatchError(_expected(whole, list(values)))
    return [
        _within(f"entry {i + 1}: ", value, hint)
        for i, (value, hint) in enumerate(zip(values, hints, strict=True))
    ]


def _within(place: str, value: Any, hint: Any) -> Any:
    try:
        return convert(value, hint)
    except MismatchError as error:
        raise MismatchError(f"{place}{error}") from None


def _expected(hint: Any, value: Any) -> str:
    if get_origin(hint) is Literal:
        choices = [str(arg) for arg in get_args(hint)]
        closest = nearest(value, choices) if isinstance(value, str) else ""
        return f"{show(value)} is not one of {', '.join(choices)}{'.' if closest else ''}{closest}"
    advice = ""
    if (get_origin(hint) or hint) in (tuple, list, Sequence) and not isinstance(value, list | tuple | dict):
        advice = f"; write [{show(value)}]" if value is not None else ""
    return f"expected {describe(hint)}, found {show(value)}{advice}"
