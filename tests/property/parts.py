"""One document answered in parts over the labyrinth, by graphql-core and by its plan; and what must be equal when all is there.

Put together, the parts of both are the same data, and where nothing failed they are the answer without @defer. Errors are compared
as `comparing` does. The same fragments fail in both, each for a reason that graphql-core knows: of several it tells one, by who was
first. The deadline is far away: a plan begins sooner with what is deferred, and would be cut off elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from random import Random
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, get_named_type, is_composite_type

from gateway.execution.answer import plain
from gateway.execution.delivery import in_parts
from gateway.execution.document import Documents, Operation
from gateway.execution.interpreting import at_once, by_and_by
from gateway.execution.parts import Payload
from gateway.execution.planner import NotPlanned
from gateway.execution.plans import Plans
from gateway.execution.result import Executed
from gateway.execution.run import Run
from gateway.graph import Ctx
from gateway.telemetry import Telemetry
from gateway.testing import run_virtual
from tests.unit.execution.in_parts import merged

from .comparing import CALLERS, Case, Differs, agree, executed, quietly, said
from .documents import Writer
from .labyrinth import MOODS, Moods, graph

Failed = tuple[object, GraphQLError]
"""Path and label of a fragment of which nothing was delivered, and an error that says why."""


class Repeating(Writer):
    """Asks for few fields of a type, again and again, so that fragments overlap and go deeper into one another."""

    def __init__(self, random: Random, schema: GraphQLSchema, *, depth: int, defers: float) -> None:
        super().__init__(random, schema, depth=depth, defers=defers)
        self._usual: dict[str, list[str]] = {}

    def _field(self, kind: Any, depth: int) -> str:
        if self._random.random() < 0.2 or depth <= 0:
            return super()._field(kind, depth)
        plain = [name for name, each in kind.fields.items() if not any(map(self._is_required, each.args.values()))]
        if kind.name not in self._usual:
            self._usual[kind.name] = self._random.sample(plain, min(4, len(plain)))
        name = self._random.choice(self._usual[kind.name])
        below = get_named_type(kind.fields[name].type)
        return f"{name} {self._selections(below, depth - 1)}" if is_composite_type(below) else name

    def _fragment(self, kind: Any, depth: int) -> str | None:
        """Often the same level again."""
        if self._random.random() < 0.5:
            return f"...{self._defer()} {self._selections(kind, depth)}" if depth > 1 else None
        return super()._fragment(kind, depth)


def written(random: Random) -> Case:
    """A random case that defers; its document is nearly always valid."""
    kind = random.choice((Writer, Repeating))
    writer = kind(random, graph.core, depth=random.randint(1, 4), defers=0.5)
    text = writer.document()
    moods = Moods(random.randrange(2**32), random.choice((0.0, 0.02, 0.1, 0.3)))
    return Case(text, writer.values, moods, identity=random.choice(CALLERS))


def compared(case: Case) -> str:
    """How it was executed: "compiled", or why not. Raises: Differs."""
    documents = Documents(graph.core, max_entries=10, max_tokens=10_000, metrics=Telemetry().metrics)
    operation = documents.operation(case.text, None)
    if not operation.defers:
        return "nothing deferred"
    plans = Plans(graph.core, is_on=True, telemetry=Telemetry(), sights=1)
    MOODS.set(case.moods)
    whole = quietly(lambda: run_virtual(executed(case, lambda ctx: _whole(case, operation, ctx))))
    theirs_failed: list[Failed] = []
    theirs = quietly(
        lambda: run_virtual(executed(case, lambda ctx: _by_graphql_core(case, operation, ctx, theirs_failed)))
    )
    try:
        if not whole.errors:
            assert (theirs.errors, theirs_failed) == (None, [])
            assert _sorted(theirs.data) == _sorted(whole.data), "graphql-core's parts are not the whole"
        found = plans.find(operation, case.values)
        if isinstance(found, NotPlanned):
            return found.reason
        program, variables = found
        ours_failed: list[Failed] = []
        ours = run_virtual(
            executed(
                case, lambda ctx: _put_together(in_parts(Run(program, graph.core, ctx, variables)), failed=ours_failed)
            )
        )
        assert _sorted(theirs.data) == _sorted(ours.data), f"data differ: {said(ours)}"
        assert _places(theirs_failed) == _places(ours_failed), "other fragments failed"
        agree(case, operation.at_once, theirs, ours, besides=[error for _, error in ours_failed])
    except AssertionError as error:
        raise Differs(f"{case!r}\n{error}\ngraphql-core: {said(theirs)}\nthe whole:    {said(whole)}") from None
    return "compiled"


async def _whole(case: Case, operation: Operation, ctx: Ctx) -> ExecutionResult:
    done = await at_once(graph.core, operation.at_once, case.values, ctx)
    return ExecutionResult(done.data, [*done.errors] or None)


async def _by_graphql_core(case: Case, operation: Operation, ctx: Ctx, failed: list[Failed]) -> ExecutionResult:
    return await _put_together(by_and_by(graph.core, operation, case.values, ctx), failed=failed)


async def _put_together(payloads: AsyncIterator[Payload], *, failed: list[Failed]) -> ExecutionResult:
    """`failed` is told which fragments failed, and why."""
    parts = [_formatted(each) async for each in payloads]
    places = {
        each["id"]: (tuple(each["path"]), each.get("label")) for part in parts for each in part.get("pending", ())
    }
    for each in (each for part in parts for each in part.get("completed", ())):
        failed += [(places[each["id"]], _error(error)) for error in each.pop("errors", ())]
    data, errors = merged(parts)
    return ExecutionResult(data, [_error(each) for each in errors] or None)


def _error(formatted: Mapping[str, Any]) -> GraphQLError:
    return GraphQLError(formatted["message"], path=formatted.get("path"))


def _places(failed: Sequence[Failed]) -> set[str]:
    return {repr(place) for place, _ in failed}


def _formatted(payload: Payload) -> Mapping[str, Any]:
    if isinstance(payload, Executed):
        return {"data": plain(payload.data), "errors": [each.formatted for each in payload.errors]}
    formatted: Mapping[str, Any] = plain(payload.formatted)
    return formatted


def _sorted(data: Any) -> bytes:
    return orjson.dumps(data, default=repr, option=orjson.OPT_SORT_KEYS)
