"""One running gateway: its parts, and how it takes leave. `app` makes it; what answers from it is handed it whole.

Invariant: whoever leaves is not ready from then on, and every goodbye is said once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from .admission import Admission, Clients, Pressure
from .edge import Doorstep
from .execution import Engine
from .graph import Graph
from .loading import Loaders
from .sagas import Host
from .services import Services
from .shared import SharedStore
from .siblings import Siblings
from .steering import Steering
from .telemetry import Telemetry


@dataclass(frozen=True, kw_only=True)
class Application:
    """The parts of one running gateway, for whoever composes or tests it; `app.state.gateway` holds it."""

    graph: Graph
    engine: Engine
    services: Services
    loaders: Loaders
    sagas: Host | None
    telemetry: Telemetry
    admission: Admission
    clients: Clients
    pressure: Pressure
    doorstep: Doorstep
    steering: Steering
    trusted: Mapping[str, str]
    """Texts of documents by their ids."""
    shared: SharedStore | None = None
    """What this gateway has in common with others; None: nothing."""
    siblings: Siblings | None = None
    """The way to the other processes of this gateway; None where it is alone."""
    _leaving: list[Callable[[], Awaitable[None]]] = field(default_factory=list[Callable[[], Awaitable[None]]])
    _goodbyes: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def on_leave(self, goodbye: Callable[[], Awaitable[None]]) -> None:
        """Have `goodbye` run once when the gateway leaves: it ends what would otherwise never end."""
        self._leaving.append(goodbye)

    def announce(self) -> None:
        """Not be ready any more, and end streams with a word: they would else go on where they cannot stay. Operations are admitted
        as before."""
        self.admission.is_leaving = True
        goodbyes, self._leaving[:] = list(self._leaving), []
        self._goodbyes.extend(asyncio.ensure_future(_said(goodbye)) for goodbye in goodbyes)

    def leave(self) -> None:
        """Admit nothing more and say so; what runs goes on, but for streams, which are told. The lifespan's end does the same."""
        self.admission.is_draining = True
        self.announce()

    async def left(self) -> None:
        """`leave`, and all goodbyes said."""
        self.leave()
        await asyncio.gather(*self._goodbyes)


async def _said(goodbye: Callable[[], Awaitable[None]]) -> None:
    await goodbye()
