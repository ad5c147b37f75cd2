"""Steps that wait: `timer` for a time, `signal` for what somebody outside will say. They call nobody and have no undo.

Invariant: a wait is data of the plan; the core begins and ends it, so it survives restarts like any other step.

    cooling_off = timer("24h", after=["placement"])
    payment = signal(PaymentConfirmed, within="15m", after=["invoice"], otherwise=Reject("NOT_PAID", "Nobody paid in time."))

A parameter named as the wait receives what it yields: None for a timer, the payload for a signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from ..clock import duration
from .known import Reject
from .mistakes import SagaDefinitionError
from .plan import Wait

T = TypeVar("T")


class WaitStep(Generic[T]):
    """A declared wait that yields a `T`; made by `timer` and `signal`, named by the attribute that holds it."""

    def __init__(self, wait: Wait, *, yields: type[T], after: Sequence[str]) -> None:
        if isinstance(after, str):
            raise SagaDefinitionError(f'{wait.kind}: after is a list of steps; write after=["{after}"]')
        self.name = ""
        self.wait = wait
        self.yields = yields
        self.after = tuple(after)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<WaitStep {self.name}, a {self.wait.kind}>"


def timer(lasts: str | float, *, after: Sequence[str] = ()) -> WaitStep[None]:
    """Declare a step that is done `lasts` ("24h", or seconds) after what `after` names is done, or after the start."""
    return WaitStep(Wait("timer", duration(lasts)), yields=type(None), after=after)


def signal(
    payload: type[T], *, within: str | float | None, after: Sequence[str] = (), otherwise: Reject | None = None
) -> WaitStep[T]:
    """Declare a step that is done when its signal comes, whose decoded payload it yields. The first one counts.

    A signal may come before what `after` names is done: it is kept. `within`: patience from then on ("15m", or seconds); None
    waits without end, which only a step after the pivot may. `otherwise`: the refusal that a signal missed amounts to; without it
    the step fails with NOT_IN_TIME.
    """
    refusal = None if otherwise is None else (otherwise.code, otherwise.message)
    wait = Wait("signal", None if within is None else duration(within), refusal)
    return WaitStep(wait, yields=payload, after=after)
