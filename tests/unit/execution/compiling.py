"""A compiled execution without a gateway around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import ExecutionResult

from gateway.execution.answer import plain
from gateway.execution.document import Documents, Operation
from gateway.execution.planner import NotPlanned
from gateway.execution.plans import Plans
from gateway.execution.run import Run
from gateway.graph import Ctx, Graph
from gateway.telemetry import Metrics, Telemetry
from tests.unit.graph.guarding import bare_ctx


def operation_of(graph: Graph, text: str) -> Operation:
    """Of a trusted document, which has no bounds: what runs it has bounds of its own."""
    documents = Documents(graph.core, max_entries=10, max_tokens=100_000, metrics=Metrics())
    documents.keep(text)
    return documents.operation(text, None)


async def executed(
    graph: Graph, text: str, variables: Mapping[str, Any] | None = None, *, ctx: Ctx | None = None
) -> ExecutionResult:
    """The result by the operation's plan. Raises: AssertionError where it has none."""
    plans = Plans(graph.core, is_on=True, telemetry=Telemetry(), sights=1)
    found = plans.find(operation_of(graph, text), variables or {})
    assert not isinstance(found, NotPlanned), f"it was not compiled: {found}"
    program, coerced = found
    done = await Run(program, graph.core, ctx or bare_ctx(), coerced).result()
    return ExecutionResult(plain(done.data), [*done.errors] or None)


def told(result: ExecutionResult) -> list[tuple[list[str | int] | None, str]]:
    """(path, message) of each error, sorted."""
    found = [(error.path, error.message) for error in result.errors or ()]
    return sorted(found, key=str)
