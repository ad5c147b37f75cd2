"""Fields that need nothing but their parent, their arguments and the request: plain attributes, and resolvers without `info`.

Everything else (`info`, extensions, permissions, fields of others) is executed as strawberry does it, a parent at a
time. Invariant: whoever is read here is read exactly as `get_result` would; in doubt nothing is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from strawberry.types.field import StrawberryField

from .access import open_for
from .context import Ctx
from .node import is_id
from .resolver import ColumnField, ResolverField, ensure_allowed, within_deadline
from .rules import checked

Read = Callable[[Any], Any]
"""A parent -> its value, or an awaitable of it. Raises: whatever the field's own code raises."""


def attribute_of(field: StrawberryField) -> str | None:
    """The attribute that the field copies from its parent, if that is all it does."""
    copies = field.is_basic_field and type(field).get_result is StrawberryField.get_result
    return field.python_name if copies and field.default_resolver is getattr else None


def is_node_id(field: StrawberryField) -> bool:
    """Whether the field is `Node.id` as it stands there, which needs no more of its parent than the class and `key`."""
    resolver = field.base_resolver
    return resolver is not None and is_id(resolver.wrapped_func) and is_method(field)


def is_method(field: StrawberryField) -> bool:
    """Whether the field's resolver needs nothing but its parent, its arguments and the request's `Ctx`."""
    resolver = field.base_resolver
    if type(field) is ColumnField:
        return field.default_resolver is getattr and not field.extensions
    if resolver is None or field.extensions or not callable(resolver.wrapped_func):
        return False
    own = type(field).get_result
    return own in (StrawberryField.get_result, ResolverField.get_result) and resolver.info_parameter is None


def method_of(field: StrawberryField, ctx: Ctx, arguments: Mapping[str, Any]) -> Read:
    """The resolver of a field that `is_method`, for one request and these arguments, by their Python names."""
    plain = _plain(field, ctx, arguments)
    allow = field.allow if isinstance(field, ResolverField | ColumnField) else None
    checks = field.checks if isinstance(field, ResolverField) else None
    if open_for(allow, ctx.identity):
        allow = None
    if allow is None and not checks:
        return plain

    def read(parent: Any) -> Any:
        ensure_allowed(allow, parent, ctx)
        checked(checks or {}, arguments)
        return plain(parent)

    return read


def awaited(field: StrawberryField, value: Any, ctx: Ctx) -> Any:
    """What is awaited of a resolver: ours end with the operation's deadline."""
    return within_deadline(value, ctx) if isinstance(field, ResolverField) and inspect.isawaitable(value) else value


def _plain(field: StrawberryField, ctx: Ctx, arguments: Mapping[str, Any]) -> Read:
    if isinstance(field, ColumnField):
        name = field.python_name
        return lambda parent: getattr(parent, name)
    resolver = field.base_resolver
    assert resolver is not None  # noqa: S101 - `is_method` says so
    function: Callable[..., Any] = resolver.wrapped_func  # type: ignore[assignment] # it is bound by now
    parameters = (resolver.parent_parameter, resolver.root_parameter)
    named = [parameter.name for parameter in parameters if parameter is not None]
    given = {**arguments}
    if isinstance(field, ResolverField) and field.ctx_parameter:
        given[field.ctx_parameter] = ctx
    is_told = resolver.self_parameter is not None
    if is_told and not named and not given:
        return function

    def read(parent: Any) -> Any:
        named_too = given | dict.fromkeys(named, parent) if named else given
        return function(parent, **named_too) if is_told else function(**named_too)

    return read
