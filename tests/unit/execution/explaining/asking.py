"""Explanations for tests: a document over a graph, and the services' settings that matter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gateway.clock import Seconds
from gateway.execution.document import Documents, Operation
from gateway.execution.explaining import ExplainedField, Explanation, Formula, cost_formula, explain
from gateway.graph import Graph, build_graph
from gateway.services import ServiceConfig
from gateway.telemetry import Metrics
from mutations import Mutation
from resolvers import Query

NAMES = ("catalog", "customers", "inventory", "orders", "payments", "reviews", "shipping")

reference = build_graph(Query, Mutation)


def configured(**services: ServiceConfig) -> dict[str, ServiceConfig]:
    """Every service of the shop, by default unless told otherwise."""
    return {name: services.get(name) or ServiceConfig(instances=(f"http://{name}.test",)) for name in NAMES}


def explained(
    document: str,
    variables: Mapping[str, Any] | None = None,
    *,
    graph: Graph = reference,
    deadline: float = 10.0,
    operation: str | None = None,
    **services: ServiceConfig,
) -> Explanation:
    documents = Documents(graph.core, max_entries=1, max_tokens=100_000, metrics=Metrics())
    documents.keep(document)
    return explain(
        graph,
        documents.operation(document, operation),
        variables,
        services=configured(**services),
        deadline=Seconds(deadline),
        saga_wait=Seconds(10.0),
    )


def formula_of(
    operation: Operation, variables: Mapping[str, Any], only: Collection[str], *, graph: Graph = reference
) -> Formula:
    given = {name: value for name, value in variables.items() if name in only}
    return cost_formula(graph, operation, given, services=configured(), only=only)


def at(explanation: Explanation, path: str) -> ExplainedField:
    """The field at "products.edges.node". Raises: LookupError unless there is exactly one."""
    found = [each for each in explanation.all_fields() if ".".join(each.path) == path]
    if len(found) != 1:
        raise LookupError(f"{len(found)} fields stand at {path}")
    return found[0]


def outage(explanation: Explanation, service: str) -> dict[str, tuple[str, ...]]:
    """Path -> what becomes of it while `service` is down."""
    found = next(each for each in explanation.summary.outages if each.service == service)
    return {".".join(each.path): each.becomes for each in found.effects}
