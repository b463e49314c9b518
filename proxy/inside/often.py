"""What mitmproxy asks of itself some fifty times a request, said without the detours.

A part of what overrides its inside; the package puts it in place, and says the version that it was read against.
"""

import copy
import dataclasses
from typing import Any, get_args

from mitmproxy import http, optmanager


def args_of(hook: Any) -> list[Any]:
    """`Hook.args`, with the names of its fields looked up once."""
    names = _fields.get(type(hook))
    if names is None:
        names = _fields[type(hook)] = [each.name for each in dataclasses.fields(hook)]
    return [getattr(hook, name) for name in names]


_fields: dict[type, list[str]] = {}


def header(self: http.Headers, key: str | bytes, default: Any = None) -> Any:
    """`Headers.get`: the values of a field, joined."""
    wanted = (key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")).lower()
    found = [value for name, value in self.fields if name.lower() == wanted]
    return b", ".join(found).decode("utf-8", "surrogateescape") if found else default


def has_header(self: http.Headers, key: str | bytes) -> bool:
    return header(self, key) is not None


def current(self: Any) -> Any:
    """An option's value, copied only where it could be changed."""
    value = self._default if self.value is optmanager.unset else self.value
    return value if value is None or type(value) in {str, int, bool} else copy.deepcopy(value)


def typed(self: http.MessageData) -> None:
    """The check of a message's fields, with their types looked up once."""
    kinds = _kinds.get(type(self))
    if kinds is None:
        kinds = _kinds[type(self)] = [
            (each.name, each.type | int if float in (each.type, *get_args(each.type)) else each.type)
            for each in dataclasses.fields(self)
        ]
    for name, kind in kinds:
        if not isinstance(getattr(self, name), kind):
            raise TypeError(f"Expected {kind} for {name}, but got {type(getattr(self, name))}.")


_kinds: dict[type, list[tuple[str, Any]]] = {}
