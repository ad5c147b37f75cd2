"""The engine: one operation from text to result. Read `answer` first; it is the table of contents of this floor.

Invariants: a query ends with its deadline or its client, its calls too; a saga that it began does not. `answer` never raises but
for cancellation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from graphql import ExecutionResult, OperationType
from msgspec.structs import replace

from ..admission import WITHOUT_LIMITS, Admission, Clients, Rank, Visit
from ..clock import Clock, Deadline, Instant, Seconds
from ..errors import GatewayError
from ..graph import Ctx, Graph, event_id_of
from ..loading import Loaders, Loads, Polls, Reading, Recording
from ..sagas import Host, KeyRing
from ..services import Priority, Services
from ..services.timers import Timers
from ..telemetry import Children, Span, SpanKind, Telemetry
from .cost import Cost
from .costing import Costs, actual_of
from .delivery import in_parts
from .document import Documents, Operation
from .explained import Explainer
from .explaining import Explanation, as_json, measured
from .freshness import Freshnesses
from .handover import Give, handed_over
from .interpreting import at_once, by_and_by, events_of, next_within
from .limits import USUAL_SCOPES, OperationLimits, SagaScopes
from .parts import Parts, Payload
from .permitting import comes_in_parts, ensure_permitted
from .planner import NotPlanned
from .plans import Plans
from .rejecting import Rejecting
from .request import GraphQLRequest
from .result import Executed, GraphQLResult, Results
from .run import Run


def _nobody_waits() -> None: ...


class Engine:
    """Executes operations of one graph, for one application."""

    def __init__(
        self,
        graph: Graph,
        *,
        documents: Documents,
        plans: Plans,
        loaders: Loaders,
        admission: Admission,
        limits: OperationLimits,
        telemetry: Telemetry,
        clock: Clock,
        services: Services | None = None,
        sagas: Host | None = None,
        scopes: SagaScopes = USUAL_SCOPES,
        secret_keys: KeyRing | None = None,
        clients: Clients = WITHOUT_LIMITS,
        is_strained: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_strained`: whether queries should leave out what they can do without."""
        self.graph = graph
        self.documents = documents
        self.plans = plans
        self.admission = admission
        self.clients = clients
        self.results = Results(telemetry)
        self.polls = Polls(loaders, clock=clock)
        self._loaders = loaders
        self._limits = limits
        self._telemetry = telemetry
        self._operations = Children(telemetry.metrics.operations)
        self._clock = clock
        self._services = services
        self._sagas = sagas
        self._scopes = scopes
        self._secret_keys = secret_keys
        self._is_strained = is_strained
        self._timers = Timers()
        self._freshnesses = Freshnesses(graph.core)
        self._rejecting = Rejecting(graph.core)
        self._explainer = Explainer(
            graph=graph, services=services or {}, saga_wait=limits.saga_wait, compiles=plans.is_on
        )

        self.costs = Costs(
            limit=limits.max_cost,
            mode=limits.cost,
            slicing=graph.slicing,
            metrics=telemetry.metrics,
            formula=self._explainer.cost_formula,
        )

    async def answer(self, request: GraphQLRequest) -> GraphQLResult:
        """Permit, document, run, shape."""
        with self._telemetry.span("GraphQL", SpanKind.SERVER, parent=request.trace) as span:
            started, kind, name = self._clock.now(), "unknown", None
            visit = self.clients.operation(request.client, request.identity)
            try:
                rank = self._rank(request)
                with visit:
                    async with self.admission.permit(
                        rank, client=request.client, deadline=self._patience(request, started)
                    ):
                        operation = self._document(request).at_once
                        kind, name = operation.kind.value, operation.name
                        _describe(span, operation)
                        ensure_permitted(operation, request, self.graph)
                        self._rejecting.ensure_permitted(operation, request.variables, request.identity)
                        charged = await self._charge(operation, request, span, visit)
                        result = await self._run(operation, request, charged, span=span, visit=visit, since=started)
                if visit.quota is not None:
                    result = replace(result, quota=visit.quota)
            except GatewayError as error:
                result = self.results.refused(error)
            except Exception as error:  # our own bug, outside any field: masked, logged, and the client gets an answer
                result = self.results.broken(error)
            self._tell(kind, name, request=request, result=result, lasted=Seconds(self._clock.now() - started))
            return result

    def _rank(self, request: GraphQLRequest) -> Rank:
        """How important the operation is. Cost: a look-up; a document that is not known yet is believed what it begins with."""
        if request.priority is Priority.CRITICAL or request.identity.has(self._scopes.operator):
            return Rank.CRITICAL
        if request.priority is Priority.SHEDDABLE:
            return Rank.BACKGROUND
        kind = self.documents.kind(request.text, request.operation_name)
        is_mutation = kind is OperationType.MUTATION if kind is not None else _begins_as_mutation(request.text)
        return Rank.MUTATION if is_mutation else Rank.QUERY

    def _patience(self, request: GraphQLRequest, arrived: Instant) -> Deadline:
        """When the answer is of no use to the client any more, before it is known what it asks for."""
        asked = request.timeout
        return Deadline() if asked is None else Deadline(Instant(arrived + min(asked, self._limits.longest)))

    def is_subscription(self, request: GraphQLRequest) -> bool:
        """A document that is refused is none. Cost: a look-up, for documents in which the word is found."""
        operation = self._found(request) if OperationType.SUBSCRIPTION.value in request.text else None
        return operation is not None and operation.kind is OperationType.SUBSCRIPTION

    def streams(self, request: GraphQLRequest) -> bool:
        """Whether `stream` may have several answers. Cost: as of `is_subscription`."""
        if self.is_subscription(request):
            return True
        operation = self._found(request) if "defer" in request.text or "stream" in request.text else None
        return operation is not None and comes_in_parts(operation, request)

    def _document(self, request: GraphQLRequest) -> Operation:
        return self.documents.operation(request.text, request.operation_name, introspects=request.introspects)

    def _found(self, request: GraphQLRequest) -> Operation | None:
        try:
            return self._document(request)
        except GatewayError:
            return None

    async def stream(
        self, request: GraphQLRequest, *, begun: Callable[[], None] = _nobody_waits
    ) -> AsyncGenerator[GraphQLResult]:
        """The answers of an operation, over a transport that can carry many: one, unless it is a subscription, or defers.

        The next event of a subscription is asked for when its last answer was taken: nothing is queued for a slow reader. What
        is deferred or streamed comes in parts, if it does (`comes_in_parts`).
        `begun`: called when a subscription was taken, since its first event may be far.
        """
        try:
            operation = self._document(request)
        except GatewayError as error:
            self.clients.toll(request.client, request.identity)
            yield self.results.refused(error)
            return
        results: AsyncGenerator[GraphQLResult]
        if operation.kind is OperationType.SUBSCRIPTION:
            results = self._events(operation.at_once, request, begun)
        elif comes_in_parts(operation, request):
            results = handed_over(lambda give: self._deliver(operation, request, give))
        else:
            yield await self.answer(request)
            return
        async with aclosing(results):
            async for result in results:
                yield result

    async def _deliver(self, operation: Operation, request: GraphQLRequest, give: Give[GraphQLResult]) -> None:
        """Permit, run, shape: part by part. The operation's deadline is that of all parts, and its line in the log is one."""
        with self._telemetry.span("GraphQL", SpanKind.SERVER, parent=request.trace) as span:
            _describe(span, operation)
            started = self._clock.now()
            ctx = self._context(operation, request, since=started)
            parts = Parts(self.results, ctx, request.incremental)
            visit = self.clients.operation(request.client, request.identity)
            charged: Cost | None = None
            try:
                rank = self._rank(request)
                with visit:
                    async with self.admission.permit(rank, client=request.client, deadline=ctx.deadline):
                        ensure_permitted(operation, request, self.graph)
                        self._rejecting.ensure_permitted(operation.at_once, request.variables, request.identity)
                        charged = await self._charge(operation.at_once, request, span, visit)
                        async with aclosing(self._payloads(operation, request, ctx)) as payloads:
                            while (payload := await next_within(ctx.deadline, payloads)) is not None:
                                await _give(parts.shaped(payload), give)
            except Exception as error:  # ours, or a bug: told to the client for whatever is still pending
                await _give(parts.ended(error), give)
            finally:
                self._settle(ctx, charged, span, visit)
                await ctx.loads.close()
            lasted = Seconds(self._clock.now() - started)
            self._tell(operation.kind.value, operation.name, request=request, result=parts.whole, lasted=lasted)

    def _payloads(self, operation: Operation, request: GraphQLRequest, ctx: Ctx) -> AsyncGenerator[Payload]:
        found = self.plans.find(operation, request.variables)
        if isinstance(found, NotPlanned):
            return by_and_by(self.graph.core, operation, request.variables, ctx)
        program, variables = found
        return in_parts(Run(program, self.graph.core, ctx, variables))

    async def _events(
        self, operation: Operation, request: GraphQLRequest, begun: Callable[[], None]
    ) -> AsyncGenerator[GraphQLResult]:
        """A subscription. Each event is an operation of its own: with a deadline, loads and notes that begin with it. What it costs
        the client owes, and is not refused: who has not asked for it cannot ask for less."""
        ctx = self._context(operation, request, deadline=Deadline())
        visit = self.clients.subscription(request.client, request.identity)
        try:
            with visit, self.admission.stream():
                self._rejecting.ensure_permitted(operation, request.variables, request.identity)
                charged = await self._charge(operation, request, None, visit)
                source = await events_of(self.graph.core, operation, request.variables, ctx)
                if isinstance(source, ExecutionResult):
                    yield self.results.executed(Executed(source.data, source.errors or ()), ctx)
                    return
                begun()
                async with aclosing(aiter(source)) as events:
                    async for event in events:
                        yield await self._answer_event(operation, request, event, charged, visit)
        except GatewayError as error:
            yield self.results.refused(error)
        except Exception as error:  # the author's stream, or a bug of ours: masked, logged, and told to the client
            known = getattr(error, "original_error", None)
            yield self.results.refused(known) if isinstance(known, GatewayError) else self.results.broken(error)
        finally:
            await ctx.loads.close()

    async def _answer_event(
        self, operation: Operation, request: GraphQLRequest, event: Any, charged: Cost | None, visit: Visit
    ) -> GraphQLResult:
        with self._telemetry.span("GraphQL event", SpanKind.SERVER, parent=request.trace) as span:
            result = await self._run(operation, request, charged, span=span, visit=visit, root=event)
        event_id = event_id_of(event)
        return result if event_id is None else replace(result, event_id=event_id)

    def _tell(
        self, kind: str, name: str | None, *, request: GraphQLRequest, result: GraphQLResult, lasted: Seconds
    ) -> None:
        """The operation's line in the log and its place in the metrics. Its name is the client's text: never a label."""
        self._operations[kind, result.outcome].observe(lasted)
        self._telemetry.log.info(
            "operation",
            type=kind,
            name=name,
            outcome=result.outcome,
            code=result.code,
            milliseconds=round(lasted * 1000, 1),
            **({} if request.faults is None else {"faults": request.faults}),
        )

    def refuse(self, error: Exception) -> GraphQLResult:
        """The answer to a request that never became one: a malformed body, an unknown token; a foreign error is masked."""
        return self.results.refused(error) if isinstance(error, GatewayError) else self.results.broken(error)

    async def _charge(
        self, operation: Operation, request: GraphQLRequest, span: Span | None, visit: Visit
    ) -> Cost | None:
        """The one place where the estimated cost is known before anything is called; of a subscription, that of an event.

        None where nobody wants to know. Raises: OperationTooExpensive; RequestError; as `Visit.charge`.
        """
        estimate = self.costs.charge(operation, request.variables, span)
        if visit.is_priced:
            await visit.charge(self.costs.points(estimate))
        if estimate is None and request.tells_cost:
            return self.costs.estimate(operation, request.variables)
        return estimate

    def _settle(self, ctx: Ctx, charged: Cost | None, span: Span, visit: Visit) -> None:
        """The one place where it is known what an operation, or an event, really took: when it has ended, however it has."""
        actual = self.costs.settle(ctx.loads.reading.spent, charged, span)
        if visit.is_priced:
            visit.settle(self.costs.points(actual))

    async def _run(
        self,
        operation: Operation,
        request: GraphQLRequest,
        charged: Cost | None,
        *,
        span: Span,
        visit: Visit,
        root: Any = None,
        since: Instant | None = None,
    ) -> GraphQLResult:
        """`charged`: its estimated cost, if anybody wants to know. `since`: when the request arrived; None: now."""
        explanation = self._explanation(operation, request) if request.is_explained else None
        ctx = self._context(operation, request, since=since)
        found = self.plans.find(operation, request.variables)
        try:
            if isinstance(found, NotPlanned):
                finished = await at_once(
                    self.graph.core, operation, request.variables, ctx, root=root, on_error=request.on_error
                )
            else:
                program, variables = found
                run = Run(program, self.graph.core, ctx, variables, on_error=request.on_error)
                finished = await run.result()
            result = self.results.executed(finished, ctx)
            if request.tells_cost and charged is not None:
                cost = self.costs.as_json(charged, actual_of(ctx.loads.reading.spent, charged))
                result = replace(result, extensions={**result.extensions, "cost": cost})
            recording = ctx.loads.reading.recording
            if request.tells_freshness and recording is not None and not (result.errors or result.extensions):
                now = self._clock.now()
                freshness = self._freshnesses.of(operation, recording, identity=request.identity, now=now)
                result = replace(result, freshness=freshness)
            if explanation is None or recording is None:
                return result
            why_not = found.reason if isinstance(found, NotPlanned) else None
            actual = actual_of(ctx.loads.reading.spent, explanation.cost)
            explained = measured(explanation, recording, ctx.begun or {}, cost=actual, not_compiled=why_not)
            return replace(result, extensions={**result.extensions, "explain": as_json(explained)}, freshness=None)
        finally:
            self._settle(ctx, charged, span, visit)
            await ctx.loads.close()

    def _explanation(self, operation: Operation, request: GraphQLRequest) -> Explanation:
        """Of what will be run now. Raises: RequestError."""
        deadline = self._limits.granted(operation.kind, request.timeout)
        return self._explainer.explanation(operation, request.variables, deadline=deadline)

    def _context(
        self,
        operation: Operation,
        request: GraphQLRequest,
        *,
        deadline: Deadline | None = None,
        since: Instant | None = None,
    ) -> Ctx:
        if deadline is None:
            since = self._clock.now() if since is None else since
            deadline = Deadline(Instant(since + self._limits.granted(operation.kind, request.timeout)))
        reading = Reading(
            identity=request.identity,
            deadline=deadline,
            headers=request.headers,
            priority=request.priority,
            faults=request.faults,
            recording=Recording(self._clock) if request.is_explained or request.tells_freshness else None,
        )
        return Ctx(
            identity=request.identity,
            deadline=deadline,
            loads=Loads(self._loaders, reading),
            polls=self.polls,
            telemetry=self._telemetry,
            clock=self._clock,
            timers=self._timers,
            services=self._services,
            sagas=self._sagas,
            secret_keys=self._secret_keys,
            idempotency_key=request.idempotency_key,
            last_event_id=request.last_event_id,
            raw_variables=request.variables,
            saga_wait=self._limits.saga_wait,
            operator_scope=self._scopes.operator,
            overseer_scope=self._scopes.overseer,
            signal_scope=self._scopes.signal,
            sheds=self._is_strained()
            and operation.kind is OperationType.QUERY
            and request.priority is not Priority.CRITICAL,
            begun={} if request.is_explained else None,
        )


def _begins_as_mutation(text: str) -> bool:
    return text.lstrip().startswith("mutation")


def _describe(span: Span, operation: Operation) -> None:
    span.update_name(operation.kind.value)
    span.set_attributes(
        {"graphql.operation.type": operation.kind.value, "graphql.operation.name": operation.name or ""}
    )


async def _give(result: GraphQLResult | None, give: Give[GraphQLResult]) -> None:
    if result is not None:
        await give(result)
