"""One document executed twice over the labyrinth: by graphql-core and by its compiled plan; and what must be equal.

Data and the order of its keys are equal, byte for byte. Errors are equal as a multiset, but for those inside a part of the answer
that became null: of these graphql-core itself tells a subset, by who was first. There each null has a cause in both, and
every cause that the plan tells is one that graphql-core tells when it is asked not to null anything; a field that is shut to the
caller has one for what is below it.
"""

from __future__ import annotations

import gc
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from re import sub
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLError

from gateway.clock import Deadline
from gateway.execution.answer import plain
from gateway.execution.document import Documents, Operation
from gateway.execution.interpreting import at_once
from gateway.execution.on_error import OnError
from gateway.execution.planner import NotPlanned
from gateway.execution.plans import Plans
from gateway.execution.run import Run
from gateway.graph import Ctx
from gateway.graph.access import refusal
from gateway.identity import ANONYMOUS, Identity
from gateway.loading import Loaders, Loads, Reading, Spent
from gateway.services import ServiceConfig, Services
from gateway.services.policies import BreakerSettings, Retry
from gateway.telemetry import Telemetry
from gateway.testing import ScriptedWire, VirtualClock, run_virtual

from .documents import Writer
from .labyrinth import MOODS, SERVICES, Moods, graph, serve

gc.freeze()  # so that collecting what one execution has left is cheap

KNOWN = Identity("t", "s", frozenset())
CALLERS = (KNOWN, KNOWN, ANONYMOUS, Identity("t", "n", frozenset({"nobody"})))
"""Of whom the labyrinth's rules know nothing, that they may not, and that they may."""

Cause = tuple[tuple[str | int, ...], str]
"""Path and message of an error."""


@dataclass(frozen=True)
class Case:
    """A document, its variables, what goes wrong, and how many seconds there are."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    moods: Moods = Moods()
    seconds: float = 1_000.0
    on_error: OnError = OnError.PROPAGATE
    identity: Identity = KNOWN


class Differs(AssertionError):
    """The two executions do not agree."""


def written(random: Random) -> Case:
    """A random case; its document is nearly always valid."""
    writer = Writer(random, graph.core, depth=random.randint(1, 5))
    text = writer.document()
    moods = Moods(random.randrange(2**32), random.choice((0.0, 0.0, 0.02, 0.1, 0.3)))
    seconds, on_error = random.choice((1_000.0, 1_000.0, 0.5)), random.choice((*OnError, OnError.PROPAGATE))
    return Case(text, writer.values, moods, seconds, on_error, random.choice(CALLERS))


def compared(case: Case) -> str:
    """How it was executed: "compiled", or why not. Raises: Differs."""
    documents = Documents(graph.core, max_entries=10, max_tokens=10_000, metrics=Telemetry().metrics)
    operation = documents.operation(case.text, None)
    telemetry = Telemetry()
    plans = Plans(graph.core, is_on=True, telemetry=telemetry, sights=1)
    MOODS.set(case.moods)
    found = plans.find(operation, case.values)
    if isinstance(found, NotPlanned):
        return "not compiled"
    program, variables = found
    spent: list[Spent] = []
    theirs = _by_graphql_core(case, operation, spent)
    ours = run_virtual(
        executed(case, lambda ctx: _by_plan(Run(program, graph.core, ctx, variables, on_error=case.on_error)), spent)
    )
    try:
        assert _bytes(theirs.data) == _bytes(ours.data), "data differ"
        agree(case, operation, theirs, ours)
        if not (theirs.errors or ours.errors):
            assert len({(each.objects, each.weights) for each in spent}) == 1, f"costs differ: {spent}"
    except AssertionError as error:
        raise Differs(f"{case!r}\n{error}\ngraphql-core: {said(theirs)}\nthe plan:     {said(ours)}") from None
    return "compiled"


def agree(
    case: Case,
    operation: Operation,
    theirs: ExecutionResult,
    ours: ExecutionResult,
    *,
    besides: Sequence[GraphQLError] = (),
) -> None:
    """That the errors of both are those of the data, which are equal. Raises: AssertionError.

    `besides`: others of ours, which have to be ones that graphql-core tells.
    """
    their_causes, our_causes = _causes(theirs), _causes(ours)
    outside = [
        Counter(cause for cause in causes if _nulled_above(theirs.data, cause[0]) is None)
        for causes in (their_causes, our_causes)
    ]
    assert outside[0] == outside[1], f"errors differ: {outside[0] - outside[1]} and {outside[1] - outside[0]}"
    nulls = [
        {place for path, _ in causes if (place := _nulled_above(theirs.data, path)) is not None}
        for causes in (their_causes, our_causes)
    ]
    assert nulls[0] == nulls[1], f"nulls have causes in one of them only: {nulls[0] ^ nulls[1]}"
    if nulls[0] or besides:
        possible = _causes(_by_graphql_core(replace(case, on_error=OnError.NULL), operation))
        told = {*our_causes, *_causes(ExecutionResult(None, [*besides]))}
        unknown = {
            cause
            for cause in told - {*possible, *their_causes}
            if not _refuses_all_below(cause, possible, case.identity)
        }
        assert not unknown, f"nobody else tells {unknown}"


def _refuses_all_below(cause: Cause, possible: Sequence[Cause], identity: Identity) -> bool:
    """Whether a field was shut, so that one refusal stands for those of what is in it."""
    path, message = cause
    is_refusal = message in (refusal(identity).message, refusal(identity, "mutation").message)
    return is_refusal and any(below[: len(path)] == path and said in _REFUSALS for below, said in possible)


_REFUSALS = {refusal(each, asked).message for each in CALLERS for asked in ("field", "object", "mutation")}


def _by_graphql_core(case: Case, operation: Operation, spent: list[Spent] | None = None) -> ExecutionResult:
    """Its result. What it leaves behind unawaited where something became null is its own; what we leave fails the test."""
    return quietly(lambda: run_virtual(executed(case, lambda ctx: _interpreted(operation, case, ctx), spent)))


def quietly(execute: Callable[[], ExecutionResult]) -> ExecutionResult:
    """Its result, whatever it leaves behind."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        result = execute()
        _let_go(result)
        gc.collect()
    return result


