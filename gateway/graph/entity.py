"""`@entity`, `@input_type`, `field`: strawberry types with joins, batch resolvers and domain rules in them.

A plain `@strawberry.type` works beside an entity; an entity adds what strawberry does not know. Invariant: after `@entity` a
class is an ordinary strawberry type, whose joins are not in its constructor.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform, overload

import strawberry
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

from .access import Allow
from .batched import batched
from .guards import set_rule
from .join import JoinField, Unresolved, join
from .pricing import ListSize, pricing
from .resolver import ColumnField, first_paragraph
from .rules import constraints, raw_annotation
from .secrets import holds_secret, sealed_when_made, without_secrets

T = TypeVar("T")


def field(
    description: str = "",
    *,
    default: Any = dataclasses.MISSING,
    deprecated: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
) -> Any:
    """A plain field with its description: `name: str = field("Shown to shoppers.")`.

    `allow`, an access rule or a function of the object and the identity, guards the field.
    `cost`: what it costs for each object that has it; `list_size`: how long its list is taken to be.
    """
    directives = pricing(cost, list_size)
    if allow is None:
        return strawberry.field(
            description=description, default=default, deprecation_reason=deprecated, directives=directives
        )
    made = ColumnField(description=description, default=default, deprecation_reason=deprecated, directives=directives)
    made.allow = allow
    return made


@overload
@dataclass_transform(kw_only_default=True, field_specifiers=(join, field))
def entity(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(kw_only_default=True, field_specifiers=(join, field))
def entity(
    *, name: str | None = None, description: str | None = None, allow: Allow | None = None
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(kw_only_default=True, field_specifiers=(join, field))
def entity(
    cls: Any = None, *, name: str | None = None, description: str | None = None, allow: Allow | None = None
) -> Any:
    """Make a class a type of the graph. Its docstring's first paragraph is the description.

    `allow`, an access rule or a function of the object and the identity, guards its objects wherever they appear.
    """

    def declare(declared: type[Any]) -> type[Any]:
        batches = {key: value for key, value in vars(declared).items() if isinstance(value, batched)}
        for key, value in batches.items():
            made = value.as_field()
            setattr(declared, key, made)
            declared.__annotations__[key] = value.element
        described = description or first_paragraph(vars(declared).get("__doc__"))
        made_type: type[Any] = strawberry.type(declared, name=name, description=described)
        for key, value in batches.items():
            setattr(made_type, key, value)
        if allow is not None:
            set_rule(made_type, allow)
        # What `strawberry.cast` marks objects with. Standing on the class, it can be asked of a thousand objects for nothing.
        setattr(made_type, TYPE_CAST_ATTRIBUTE, None)
        for join_field in joins_of(made_type):
            setattr(made_type, join_field.python_name, Unresolved(join_field, made_type.__name__))
        return made_type

    return declare if cls is None else declare(cls)


@overload
@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def input_type(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def input_type(*, name: str | None = None, description: str | None = None) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def input_type(cls: Any = None, *, name: str | None = None, description: str | None = None) -> Any:
    """Make a class an input of the graph; rules in its annotations are printed in the SDL and checked."""

    def declare(declared: type[Any]) -> type[Any]:
        annotations = dict(inspect.get_annotations(declared))
        secret = _secret_columns(declared, annotations)
        declared.__annotations__.update({key: without_secrets(value) for key, value in secret.items()})
        if secret:
            sealed_when_made(declared, secret)
        described = description or first_paragraph(vars(declared).get("__doc__"))
        made: type[Any] = strawberry.input(declared, name=name, description=described)
        made.__annotations__.update(secret)  # what the journal reads it back as
        made.__raw_annotations__ = annotations
        for column in definition_of(made).fields:
            if isinstance(column, ColumnField):
                raise TypeError(
                    f"{declared.__name__}.{column.python_name} is a client's to send: allow= guards what clients read"
                )
            column.directives = [*column.directives, *constraints(raw_annotation(made, column.python_name))]
        return made

    return declare if cls is None else declare(cls)


def _secret_columns(declared: type[Any], annotations: Mapping[str, Any]) -> dict[str, Any]:
    """Columns with a Secret in them, their annotations without quotes."""
    return {
        name: resolved
        for name, annotation in annotations.items()
        if not isinstance(annotation, str) or "Secret" in annotation  # what is in quotes may stand further down
        if holds_secret(resolved := raw_annotation(declared, name))
    }


def joins_of(made: type[Any]) -> list[JoinField]:
    """The joins declared on a strawberry type, inherited ones included."""
    return [column for column in definition_of(made).fields if isinstance(column, JoinField)]


def definition_of(made: type[Any]) -> StrawberryObjectDefinition:
    definition: StrawberryObjectDefinition = made.__strawberry_definition__
    return definition
