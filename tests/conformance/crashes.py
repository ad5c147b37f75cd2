"""A process that may die at any point, once or twice: before and after every durable write, every effect, every question.

A dead process is one whose every further touch of the outside hangs; then its home is opened by the next, as after SIGKILL. The
client is honest: it sends its begin, and its signals, until it has been answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from gateway.clock import Seconds
from gateway.sagas import Host, Saga, SagaState, SagaView, Signal, Ticket, definition_of
from gateway.testing import VirtualClock, run_virtual
from tests.unit.sagas.world import OWNER, Chain, Fault, Order, PlaceOrder

from .hosts import Home
from .stories import Asking, Booking, Careful

PAID, COURIER = msgspec.Raw(b"5"), msgspec.Raw(b'"swift"')


@dataclass(frozen=True)
class Story:
    """A saga, what its services do, and the signals that somebody sends."""

    saga: type[Saga[Any, Any]]
    faults: tuple[tuple[str, str, int], ...] = ()
    """(path, fault, how often from the first call on)."""
    signals: tuple[tuple[str, msgspec.Raw], ...] = ()

    def __str__(self) -> str:
        faults = " ".join(f"{path}-{fault.replace(' ', '-')}-{times}" for path, fault, times in self.faults)
        return f"{self.saga.__name__} {faults or 'ok'}{'' if self.signals or self.saga is not Booking else ' unpaid'}"

    def fault(self) -> Fault:
        def of(called: str, nth: int) -> str:
            return next((fault for path, fault, times in self.faults if path == called and nth <= times), "ok")

        return of


ALWAYS = 1_000
SIGNALS = (("courier", COURIER), ("payment", PAID))
PATHS: Mapping[type[Saga[Any, Any]], tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    PlaceOrder: (("/reserve", "/authorize"), "/capture", ("/ship",)),
    Chain: (("/one", "/two", "/three"), "", ()),
    Booking: (("/reserve",), "/book", ("/deliver",)),
    Careful: (("/seat", "/meal"), "/ticket", ()),
}
"""Paths before the pivot, of the pivot, and after it."""
UNDOES = {PlaceOrder: "/release", Chain: "/undo-one", Booking: "/release", Careful: "/free"}


def stories() -> Iterator[Story]:
    """Every saga under every kind of luck at every step."""
    for saga, (before, pivot, after) in PATHS.items():
        story = partial(Story, saga, signals=SIGNALS if saga is Booking else ())
        yield story()
        for path in filter(None, (*before, pivot, *after)):
            yield story(((path, "lost after", 1),))
            yield story(((path, "lost before", 1),))
        for path in filter(None, (*before, pivot)):
            yield story(((path, "reject", ALWAYS),))
            yield story(((path, "reject", ALWAYS), (UNDOES[saga], "lost after", 2)))
        for path in before:
            yield story(((path, "lost after", ALWAYS if saga is not Careful else 3),))
            yield story(((path, "lost before", ALWAYS if saga is not Careful else 3),))
    yield Story(Booking)


class Mortal:
    """Counts the points at which a process may die, and dies at one of them."""

    def __init__(self, dies_at: int | None) -> None:
        self.points = 0
        self.dies_at = dies_at
        self.dead = asyncio.Event()

    async def point(self, name: str) -> None:
        self.points += 1
        if self.points == self.dies_at:
            self.dead.set()
        if self.dead.is_set():
            await asyncio.get_running_loop().create_future()


async def live(home: Home, world: Asking, story: Story, clock: VirtualClock, *, dies_at: int | None) -> bool:
    """One life of a process, and whether it saw the saga's end."""
    mortal = Mortal(dies_at)
    world.around = mortal.point
    host = home.host(world, sagas=[story.saga], clock=clock, point=mortal.point)
    working = asyncio.create_task(_client(host, story))
    dying = asyncio.create_task(mortal.dead.wait())
    await asyncio.wait((working, dying), return_when=asyncio.FIRST_COMPLETED)
    if mortal.dead.is_set():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await host.stop(Seconds(0))  # cancels what hangs; nothing more reaches home or world
        return False
    dying.cancel()
    check(working.result(), world)
    await host.stop(Seconds(1))
    return True


async def _client(host: Host, story: Story) -> SagaView:
    await host.start()
    ticket = await host.begin(story.saga, Order(), owner=OWNER, key="k", input_hash="h", trace={})
    assert isinstance(ticket, Ticket)
    for step, payload in story.signals:
        await host.ask(ticket.saga_id, Signal(step, "someone", payload))
    view = await host.wait(ticket.saga_id, timeout=Seconds(1_000.0))
    assert view.is_settled, view
    return view


def check(view: SagaView, world: Asking) -> None:
    """Nothing lost, nothing doubled, nothing left standing."""
    assert view.status in (SagaState.COMPLETED, SagaState.COMPENSATED), view
    assert max(world.effects.values(), default=0) <= 1, "doubled"
    if view.status is SagaState.COMPLETED:
        assert world.balance() == dict.fromkeys(_calling(view), 1), "lost"
    else:
        assert world.balance() == {}, "not undone"


def _calling(view: SagaView) -> list[str]:
    """Steps that call the world, in the order in which it tells them."""
    (saga,) = (saga for saga in PATHS if saga.__name__ == view.saga)
    return sorted(name for name, step in definition_of(saga).plan.steps.items() if step.wait is None)


def die_everywhere(
    make: Callable[[Path], Home], path: Path, story: Story, *, again: Callable[[int], Iterable[int]]
) -> int:
    """Die at every point in turn; and, for each, at each of the points of `again` in the next life. Returns the schedules."""

    def deaths(first: int, second: int | None) -> int:
        home = path / f"{first}-{second}"
        home.mkdir()
        return run_virtual(_schedule(make(home), story, first, second))

    played = 0
    for first in count(1):
        if deaths(first, None) == 0:
            return played
        played += 1
        for second in again(first):
            if deaths(first, second) < 2:
                break
            played += 1
    raise AssertionError("it never ends")


async def _schedule(home: Home, story: Story, first: int, second: int | None) -> int:
    """How many of the deaths came; a life that none comes to sees the saga's end."""
    world, clock = Asking(story.fault()), VirtualClock()
    if await live(home, world, story, clock, dies_at=first):
        return 0
    if second is not None and not await live(home, world, story, clock, dies_at=second):
        assert await live(home, world, story, clock, dies_at=None)
        return 2
    if second is None:
        assert await live(home, world, story, clock, dies_at=None)
    return 1
