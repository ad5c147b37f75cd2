"""What a graph author writes: entities, joins, resolvers, rules, sagas as mutations; and the schema they make."""

from .access import AccessRule, authenticated, own, scope
from .batched import batched
from .connection import Connection, Window, connection, window
from .consistency import StrongReads
from .context import BegunSaga, Ctx
from .degradation import Alternative, Default, Degradation, Degraded, Stale, alternative, default, stale
from .entity import entity, field, input_type
from .guards import guarded
from .join import JoinField, join
from .node import IdOf, Node, global_id, key_of, parse_id
from .pricing import ListSize, sized
from .resolver import resolver
from .resuming import event_id_of
from .rules import Between, Items, Length, Pattern, Rule
from .saga_events import SagaEvent, SagaEvents, follow_saga
from .saga_field import SagaField, SagaOutcome, SagaStatus, saga_field
from .saga_operations import SagaOperations
from .saga_progress import SagaProgress, SagaSummary, find_saga, find_sagas
from .schema import Graph, GraphInvalid, build_graph

__all__ = [
    "AccessRule",
    "Alternative",
    "BegunSaga",
    "Between",
    "Connection",
    "Ctx",
    "Default",
    "Degradation",
    "Degraded",
    "Graph",
    "GraphInvalid",
    "IdOf",
    "Items",
    "JoinField",
    "Length",
    "ListSize",
    "Node",
    "Pattern",
    "Rule",
    "SagaEvent",
    "SagaEvents",
    "SagaField",
    "SagaOperations",
    "SagaOutcome",
    "SagaProgress",
    "SagaStatus",
    "SagaSummary",
    "Stale",
    "StrongReads",
    "Window",
    "alternative",
    "authenticated",
    "batched",
    "build_graph",
    "connection",
    "default",
    "entity",
    "event_id_of",
    "field",
    "find_saga",
    "find_sagas",
    "follow_saga",
    "global_id",
    "guarded",
    "input_type",
    "join",
    "key_of",
    "own",
    "parse_id",
    "resolver",
    "saga_field",
    "scope",
    "sized",
    "stale",
    "window",
]
