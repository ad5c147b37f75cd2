"""One document answered in parts over the labyrinth, by graphql-core and by its plan; and what must be equal when all is there.

Put together, the parts of both are the same data, and where nothing failed they are the answer without @defer. Errors are compared
as `comparing` does; a part that failed has no members, and counts as a null. The deadline is far away: a plan begins sooner with
what is deferred, and would be cut off elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLError

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

from .comparing import Case, Differs, agree, executed, quietly, said
from .documents import Writer
from .labyrinth import MOODS, Moods, graph


def written(random: Random) -> Case:
    """A random case that defers; its document is nearly always valid."""
    writer = Writer(random, graph.core, depth=random.randint(1, 4), defers=0.5)
    text = writer.document()
    return Case(text, writer.values, Moods(random.randrange(2**32), random.choice((0.0, 0.02, 0.1, 0.3))))


def compared(case: Case) -> str:
    """How it was executed: "compiled", or why not. Raises: Differs."""
    documents = Documents(graph.core, max_entries=10, max_tokens=10_000, metrics=Telemetry().metrics)
    operation = documents.operation(case.text, None)
    if not operation.defers:
        return "nothing deferred"
    plans = Plans(graph.core, is_on=True, telemetry=Telemetry(), sights=1)
    MOODS.set(case.moods)
    whole = quietly(lambda: run_virtual(executed(case, lambda ctx: _whole(case, operation, ctx))))
    theirs = quietly(lambda: run_virtual(executed(case, lambda ctx: _by_graphql_core(case, operation, ctx))))
    try:
        if not whole.errors:
            assert theirs.errors is None
            assert _sorted(theirs.data) == _sorted(whole.data), "graphql-core's parts are not the whole"
        found = plans.find(operation, case.values)
        if isinstance(found, NotPlanned):
            return found.reason
        program, variables = found
        ours = run_virtual(
            executed(case, lambda ctx: _put_together(in_parts(Run(program, graph.core, ctx, variables))))
        )
        assert _sorted(theirs.data) == _sorted(ours.data), f"data differ: {said(ours)}"
        agree(case, operation.at_once, theirs, ours)
    except AssertionError as error:
        raise Differs(f"{case!r}\n{error}\ngraphql-core: {said(theirs)}\nthe whole:    {said(whole)}") from None
    return "compiled"


async def _whole(case: Case, operation: Operation, ctx: Ctx) -> ExecutionResult:
    done = await at_once(graph.core, operation.at_once, case.values, ctx)
    return ExecutionResult(done.data, [*done.errors] or None)


async def _by_graphql_core(case: Case, operation: Operation, ctx: Ctx) -> ExecutionResult:
    return await _put_together(by_and_by(graph.core, operation, case.values, ctx))


async def _put_together(payloads: Any) -> ExecutionResult:
    data, errors = merged([_formatted(each) async for each in payloads])
    found = [GraphQLError(each["message"], path=each.get("path")) for each in errors]
    return ExecutionResult(data, found or None)


def _formatted(payload: Payload) -> Mapping[str, Any]:
    if isinstance(payload, Executed):
        return {"data": plain(payload.data), "errors": [each.formatted for each in payload.errors]}
    formatted: Mapping[str, Any] = plain(payload.formatted)
    return formatted


def _sorted(data: Any) -> bytes:
    return orjson.dumps(data, default=repr, option=orjson.OPT_SORT_KEYS)
