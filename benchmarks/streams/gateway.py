"""A gateway with one subscription and no service: `python -m benchmarks.streams.gateway PORT`.

The query `tick` has an event told to all who follow.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress

import strawberry

from gateway import collector, entity, resolver
from gateway.app import create_app, telemetry_of
from gateway.graph import build_graph
from gateway.server import hold_port, serve
from gateway.settings import Settings

_waiting: set[asyncio.Future[None]] = set()
_ticks = 0


@entity
class Tick:
    """What is told."""

    number: int
    text: str


@entity
class Query:
    """What can be asked."""

    @resolver
    def tick(self) -> Tick:
        """Tells it to all who follow."""
        global _ticks
        _ticks += 1
        for waiter in _waiting:
            with suppress(asyncio.InvalidStateError):
                waiter.set_result(None)
        return _tick()

    @resolver
    def last(self) -> Tick:
        """Tells nobody."""
        return _tick()


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncGenerator[Tick, None]:
        seen = _ticks
        while True:
            if seen == _ticks:
                waiter = asyncio.get_running_loop().create_future()
                _waiting.add(waiter)
                try:
                    await waiter
                finally:
                    _waiting.discard(waiter)
            seen = _ticks
            yield _tick()


def _tick() -> Tick:
    return Tick(number=_ticks, text="stock has changed")


def main(port: int) -> None:
    settings = Settings.model_validate(
        {"server": {"max_subscriptions": 100_000, "graphiql": False}, "telemetry": {"log_level": "error"}}
    )
    telemetry = telemetry_of(settings)
    app = create_app(settings, build_graph(Query, None, Subscription), telemetry=telemetry)
    serve(
        app,
        hold_port("127.0.0.1", port),
        drain=settings.server.drain,
        log=telemetry.log,
        on_leave=app.state.gateway.leave,
    )


if __name__ == "__main__":
    collector.leave_what_is_there()
    main(int(sys.argv[1]))