def _let_go(result: ExecutionResult) -> None:
    """Forget the frames that the errors hold: a coroutine in one of them would be told of only when the result is gone."""
    errors: list[BaseException | None] = [*(result.errors or ())]
    seen = set[int]()
    while errors:
        error = errors.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            error.__traceback__ = None
            errors += [error.__cause__, error.__context__, getattr(error, "original_error", None)]


def _nulled_above(data: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    """The place above the path's end that is null, or was never delivered; None where the path can be followed."""
    value = data
    for depth, key in enumerate(path):
        if value is None or (isinstance(value, dict) and key not in value):
            return path[:depth]
        value = value[key]
    return None


def _causes(result: ExecutionResult) -> list[Cause]:
    """With how many others a parent asked in one tick is told by a batch resolver's error, and is no part of the answer."""
    return [
        (tuple(error.path or ()), sub(r"for \d+ parents", "for all", error.message)) for error in result.errors or ()
    ]


def _bytes(data: Any) -> bytes:
    return orjson.dumps(data, default=repr)


def said(result: ExecutionResult) -> str:
    """For people."""
    return f"{_bytes(result.data).decode()} {sorted(map(str, _causes(result)))}"


async def _by_plan(run: Run) -> ExecutionResult:
    done = await run.result()
    return ExecutionResult(plain(done.data), [*done.errors] or None)


async def _interpreted(operation: Operation, case: Case, ctx: Ctx) -> ExecutionResult:
    finished = await at_once(graph.core, operation, case.values, ctx, on_error=case.on_error)
    return ExecutionResult(finished.data, [*finished.errors] or None)


async def executed(case: Case, run: Any, spent: list[Spent] | None = None) -> ExecutionResult:
    """The result in a context of its own, over services that begin anew. `spent`: is told what it took."""
    telemetry, clock = Telemetry(), VirtualClock()
    config = {
        name: ServiceConfig(
            instances=(f"http://{name}.test",),
            retry=Retry(attempts=1),
            breaker=BreakerSettings(consecutive=10_000, volume=10_000),
        )
        for name in SERVICES
    }
    wires = {name: ScriptedWire(otherwise=serve) for name in SERVICES}
    services = Services(config, telemetry=telemetry, clock=clock, random=Random(1), wires=wires)
    loaders = Loaders(services=services, telemetry=telemetry, clock=clock, keep=graph.keep)
    async with services, loaders:
        identity, deadline = case.identity, Deadline.after(case.seconds, clock=clock)
        ctx = Ctx(
            identity=identity,
            deadline=deadline,
            loads=Loads(loaders, Reading(identity=identity, deadline=deadline)),
            telemetry=telemetry,
            clock=clock,
        )
        try:
            result: ExecutionResult = await run(ctx)
        finally:
            await ctx.loads.close()
            if spent is not None:
                spent.append(ctx.loads.reading.spent)
        return result
