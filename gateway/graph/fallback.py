"""What a join serves when it cannot serve what was asked: its fallbacks in their order, the first that can.

Invariant: whatever is served stands in the report, with the reason of the failure that led here and not that of a fallback. What is
left out for want of time is told once for all places: hundreds of notes would cost more than what was left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strawberry.types.info import Info

from ..clock import Seconds
from ..errors import GatewayError, Overloaded
from ..loading.reconcile import Undecided
from ..loading.reconciler import answers_of
from .context import Ctx
from .degradation import Alternative, Default, Degradation, Degraded, Fallback, Stale

if TYPE_CHECKING:
    from .join import JoinField


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one parent's join asked for."""

    parent: Any
    key: str
    arguments: Mapping[str, Any]
    ctx: Ctx
    info: Info[Any, Any]


@dataclass(frozen=True, slots=True)
class Served:
    """What stands in, and as what it is reported."""

    value: Any
    to: Degradation
    age: Seconds | None = None
    by: str | None = None


def left_out() -> Overloaded:
    """Why an optional join is not asked for."""
    return Overloaded("this gateway is overloaded, and leaves out what it can do without")


def served_everywhere(stands_in: Default[Any], error: GatewayError, asked: Asked, *, places: int) -> list[Any]:
    """The same for so many places, of which `asked` is one."""
    asked.ctx.note(Degraded(_names(asked.info), Degradation.DEFAULT, error, is_everywhere=True), times=places)
    return [_copy(stands_in.value) for _ in range(places)]


async def instead(error: GatewayError, field: JoinField, asked: Asked) -> Any:
    """What the first fallback that can serves in place of the answer. Raises: `error`, where none can."""
    path = asked.info.path.as_list()
    for fallback in field.fallbacks:
        if isinstance(error, Overloaded) and isinstance(fallback, Alternative):
            continue  # it would be one more call
        served = await _served(fallback, field, asked)
        if served is not None and (served.value is not None or field.is_nullable):
            is_everywhere = isinstance(error, Overloaded) and served.to is Degradation.DEFAULT
            where = _names(asked.info) if is_everywhere else path
            asked.ctx.note(Degraded(where, served.to, error, served.age, served.by, is_everywhere))
            return served.value
    asked.ctx.note(Degraded(path, Degradation.NULL, error))
    raise error


async def _served(fallback: Fallback, field: JoinField, asked: Asked) -> Served | None:
    """What this fallback can serve; None if nothing."""
    match fallback:
        case Default(value):
            return Served(_copy(value), Degradation.DEFAULT)
        case Stale(max_age=max_age):
            return _last_known(field, asked, max_age)
        case Alternative():
            return await _of_another(fallback, field, asked)


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _names(info: Info[Any, Any]) -> list[str | int]:
    """A path without places in lists."""
    return [each for each in info.path.as_list() if isinstance(each, str)]


def _last_known(field: JoinField, asked: Asked, max_age: Seconds) -> Served | None:
    """The last known answer; of several sources what their rule makes of the last that each is known to have said."""
    ctx, arguments = asked.ctx, asked.arguments
    known = {
        source: found
        for source in field.sources
        if (found := ctx.loads.stale(source, asked.key, arguments=arguments, max_age=max_age)) is not None
    }
    if not known:
        return None
    age = max(age for _, age in known.values())
    if field.reconcile is None:
        return Served(known[field.loader][0], Degradation.STALE, age)
    answers = answers_of([(source, value) for source, (value, _) in known.items()])
    verdict = field.reconcile.decide(answers, of=len(field.sources))
    return None if isinstance(verdict, Undecided) else Served(verdict.value, Degradation.STALE, age)


async def _of_another(alternative: Alternative[Any], field: JoinField, asked: Asked) -> Served | None:
    loader = alternative.loader
    key = getattr(asked.parent, alternative.on or field.on)
    if key is None:  # then there is nothing to ask the other service for; what the join asked for is still not known
        return None
    try:
        value = await asked.ctx.loads.load(loader, key, asked.arguments)
    except GatewayError:
        return None
    return Served(value, Degradation.ALTERNATIVE, by=loader.service)
