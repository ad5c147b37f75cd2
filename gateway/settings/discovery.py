"""Addresses that settings do not name: asked of a function of the project's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from .sources import SettingsInvalid


def discovery(name: str | None) -> Callable[[str], tuple[str, ...]]:
    if name is None:
        return unknown
    module, _, attribute = name.partition(":")
    try:
        find = cast("Callable[[str], str | Sequence[str]]", getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise SettingsInvalid([f"discovery is {name!r}, which cannot be imported: {error}"]) from error

    def addresses(service: str) -> tuple[str, ...]:
        found = find(service)
        return (found,) if isinstance(found, str) else tuple(found)

    return addresses


def unknown(_: str) -> tuple[str, ...]:
    raise LookupError("it has no url and no instances, and there is no `discovery` to ask")


def reason_of(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)


def nowhere(names: list[str], *, reason: str) -> str:
    places = ", ".join(f"[services.{name}] url" for name in names)
    return f'{places}: {reason}: write url = "http://host:port" there'
