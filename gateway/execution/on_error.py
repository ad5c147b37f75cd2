"""What an error does to the rest of the answer, as the client chooses. Source: the GraphQL specification's proposal "onError".

Invariant: a compiled plan and graphql-core do the same, whichever executes. graphql-core can be told not to propagate; halting is
propagation through every place, as if none might be null, so nothing further of the operation is begun.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from graphql import Executor, located_error
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path


class OnError(StrEnum):
    """The words of the request's parameter `onError`."""

    PROPAGATE = "PROPAGATE"
    """The nearest place above that may be null is null: what every client knows."""
    NULL = "NULL"
    """The field is null, whatever its type says, and nothing else."""
    HALT = "HALT"
    """There is no data, and what is under way ends."""


class Nulling(Executor[Any]):
    """An error nulls its field alone."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.error_propagation = False


class Halting(Executor[Any]):
    """An error nulls everything."""

    def handle_field_error(
        self,
        raw_error: Exception,
        return_type: Any,  # graphql-core's own type for it is partly unknown
        field_details_list: FieldDetailsList,
        path: Path,
    ) -> None:
        nodes = [each.node for each in field_details_list]
        raise located_error(raw_error, nodes, path.as_list())


EXECUTORS: dict[OnError, type[Executor[Any]]] = {
    OnError.PROPAGATE: Executor,
    OnError.NULL: Nulling,
    OnError.HALT: Halting,
}
"""With which graphql-core executes what has no plan."""
