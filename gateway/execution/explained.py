"""`extensions.explain`: an operation's explanation, made before it runs and measured after, for a client that may know.

Invariant: it is what `sagaql explain --json` prints of the same operation and variables, under the settings in force. Whoever asks
for one that cannot be made is refused before anything is run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..clock import Seconds
from ..errors import RequestError
from ..graph import Graph
from ..services import ServiceClient
from .document import Operation
from .explaining import Explanation, ServiceMissing, TooLarge, VariablesUnfit, explain


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Explains operations of one application. State: none; each explanation is made anew, and costs as much as it has fields."""

    graph: Graph
    services: Mapping[str, ServiceClient]
    saga_wait: Seconds
    compiles: bool

    def explanation(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        *,
        deadline: Seconds,
        only: Collection[str] | None = None,
    ) -> Explanation:
        """For all values, where `variables` do not fit: execution says what is wrong with them. `only`: as of `explain`.

        Raises: RequestError.
        """
        names = {each.variable.name.value for each in operation.node.variable_definitions or ()}
        names = names if only is None else names.intersection(only)
        given = {name: value for name, value in variables.items() if name in names}  # as execution takes them
        try:
            return self._explain(operation, given, deadline, only)
        except VariablesUnfit:
            return self._explain(operation, None, deadline, only)

    def _explain(
        self,
        operation: Operation,
        variables: Mapping[str, Any] | None,
        deadline: Seconds,
        only: Collection[str] | None,
    ) -> Explanation:
        try:
            return explain(
                self.graph,
                operation,
                variables,
                services={name: client.config for name, client in self.services.items()},
                deadline=deadline,
                saga_wait=self.saga_wait,
                compiles=self.compiles,
                only=only,
            )
        except (ServiceMissing, TooLarge) as error:
            raise RequestError(str(error)) from error
