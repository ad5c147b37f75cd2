"""What an application's settings grant operations: times, what they may cost, and the scopes that sagas ask for."""

from __future__ import annotations

from dataclasses import dataclass

from graphql import OperationType

from ..clock import Seconds
from .costing import CostMode


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationLimits:
    """Times of an operation, in seconds, and what it may cost."""

    query: Seconds = Seconds(10.0)
    """A person still waits for a page: ten seconds is where they leave."""
    mutation: Seconds = Seconds(15.0)
    longest: Seconds = Seconds(60.0)
    """What a client may ask for at most."""
    saga_wait: Seconds = Seconds(10.0)
    """How long a synchronous mutation waits before it answers `SagaAccepted`."""

    max_cost: int | None = None
    """None: whatever it does."""
    cost: CostMode | None = None
    """Whether every operation's cost is estimated, and whether one that costs more is refused."""

    def granted(self, kind: OperationType, asked: Seconds | None) -> Seconds:
        """The client's wish, clamped; else the default of the kind."""
        usual = self.mutation if kind is OperationType.MUTATION else self.query
        return min(asked if asked is not None else usual, self.longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaScopes:
    """What a caller must have to operate sagas, to see those of others, and to send them signals."""

    operator: str = "operator"
    overseer: str | None = None
    signal: str = "signals"


USUAL_SCOPES = SagaScopes()
