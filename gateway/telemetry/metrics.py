"""Prometheus instruments of one application, all in one place so that names and labels can be read at a glance.

Invariant: labels come from declarations (services, endpoints, loaders, sagas, steps, codes), never from a client: their number
is bounded by the graph. Units stand in the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

Together = Literal["sum", "max", "worst"]
"""How the gauges of several processes become one: "worst" is the least of what is well and the most of what is not."""

GAUGES: Mapping[str, Together] = {
    "sagaql_operations_in_flight": "sum",
    "sagaql_operations_waiting": "sum",
    "sagaql_operations_limit": "sum",
    "sagaql_event_loop_lag_seconds": "max",
    "sagaql_processor_utilisation": "max",
    "sagaql_subscriptions": "sum",
    "sagaql_settings_invalid": "max",
    "sagaql_shared_store_breaker_open": "max",
    "sagaql_service_calls_in_flight": "sum",
    "sagaql_service_calls_waiting": "sum",
    "sagaql_service_instances": "worst",  # each process has an opinion of the same instances
    "sagaql_service_breaker_open": "max",  # open somewhere
    "sagaql_sagas_open": "sum",
    "sagaql_sagas_open_by_state": "sum",
    "sagaql_sagas_oldest_open_age_seconds": "sum",  # of the one process that has sagas
    "sagaql_journal_waiting_operations": "sum",
    "sagaql_journal_checkpoint_age_seconds": "sum",
    "sagaql_journal_bytes": "sum",
    "sagaql_sagas_needing_attention": "sum",
}
"""Every gauge; counters and histograms are added up."""

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_COST = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


M = TypeVar("M", Counter, Histogram)


class Children(dict[tuple[str, ...], M]):
    """An instrument's children by the values of its labels, `first` and then those that are asked for: to look one up in the
    instrument costs more than to count. Bounded as they are, by declarations."""

    def __init__(self, instrument: M, *first: str) -> None:
        super().__init__()
        self.instrument: M = instrument
        self._first = first

    def __missing__(self, rest: tuple[str, ...]) -> M:
        child: M = self.instrument.labels(*self._first, *rest)
        self[rest] = child
        return child


class Metrics:
    """Every instrument, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        self.operations = Histogram(
            "sagaql_operation_duration_seconds",
            "Operations from text to result.",
            ["type", "outcome"],  # outcome: ok | partial | failed
            buckets=_LATENCY,
            registry=registry,
        )
        self.operation_cost = Histogram(
            "sagaql_operation_cost",
            "Costs of operations, where they are measured: estimated (of refused ones, too), and counted at their end.",
            ["kind"],  # estimated | actual
            buckets=_COST,
            registry=registry,
        )
        self.operations_in_flight = Gauge(
            "sagaql_operations_in_flight", "Operations being executed now.", registry=registry
        )
        self.operations_waiting = Gauge(
            "sagaql_operations_waiting", "Operations that wait for a permit.", registry=registry
        )
        self.operations_limit = Gauge(
            "sagaql_operations_limit", "Operations that may be under way at once, as learnt.", registry=registry
        )
        self.operations_waited = Histogram(
            "sagaql_operation_wait_seconds",
            "Waits of operations that had to wait for their permit and got it.",
            buckets=_LATENCY,
            registry=registry,
        )
        self.operations_shed = Counter(
            "sagaql_operations_shed_total",
            "Operations that were refused a permit.",
            ["rank"],  # background | query | mutation | critical
            registry=registry,
        )
        self.requests_refused_early = Counter(
            "sagaql_requests_refused_early_total",
            "Requests beyond a client's share that were refused before they were read.",
            registry=registry,
        )
        self.client_limits = Counter(
            "sagaql_client_limits_total",
            "Requests that limits of clients were asked about, by class of clients and by what became of them.",
            # outcome: allowed | refused | refused_early (before it was read) | too_expensive | unreachable_open (told by own
            # memory, and then counted once more) | unreachable_closed | too_many_operations | too_many_subscriptions
            ["class", "outcome"],
            registry=registry,
        )
        self.event_loop_lag = Gauge(
            "sagaql_event_loop_lag_seconds",
            "How late the event loop was in the last tenth of a second in which operations ran.",
            registry=registry,
        )
        self.processor_utilisation = Gauge(
            "sagaql_processor_utilisation",
            "Share of one processor that the process took in that tenth of a second.",
            registry=registry,
        )
        self.subscriptions = Gauge("sagaql_subscriptions", "Subscriptions under way.", registry=registry)
        self.streams_ended = Counter(
            "sagaql_streams_ended_total",
            "Responses of many answers, and WebSockets, that have ended.",
            ["transport", "reason"],  # transport: sse | multipart | websocket; reason: completed | left | stalled | ...
            registry=registry,
        )
        self.authentications = Counter(
            "sagaql_authentications_total",
            "Credentials that were shown, by what became of them.",
            ["outcome"],  # verified | known | static | proxy | unavailable | malformed | expired | audience | ...
            registry=registry,
        )
        self.errors = Counter("sagaql_errors_total", "Errors in answers, by code.", ["code"], registry=registry)
        self.degraded = Counter(
            "sagaql_degraded_total",
            "Fields answered with less than was asked.",
            ["service", "to"],  # to: NULL | DEFAULT | STALE | ALTERNATIVE | PARTIAL
            registry=registry,
        )
        self.documents = Counter(
            "sagaql_document_cache_total", "Look-ups of parsed and validated documents.", ["result"], registry=registry
        )
        self.shared_documents = Counter(
            "sagaql_shared_documents_total",
            "Look-ups in the shared store of documents whose hash was not known to the process.",
            ["result"],  # hit | miss | failed (dead, slow, left alone) | refused (not the text of its hash)
            registry=registry,
        )
        self.shared_store_calls = Histogram(
            "sagaql_shared_store_call_duration_seconds",
            "Commands to the shared store, as long as somebody waited.",
            ["command", "outcome"],  # command: get | set | delete | ping; outcome: ok | failed | timeout | cancelled
            buckets=_LATENCY,
            registry=registry,
        )
        self.shared_store_breaker_open = Gauge(
            "sagaql_shared_store_breaker_open", "1 while the shared store is left alone.", registry=registry
        )
        self.plans = Counter(
            "sagaql_plans_total",
            "Operations that were executed: by a compiled plan, or why not.",
            [
                "outcome"
            ],  # compiled | first sight | off | variables | introspection | directive | condition | defer | ...
            registry=registry,
        )

        self.attempts = Histogram(
            "sagaql_service_attempt_duration_seconds",
            "Attempts sent to services.",
            ["service", "endpoint", "outcome"],  # outcome: ok | refused | an error's code | cancelled
            buckets=_LATENCY,
            registry=registry,
        )
        self.retries = Counter(
            "sagaql_service_retries_total", "Second and later attempts.", ["service"], registry=registry
        )
        self.retries_refused = Counter(
            "sagaql_service_retries_refused_total",
            "Retries that the budget did not allow.",
            ["service"],
            registry=registry,
        )
        self.hedges = Counter(
            "sagaql_service_hedges_total",
            "Second attempts at slow reads.",
            ["service", "outcome"],  # outcome: won | lost | refused
            registry=registry,
        )
        self.coalesced = Counter(
            "sagaql_service_coalesced_total",
            "Reads that shared the call of an identical one.",
            ["service"],
            registry=registry,
        )
        self.calls_in_flight = Gauge(
            "sagaql_service_calls_in_flight", "Permits held per service.", ["service"], registry=registry
        )
        self.calls_waiting = Gauge(
            "sagaql_service_calls_waiting", "Attempts that wait for a permit.", ["service"], registry=registry
        )
        self.shed = Counter(
            "sagaql_service_shed_total",
            "Attempts that were refused a permit.",
            ["service", "priority"],
            registry=registry,
        )
        self.instances = Gauge(
            "sagaql_service_instances",
            "Instances by what is thought of them.",
            ["service", "state"],  # state: well | ejected | unhealthy | drained
            registry=registry,
        )
        self.ejections = Counter(
            "sagaql_service_ejections_total",
            "Times that an instance was left out for its failures.",
            ["service"],
            registry=registry,
        )
        self.breaker_open = Gauge(
            "sagaql_service_breaker_open", "1 while the breaker refuses calls.", ["service"], registry=registry
        )

        self.faults = Counter(
            "sagaql_service_faults_total",
            "Faults that were injected on purpose.",
            ["service", "kind"],
            registry=registry,
        )

        self.reloads = Counter(
            "sagaql_settings_reloads_total",
            "Times that the settings were read again.",
            ["result"],  # applied | unchanged | invalid
            registry=registry,
        )
        self.settings_invalid = Gauge(
            "sagaql_settings_invalid",
            "1 while the settings' file, as it was last read, cannot be applied.",
            registry=registry,
        )
        self.game_day_headers = Counter(
            "sagaql_game_day_headers_total",
            "Headers that asked for faults.",
            ["result"],  # taken | no_key | malformed | forged | expired | too_long | another_tenant | unknown
            registry=registry,
        )

        self.batches = Histogram(
            "sagaql_loader_batch_keys", "Keys sent in one call.", ["loader"], buckets=_BATCH, registry=registry
        )
        self.cache = Counter(
            "sagaql_loader_cache_total",
            "Look-ups in the loaders' caches.",
            ["loader", "result"],  # result: fresh | revalidated (served, and being renewed) | miss | stale
            registry=registry,
        )
        self.refreshes = Counter(
            "sagaql_loader_refreshes_total",
            "Keys of cached answers that were asked for anew while nobody waited.",
            ["loader", "outcome"],  # outcome: renewed | failed | refused (too many under way, or leaving)
            registry=registry,
        )
        self.reconciled = Counter(
            "sagaql_reconciled_total",
            "Values of joins with several sources.",
            ["field", "outcome"],  # outcome: agreed | resolved | undecided | failed (every source)
            registry=registry,
        )
        self.disagreements = Counter(
            "sagaql_disagreements_total",
            "Answers that differed from the one that was served.",
            ["field", "source"],  # source: the loader's name
            registry=registry,
        )
        self.contract_breaks = Counter(
            "sagaql_contract_breaks_total", "Records that did not have the agreed shape.", ["loader"], registry=registry
        )

        self.sagas = Histogram(
            "sagaql_saga_duration_seconds",
            "Sagas from start to end.",
            ["saga", "state"],
            buckets=(*_LATENCY, 30.0, 60.0, 300.0, 3600.0),
            registry=registry,
        )
        self.sagas_open = Gauge("sagaql_sagas_open", "Sagas begun and not ended.", ["saga"], registry=registry)
        self.sagas_open_by_state = Gauge(
            "sagaql_sagas_open_by_state", "Sagas begun and not ended, by what they do.", ["state"], registry=registry
        )
        self.sagas_oldest_open = Gauge(
            "sagaql_sagas_oldest_open_age_seconds", "Age of the saga that has been open longest.", registry=registry
        )
        self.sagas_needing_attention = Gauge(
            "sagaql_sagas_needing_attention", "Sagas that wait for a person.", ["saga"], registry=registry
        )
        self.steps = Counter(
            "sagaql_saga_attempts_total",
            "Attempts of steps and undos.",
            ["saga", "step", "kind", "outcome"],  # kind: do | undo; outcome: done | rejected | failed | unknown
            registry=registry,
        )
        self.commits = Histogram(
            "sagaql_journal_commit_duration_seconds",
            "Group commits of the journal.",
            buckets=_LATENCY,
            registry=registry,
        )
        self.journal_waiting = Gauge(
            "sagaql_journal_waiting_operations", "Operations that wait for a commit.", registry=registry
        )
        self.journal_checkpoint_age = Gauge(
            "sagaql_journal_checkpoint_age_seconds",
            "Seconds since the last checkpoint; 0 while it covers everything.",
            registry=registry,
        )
        self.journal_bytes = Gauge(
            "sagaql_journal_bytes", "Size of the journal and its write-ahead log.", registry=registry
        )
        self.sagas_pruned = Counter(
            "sagaql_journal_pruned_total", "Finished sagas removed after their retention.", registry=registry
        )
        self.commit_operations = Histogram(
            "sagaql_journal_commit_operations", "Operations in one group commit.", buckets=_BATCH, registry=registry
        )

    def exposition(self) -> bytes:
        """The text format that `/metrics` answers."""
        return generate_latest(self.registry)
