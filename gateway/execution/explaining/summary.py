"""What an operation costs as a whole: services, calls, layers, the slowest path.

Invariant: pure, from the fields alone. Counting supposes that every list has something in it and no batch more keys than fit in one
call; a function's code is supposed to call what it names once, and one entry of each table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...clock import Seconds
from .explanation import Call, ExplainedField, SlowestPath, Summary
from .outages import outages


def summary(fields: Sequence[ExplainedField], *, is_serial: bool) -> Summary:
    """`is_serial`: the fields at the root run one after another."""
    everything = [each for field in fields for each in field.below()]
    calling = [(field, call) for field in everything for call in _chosen(field.calls)]
    services = tuple(dict.fromkeys(call.service for field in everything for call in every_call(field)))
    return Summary(
        services=services,
        joins=len({(call.question, field.layer) for field, call in calling if field.join is not None}),
        calls=_together(everything),
        calls_at_most=len({_asked_at(field, call) for field, call in calling}),
        saga_calls=sum(len(_chosen(step.calls)) for field in everything if field.saga for step in field.saga.steps),
        layers=max((field.layer for field in everything), default=0),
        slowest=_slowest(fields, is_serial=is_serial),
        outages=outages(fields, services),
    )


def every_call(field: ExplainedField) -> Iterator[Call]:
    """Whatever the field itself may call: fallbacks, steps and undos too."""
    yield from field.calls
    if field.join is not None:
        yield from (each.call for each in field.join.fallbacks if each.call is not None)
    if field.saga is not None:
        for step in field.saga.steps:
            yield from (*step.calls, *step.undo_calls)


def _together(fields: Sequence[ExplainedField]) -> int:
    """Calls when a layer is asked at one time. What a table is asked for may be what another field of the layer asks."""
    asked = {(call.question, field.layer) for field in fields for call in field.calls if call.one_of is None}
    for field in fields:
        for table in dict.fromkeys(call.one_of for call in field.calls if call.one_of is not None):
            entries = [(call.question, field.layer) for call in field.calls if call.one_of == table]
            if asked.isdisjoint(entries):
                asked.add(entries[0])
    return len(asked)


def _asked_at(field: ExplainedField, call: Call) -> tuple[int, int | None]:
    """What keeps two calls apart for certain: another question, or another moment. Code asks with arguments of its own."""
    return (call.question, -field.number if field.is_read_off_code else field.waits_for)


def _chosen(calls: Sequence[Call]) -> list[Call]:
    """The calls, of each table in Python only its first entry: the code picks one."""
    tables: set[str] = set()
    chosen: list[Call] = []
    for call in calls:
        if call.one_of is None or call.one_of not in tables:
            chosen.append(call)
        if call.one_of is not None:
            tables.add(call.one_of)
    return chosen


def _slowest(fields: Sequence[ExplainedField], *, is_serial: bool) -> SlowestPath:
    chains = [_chain(field) for field in fields]
    if is_serial:
        return _joined(chains)
    return max(chains, key=lambda chain: chain.seconds, default=_NOTHING)


def _chain(field: ExplainedField) -> SlowestPath:
    """The slowest path that begins with `field`."""
    below = max((_chain(each) for each in field.fields), key=lambda chain: chain.seconds, default=_NOTHING)
    if not field.calls and field.saga is None:
        return below
    return _joined([SlowestPath(paths=(field.path,), attempts=_attempts(field), seconds=_seconds(field)), below])


def _joined(chains: Sequence[SlowestPath]) -> SlowestPath:
    return SlowestPath(
        paths=tuple(path for chain in chains for path in chain.paths),
        attempts=sum(chain.attempts for chain in chains),
        seconds=Seconds(sum(chain.seconds for chain in chains)),
    )


_NOTHING = SlowestPath(paths=(), attempts=0, seconds=Seconds(0.0))


def _attempts(field: ExplainedField) -> int:
    """Attempts one after another that the field may wait for; a saga's are its own."""
    if field.saga is not None:
        return 0
    if field.join is None:
        return sum(call.attempts for call in _slowest_of_tables(field.calls))
    return max(call.attempts for call in field.calls) + sum(
        each.call.attempts for each in field.join.fallbacks if each.call is not None
    )


def _seconds(field: ExplainedField) -> Seconds:
    """A join asks its sources at the same time, then its alternatives in their order; code may ask one thing after another."""
    if field.saga is not None:
        return field.saga.wait
    if field.join is None:
        return Seconds(sum(call.longest for call in _slowest_of_tables(field.calls)))
    alternatives = sum(each.call.longest for each in field.join.fallbacks if each.call is not None)
    return Seconds(max(call.longest for call in field.calls) + alternatives)


def _slowest_of_tables(calls: Sequence[Call]) -> list[Call]:
    """The calls, of each table only the one that can take longest."""
    return _chosen(sorted(calls, key=lambda call: call.longest, reverse=True))
