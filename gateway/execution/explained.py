"""`extensions.explain`: an operation's explanation, made before it runs and measured after, for a client that may know.

Invariant: it is what `sagaql explain --json` prints of the same operation and variables, under the settings in force. Whoever asks
for one that cannot be made is refused before anything is run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..clock import Seconds
from ..errors import RequestError
from ..graph import Graph
from ..services import ServiceClient, ServiceConfig
from .document import Operation
from .explaining import Explanation, Formula, ServiceMissing, TooLarge, VariablesUnfit, cost_formula, explain

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Explains operations of one application. State: none; each explanation is made anew, and costs as much as it has fields."""

    graph: Graph
    services: Mapping[str, ServiceClient]
    saga_wait: Seconds
    compiles: bool

    def explanation(self, operation: Operation, variables: Mapping[str, Any], *, deadline: Seconds) -> Explanation:
        """For all values, where `variables` do not fit: execution says what is wrong with them. Raises: RequestError."""

        def explained(given: Mapping[str, Any] | None) -> Explanation:
            return explain(
                self.graph,
                operation,
                given,
                services=self._configs(),
                deadline=deadline,
                saga_wait=self.saga_wait,
                compiles=self.compiles,
            )

        return _fitting(explained, _own(operation, variables))

    def cost_formula(self, operation: Operation, variables: Mapping[str, Any], only: Collection[str]) -> Formula:
        """What it costs, by the lengths of its lists. `only`: the variables that are looked at, as above. Raises: RequestError."""

        def formula(given: Mapping[str, Any] | None) -> Formula:
            return cost_formula(self.graph, operation, given, services=self._configs(), only=only)

        return _fitting(formula, {name: value for name, value in variables.items() if name in only})

    def _configs(self) -> Mapping[str, ServiceConfig]:
        return {name: client.config for name, client in self.services.items()}


def _own(operation: Operation, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variables that the operation has, as execution takes them."""
    names = {each.variable.name.value for each in operation.node.variable_definitions or ()}
    return {name: value for name, value in variables.items() if name in names}


def _fitting(make: Callable[[Mapping[str, Any] | None], T], given: Mapping[str, Any]) -> T:
    """Of the variables, or of any where they do not fit. Raises: RequestError."""
    try:
        try:
            return make(given)
        except VariablesUnfit:
            return make(None)
    except (ServiceMissing, TooLarge) as error:
        raise RequestError(str(error)) from error
