"""SagaQL: one graph over many services; queries that degrade instead of failing, mutations that are durable sagas.

These are the names that a graph's author writes with. To read the engine start with `app.py` (how it is put together), then
`execution/engine.py` (the life of an operation), `services/stack.py` (the life of a call) and `sagas/core.py` (the life of a saga).

They are imported when first asked for: a command line that only prints its help does not wait for strawberry.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .graph import (
        AccessRule,
        Between,
        Connection,
        Ctx,
        IdOf,
        Items,
        Length,
        Node,
        Pattern,
        Rule,
        SagaEvents,
        SagaOperations,
        SagaProgress,
        SagaStatus,
        SagaSummary,
        alternative,
        authenticated,
        batched,
        connection,
        default,
        entity,
        field,
        find_saga,
        find_sagas,
        global_id,
        guarded,
        input_type,
        join,
        key_of,
        own,
        parse_id,
        resolver,
        saga_field,
        scope,
        sized,
        stale,
    )
    from .identity import Identity
    from .loading import Page, Service, authority, lazy_loader, newest, quorum
    from .sagas import (
        UNTIL_DONE,
        Done,
        NotDone,
        Reject,
        Retry,
        Saga,
        Secret,
        StepCtx,
        Unknown,
        signal,
        step,
        timer,
    )

__all__ = [
    "UNTIL_DONE",
    "AccessRule",
    "Between",
    "Connection",
    "Ctx",
    "Done",
    "IdOf",
    "Identity",
    "Items",
    "Length",
    "Node",
    "NotDone",
    "Page",
    "Pattern",
    "Reject",
    "Retry",
    "Rule",
    "Saga",
    "SagaEvents",
    "SagaOperations",
    "SagaProgress",
    "SagaStatus",
    "SagaSummary",
    "Secret",
    "Service",
    "StepCtx",
    "Unknown",
    "alternative",
    "authenticated",
    "authority",
    "batched",
    "connection",
    "default",
    "entity",
    "field",
    "find_saga",
    "find_sagas",
    "global_id",
    "guarded",
    "input_type",
    "join",
    "key_of",
    "lazy_loader",
    "newest",
    "own",
    "parse_id",
    "quorum",
    "resolver",
    "saga_field",
    "scope",
    "signal",
    "sized",
    "stale",
    "step",
    "timer",
]

_ROOMS = (".graph", ".identity", ".loading", ".sagas")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for room in _ROOMS:
            found = getattr(import_module(room, __name__), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"gateway has no name {name!r}")
