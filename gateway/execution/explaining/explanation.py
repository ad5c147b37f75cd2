"""What will happen to an operation, as data: the fields, the calls behind them, what waits for what, and how it fails.

Made by `explain`, shown by whoever likes: nothing here knows of terminals or settings files. What a run did hangs on the same
values, in members called `run` and `reads`, which are None until `measured` sets them. Invariants: immutable; numbers are in the
units that their types or names say; a `path` is a list of response keys, without places in lists, since how long those are shows
only when it runs; nothing of a payload, a key that was loaded, or an address is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...clock import Seconds
from ...loading.recording import ReadKind
from ...sagas import SagaState, StepState
from ..cost import Cost
from .sizes import Sizes

UNTOLD = {"is_told": False}
"""Metadata of a member that is none of the data that is shown."""

Path = tuple[str, ...]

Kind = Literal["column", "join", "batched", "resolver", "saga", "introspection"]
"""Where a value comes from: the parent's own payload, a declared edge, Python (for all parents at once, or for each), a saga, the
schema itself."""

Becomes = Literal["partial", "null", "default", "stale", "alternative", "undone", "delayed"]
"""What an outage makes of a field. Of a saga: "undone" before its pivot; "delayed" after it, or while its outcome is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that a field, or a step, makes; or as many as its keys need."""

    service: str
    endpoint: str | None
    """ "GET /stock". None: Python speaks HTTP to the service by itself, and may ask for anything."""
    declared: str
    """The declaration by the name that its author knows: "inventory /stock", or the Python name where it is named in code."""
    question: int
    """Calls of one number ask the same with the same arguments: keys that they ask for at the same time travel together."""
    max_batch: int | None = None
    """Keys in one call; None: it takes no keys."""
    keys: str | None = None
    """The parameter that carries the keys."""
    has_many_keys: bool = False
    """Whether there may be several keys: a list stands above the field, or its code decides."""
    max_page: int | None = None
    """Items that the service gives at once, where it answers pages."""
    arguments: Mapping[str, str] | None = None
    """Name on the wire -> value in GraphQL's notation. None: Python says which."""
    fresh: Seconds | None = None
    """How long an answer is served again; 0: never. None: it is no read."""
    revalidate: Seconds | None = None
    """How much longer it is served while it is asked for anew. None: it is no read."""
    sharing: str | None = None
    """With whom an answer may be shared: "public", "tenant", "identity"."""
    headers: tuple[str, ...] = ()
    """Client headers that go with it, where the client sent them."""
    attempts: int
    """Attempts at most, the first included."""
    attempt_timeout: Seconds
    """What one attempt may take at most; reads are cut sooner once the service's usual times are known."""
    is_hedged: bool = False
    is_coalesced: bool = False
    longest: Seconds
    """The most that the call can take: every attempt cut, every wait as long as it may be."""
    same_as: Path | None = None
    """The field above it in the document that asks the same at the same time: both are served by its call."""
    one_of: str | None = None
    """The table in Python that names it, with others: which of them is called shows only when it runs."""
    reads: tuple[int, ...] | None = None
    """Places in the run's `reads` of those that asked its endpoint; None: it has not run, or a step makes it."""

    @property
    def formula(self) -> str:
        """How often it goes out: "1 call per 1000 keys"."""
        if self.endpoint is None:
            return "as often as its code says"
        return f"1 call per {self.max_batch} keys" if self.max_batch is not None and self.has_many_keys else "1 call"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedFallback:
    """What is served in place of an answer; several are tried in their order."""

    kind: Literal["alternative", "stale", "default", "null"]
    value: str | None = None
    """Of a default, in JSON's notation."""
    max_age: Seconds | None = None
    """Of a stale answer."""
    call: Call | None = None
    """Of an alternative: where else is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedJoin:
    """The declaration of a join."""

    on: str
    """The parent's attribute that holds the key."""
    reconcile: str | None = None
    """The rule between several sources, as its author wrote it; None where there is one source."""
    authority: str | None = None
    """The service without whose word the rule cannot decide."""
    is_strong: bool = False
    """Nothing but what the service says now: no cache, no shared call, no hedge, no fallback."""
    fallbacks: tuple[ExplainedFallback, ...]
    """Never empty: the last one is what is left when nothing helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStep:
    """A step of a saga. Its calls are named in its code."""

    name: str
    needs: tuple[str, ...]
    layer: int
    """1 for what starts at once; steps of one layer run beside each other."""
    is_pivot: bool
    is_after_pivot: bool
    attempts: int | None
    """None: until it is done."""
    timeout: Seconds
    """Of one attempt, its undo's too."""
    calls: tuple[Call, ...]
    undo: str | None
    """The method that undoes it; None: there is nothing to undo, or no way back."""
    undo_calls: tuple[Call, ...]
    invalidates: tuple[str, ...]
    """Loaders whose fresh answers end when it is done."""
    run: MeasuredStep | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedSaga:
    """The saga behind a mutation's field."""

    name: str
    version: int
    deadline: Seconds
    """After it, what was done is undone, unless the pivot is done."""
    wait: Seconds
    """How long the field waits before it answers `SagaAccepted`."""
    key: str
    """Whether an idempotency key is "required" or "optional"."""
    pivot: str | None
    steps: tuple[ExplainedStep, ...]
    """In an order in which they may run."""
    run: MeasuredSaga | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedField:
    """One response key, of one or more types."""

    number: int
    """Unique in the explanation; in the order of the document."""
    key: str
    """As the answer has it: the alias, or the name."""
    name: str
    parents: tuple[str, ...]
    """Object types that it may be a field of."""
    path: Path
    type: str
    """As the schema writes it: "[Review!]!"."""
    types: tuple[str, ...]
    """Object types that its value may be of; none for a leaf."""
    kind: Kind
    arguments: Mapping[str, str]
    """In GraphQL's notation, defaults filled in; "$name" where the variable is not known."""
    only_if: str | None = None
    """The condition by @skip and @include on variables that are not known: "$full and not $brief"."""
    guard: str | None = None
    """The rule that decides who may have it."""
    weight: int = 0
    """What its author says that it costs for each parent, besides calls and objects."""
    list_size: int | None = None
    """Items that its list is estimated to have, by arguments, rules and what its author says; None: nobody says."""
    sized_fields: tuple[str, ...] = ()
    """The fields of its value whose lists are so long; empty: its own list, or all of its value's."""
    sizes: Sizes = field(default=Sizes({}), metadata=UNTOLD)
    """What decides how long."""
    layer: int
    """How many rounds of calls must be made for it, its own included; 0: it is there from the beginning."""
    waits_for: int | None = None
    """The field, by `number`, that must be ready before this one is asked for: the nearest above that is not there at once; of a
    mutation's field the one before it."""
    join: ExplainedJoin | None = None
    saga: ExplainedSaga | None = None
    calls: tuple[Call, ...] = ()
    fields: tuple[ExplainedField, ...] = ()

    @property
    def is_read_off_code(self) -> bool:
        """Whether its calls are not declared but named in the code of its function."""
        return self.kind in {"batched", "resolver"}

    def below(self) -> Iterator[ExplainedField]:
        """This field and all below it, depth first."""
        yield self
        for each in self.fields:
            yield from each.below()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedService:
    """How a service is called: what holds for all calls to it."""

    name: str
    instances: int | None
    """Addresses; None: they are asked for when the gateway starts."""
    fallback_instances: int
    attempt_timeout: Seconds
    attempt_timeout_floor: Seconds
    retry_attempts: int
    retry_base: Seconds
    retry_cap: Seconds
    budget_ratio: float
    """Extra attempts for each first one, by retries and hedges together."""
    hedge_quantile: float | None
    """A slow read is asked again after this quantile of the usual times; None: it is not."""
    breaker_consecutive: int
    breaker_ratio: float
    breaker_volume: int
    breaker_window: Seconds
    breaker_open_for: Seconds
    breaker_open_cap: Seconds
    breaker_per: str
    bulkhead_limit: int
    bulkhead_queue: int
    bulkhead_wait: Seconds
    bulkhead_is_adaptive: bool
    coalesces: bool
    send_headers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NullAt:
    """Where a null ends up that its own field may not have."""

    path: Path
    """Empty: the whole answer, `data`, is null."""
    is_item: bool = False
    """Not the field at `path` is null, but an item of its list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a client reads at one field while a service is down."""

    path: Path
    becomes: tuple[Becomes, ...]
    """What is tried, in its order."""
    value: str | None = None
    max_age: Seconds | None = None
    instead: str | None = None
    """The service that is asked in its place."""
    null_at: NullAt | None = None
    """Where a null ends up, if it may come to that."""
    is_certain: bool = True
    """False where Python decides whether the service is called at all, and what becomes of its failure."""
    steps: tuple[str, ...] = ()
    """Steps of the saga that cannot be done without the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The answer while one service is down and the others are well."""

    service: str
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowestPath:
    """The chain of calls that can take longest: every one of them answers at the last moment, or not at all."""

    paths: tuple[Path, ...]
    """Fields that call somebody, in the order in which they wait for one another."""
    attempts: int
    seconds: Seconds
    """Of all attempts and the waits between them; the deadline may come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the operation costs."""

    services: tuple[str, ...]
    joins: int
    """Distinct questions of joins, a layer each: what the joins of this operation call when no batch is too long."""
    calls: int
    """Calls when no batch is longer than its `max_batch` and what stands in one layer is asked at the same time."""
    calls_at_most: int
    """The same when fields of one layer are asked at different times, because what they wait for is answered so."""
    saga_calls: int
    """Calls of the steps of its sagas, beside these; undos not counted."""
    layers: int
    slowest: SlowestPath
    outages: tuple[Outage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRead:
    """One batch of a loader, one page of a listing, or one call by `ctx.http`."""

    kind: ReadKind
    service: str
    endpoint: str
    keys: int
    """In the batch; 1 of a page and of a call by hand."""
    cached: int
    """Of these, served without asking."""
    asked: int
    """Of these, asked for in the call; 0: no call was made."""
    attempts: int
    """Retries and hedges included."""
    is_shared: bool
    """An identical call of somebody else's answered it."""
    outcome: str
    """ "ok", "cancelled", the code of the failure, or "under way" when the answer was made. A call by hand is "ok" with any status
    below 500 but 429."""
    start_milliseconds: float
    """Since the operation began."""
    milliseconds: float
    waited_milliseconds: float
    """Of these, what all attempts waited for permits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStep:
    """How far a step was when the field of its saga was answered."""

    status: StepState
    attempts: int
    undo_attempts: int
    code: str | None
    """Of its last refusal or failure."""
    start_milliseconds: float | None
    """Since the saga began; None: it has not been tried."""
    milliseconds: float | None
    """From its first attempt to when it was settled, undone included, by the clock of whoever runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSaga:
    """How far a saga was when its field was answered; it may have gone on since."""

    id: str
    status: SagaState
    is_new: bool
    """False: its idempotency key had begun it before this request."""
    milliseconds: float | None
    """From when it was durable to its end; None: it had not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """What a run of the operation did."""

    milliseconds: float
    """From the operation's start to its end, the way in and out left aside."""
    not_compiled: str | None
    """None: this time its own plan executed it. Else why not, "first sight" the first time."""
    cost: Cost
    """What it has really taken."""
    reads: tuple[MeasuredRead, ...]
    """In the order in which they began."""
    reads_beyond: int
    """How many more there were than are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """An operation, explained."""

    operation: str
    """"query" or "mutation"."""
    name: str | None
    deadline: Seconds
    """When the answer is given at the latest, unless the client asks for another one."""
    not_compiled: str | None
    """Why graphql-core executes it, by the word of `sagaql_plans_total`; None: it is executed by its own plan from its second time
    on."""
    fields: tuple[ExplainedField, ...]
    services: tuple[ExplainedService, ...]
    summary: Summary
    cost: Cost
    """What it is estimated to cost, as `operation.cost` counts it."""
    run: MeasuredRun | None = None

    def all_fields(self) -> Iterator[ExplainedField]:
        """Every field, depth first."""
        for each in self.fields:
            yield from each.below()
