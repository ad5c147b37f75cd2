"""What a function's code names: loaders, listings, commands and services. A resolver is Python: what it loads is not declared.

The bytecode is read, nothing runs. Followed are nested functions, and functions and methods of the author's own package that it
names, at most `MAX_FUNCTIONS` of them. Invariant: each declaration once, in the order of the code. What is missed: names made while
running (`getattr`), and what comes in as a value; what is too much: a branch that is never taken.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ...loading import Loader, Pages, Service
from ...loading.loader import LazyLoader
from ...services import Command

MAX_FUNCTIONS = 100
"""Functions that are read of one field."""

MAX_TABLE = 1_000
"""Entries of a table of loaders that are looked at."""

Declaration = Loader[Any] | Pages[Any] | Command[Any] | Service
_DECLARED = (Loader, Pages, Command, Service)
_TABLES = (Mapping, list, tuple, set, frozenset)
_READS_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_READS_CELL = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF"})
_READS_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


@dataclass(frozen=True, slots=True)
class Named:
    """A declaration, and the name that the code uses for it."""

    name: str
    declaration: Declaration
    table: str | None = None
    """The dict, list or tuple that it is an entry of: the code picks one while running."""


def named_in(function: Any, *, owner: type[Any] | None = None) -> tuple[Named, ...]:
    """What `function` names; `owner` is the class whose methods it may call on `self`. Empty where there is no code to read."""
    reading = _Reading(owner)
    reading.read(function)
    return tuple(reading.found.values())


class _Reading:
    """One walk through the functions that can be reached."""

    def __init__(self, owner: type[Any] | None) -> None:
        self.found: dict[tuple[int, str | None], Named] = {}
        self._owner = owner
        self._seen: set[CodeType] = set()

    def read(self, function: Any) -> None:
        plain = _plain(function)
        if plain is None or plain.__code__ in self._seen or len(self._seen) >= MAX_FUNCTIONS:
            return
        self._seen.add(plain.__code__)
        for name, value in self._values(plain):
            self._take(name, value, package=_package(plain))

    def _take(self, name: str, value: Any, *, package: str) -> None:
        value = value.resolve() if isinstance(value, LazyLoader) else value
        if isinstance(value, _DECLARED):
            self.found.setdefault((id(value), None), Named(name, value))
        elif isinstance(value, _TABLES):
            for each in _entries(value):
                self.found.setdefault((id(each), name), Named(_entry_name(each), each, table=name))
        elif (plain := _plain(value)) is not None and _package(plain) == package:
            self.read(plain)

    def _values(self, function: FunctionType) -> Iterator[tuple[str, Any]]:
        """(name, value) of everything outside of itself that the function's code reads, nested code included."""
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for code in _with_nested(function.__code__):
            yield from self._values_of(code, function.__globals__, cells)

    def _values_of(
        self, code: CodeType, names: Mapping[str, Any], cells: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """`holder`: the module, or the owner for `self`, that a following attribute is looked up on."""
        holder: Any = None
        for instruction in dis.get_instructions(code):
            name = instruction.argval
            if instruction.opname in _READS_GLOBAL:
                value = names.get(name)
            elif instruction.opname in _READS_CELL and name in cells:
                value = _content(cells[name])
            elif instruction.opname in _READS_ATTRIBUTE and holder is not None:
                value = inspect.getattr_static(holder, name, None)
            else:
                holder = self._owner if instruction.opname.startswith("LOAD_FAST") and name == "self" else None
                continue
            holder = value if isinstance(value, ModuleType) else None
            yield name, value


def _plain(value: Any) -> FunctionType | None:
    """The function with code in it, below decorators, partials and descriptors."""
    while True:
        if isinstance(value, partial):
            value = value.func
        elif isinstance(value, staticmethod | classmethod) or inspect.ismethod(value):
            value = value.__func__
        elif "__wrapped__" in getattr(value, "__dict__", ()):
            value = inspect.unwrap(value)
        else:
            return value if isinstance(value, FunctionType) else None


def _package(function: FunctionType) -> str:
    return (function.__module__ or "").partition(".")[0]


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_nested(constant)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value yet
        return None


def _entries(table: Any) -> Iterator[Declaration]:
    values: Sequence[Any] = list(table.values() if isinstance(table, Mapping) else table)[:MAX_TABLE]
    for value in values:
        value = value.resolve() if isinstance(value, LazyLoader) else value
        if isinstance(value, _DECLARED):
            yield value


def _entry_name(declaration: Declaration) -> str:
    if isinstance(declaration, Command):
        return f"{declaration.service} {declaration.path}"
    return declaration.name
