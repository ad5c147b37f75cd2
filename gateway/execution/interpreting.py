"""By graphql-core: what is seen for the first time, the events of subscriptions, and whatever has no plan.

Invariant: where an operation is to be answered at once, @defer and @stream are no part of it: `Operation.at_once` is handed in.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, TypeVar

from graphql import ExecutionResult, Executor, GraphQLSchema, OperationType, create_source_event_stream
from graphql.execution import ExperimentalIncrementalExecutionResults
from graphql.execution.incremental import IncrementalExecutor

from ..clock import Deadline, Instant
from ..errors import DeadlineExceeded
from ..graph import Ctx
from .counting import counted
from .document import Operation
from .guarding import heeding_rules, refused_stream
from .on_error import EXECUTORS, OnError
from .parts import Payload
from .result import Executed
from .unrepeated import unrepeated

T = TypeVar("T")

GRACE = 0.1
"""Seconds after the deadline. Loads and resolvers end with it by themselves, each with an error at its own path, and it is these
that the client should read; what is still not there (an author's asynchronous generator) is cut off."""


async def at_once(
    schema: GraphQLSchema,
    operation: Operation,
    variables: Mapping[str, Any],
    ctx: Ctx,
    *,
    root: Any = None,
    on_error: OnError = OnError.PROPAGATE,
) -> Executed:
    """Data and errors."""
    found = await _executed(EXECUTORS[on_error], schema, operation, variables, ctx, root=root)
    if not isinstance(found, ExecutionResult):
        raise TypeError(f"{EXECUTORS[on_error].__name__} defers, and nobody reads what comes later")
    return Executed(found.data, found.errors or ())


async def by_and_by(
    schema: GraphQLSchema, operation: Operation, variables: Mapping[str, Any], ctx: Ctx
) -> AsyncGenerator[Payload]:
    """Data and errors, then what was deferred.

    In a query that is begun with the rest, so that it shares its calls: else each item of a streamed list would make its own, one
    after the other. In a mutation it is begun when the first part was taken: it reads what later fields have written.
    """
    begins_early = operation.kind is OperationType.QUERY
    found = await _executed(IncrementalExecutor, schema, operation, variables, ctx, begins_early=begins_early)
    if isinstance(found, ExecutionResult):
        yield Executed(found.data, found.errors or ())
        return
    first, later = found
    try:
        yield first
        async for each in later:
            yield each
    finally:
        await later.aclose()


async def events_of(schema: GraphQLSchema, operation: Operation, variables: Mapping[str, Any], ctx: Ctx) -> Any:
    """The stream of events, or an ExecutionResult that says why there is none."""
    executor = heeding_rules(Executor, schema).build(
        schema,
        operation.document,
        context_value=ctx,
        raw_variable_values=dict(variables),
        operation_name=operation.name,
    )
    if isinstance(executor, list):
        declared = operation.node.variable_definitions or ()
        return ExecutionResult(None, errors=unrepeated(executor, schema, declared))
    refused = refused_stream(executor)
    if refused is not None:
        return ExecutionResult(None, errors=[refused])
    source = create_source_event_stream(executor)
    return await source if inspect.isawaitable(source) else source


async def next_within(deadline: Deadline, payloads: AsyncIterator[T]) -> T | None:
    """The next of them, None after the last. Raises: DeadlineExceeded where it is not there in time."""
    scope = Deadline(Instant(deadline.at + GRACE)).scope()
    try:
        async with scope:
            return await anext(payloads, None)
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise DeadlineExceeded("the operation's deadline passed before this part was ready") from error


async def _executed(
    kind: type[Executor[Any]],
    schema: GraphQLSchema,
    operation: Operation,
    variables: Mapping[str, Any],
    ctx: Ctx,
    *,
    root: Any = None,
    begins_early: bool = False,
) -> ExecutionResult | ExperimentalIncrementalExecutionResults:
    executor = heeding_rules(counted(kind, schema), schema).build(
        schema,
        operation.document,
        root_value=root,
        context_value=ctx,
        raw_variable_values=dict(variables),
        operation_name=operation.name,
        enable_early_execution=begins_early,
    )
    if isinstance(executor, list):
        return ExecutionResult(None, errors=unrepeated(executor, schema, operation.node.variable_definitions or ()))
    outcome = executor.execute_operation()
    return await outcome if inspect.isawaitable(outcome) else outcome
