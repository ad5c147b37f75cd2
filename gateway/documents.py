"""Documents as the settings have them: what a gateway serves, and what is told of a document without one, have the same bounds."""

from __future__ import annotations

from graphql import GraphQLSchema

from .execution.document import Documents
from .settings import OperationSettings
from .telemetry import Metrics


def documents_of(operation: OperationSettings, schema: GraphQLSchema, *, metrics: Metrics) -> Documents:
    """Empty, over this schema."""
    return Documents(
        schema,
        max_entries=operation.documents,
        max_tokens=operation.max_tokens,
        metrics=metrics,
        is_incremental=operation.incremental,
        max_deferrals=operation.max_deferrals,
        bounds=operation.bounds,
        introspection=operation.introspection,
        suggestions=operation.suggestions,
    )
