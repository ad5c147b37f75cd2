"""`Secret[str]` in an input: clients see and send a plain String, resolvers and steps are handed a Secret.

Invariant: from the moment an input is made, whoever prints it prints `Secret(***)`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Union

from graphql import GraphQLInputObjectType, get_named_type
from strawberry.types.field import StrawberryField

from ..secret import Secret, is_secret


def holds_secret(annotation: Any) -> bool:
    """Whether `annotation` is a Secret, or has one in it."""
    return is_secret(annotation) or any(holds_secret(each) for each in typing.get_args(annotation))


def without_secrets(annotation: Any) -> Any:
    """What strawberry is told: `Secret[str]` is a String. Raises: TypeError for secrets of other types and in other containers."""
    if not holds_secret(annotation):
        return annotation
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if is_secret(annotation):
        if arguments != (str,):
            raise TypeError("a secret of a client's is a text: write Secret[str]")
        return str
    if origin is Annotated:
        annotated: Any = Annotated
        return annotated[(without_secrets(arguments[0]), *arguments[1:])]
    if origin is list:
        element: Any = without_secrets(arguments[0])
        return list[element]
    if origin in (Union, types.UnionType):
        union: Any = Union
        return union[tuple(without_secrets(each) for each in arguments)]
    raise TypeError(
        f"{annotation} cannot hold a client's secret: write Secret[str], Secret[str] | None or list[Secret[str]]"
    )


def sealed_when_made(declared: type[Any], names: Iterable[str]) -> None:
    """Let instances of `declared` hold Secrets in its columns `names`, whoever makes them: strawberry, msgspec or a test."""
    earlier = getattr(declared, "__post_init__", None)
    declared.__secret_columns__ = frozenset(names) | getattr(declared, "__secret_columns__", frozenset[str]())

    def __post_init__(self: Any) -> None:  # noqa: N807 - the dataclass's own name for it
        for name in names:
            object.__setattr__(self, name, _closed(getattr(self, name)))
        if earlier is not None:
            earlier(self)

    declared.__post_init__ = __post_init__


def is_secret_column(column: StrawberryField) -> bool:
    """Whether a column of an input holds a secret; those of an input that it inherits from are marked too."""
    return column.python_name in getattr(column.origin, "__secret_columns__", ())


def may_hold_secret(kind: Any) -> bool:
    """Whether what a client gives for an input type, or below it, is a secret somewhere."""
    return _may_hold_secret(get_named_type(kind), set())


def _may_hold_secret(kind: Any, seen: set[str]) -> bool:
    if not isinstance(kind, GraphQLInputObjectType) or kind.name in seen:
        return False
    seen.add(kind.name)
    definition = kind.extensions.get("strawberry-definition")
    if getattr(getattr(definition, "origin", None), "__secret_columns__", ()):
        return True
    return any(_may_hold_secret(get_named_type(each.type), seen) for each in kind.fields.values())


def _closed(value: Any) -> Any:
    """Texts become Secrets; None, and what is not provided, stays."""
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, list):
        return [_closed(each) for each in value]
    return value
