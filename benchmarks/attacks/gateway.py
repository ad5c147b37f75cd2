"""A gateway that calls no service: `python -m benchmarks.attacks.gateway PORT [limited]`. Measured is what it does by itself."""

from __future__ import annotations

import sys
from typing import Annotated

import strawberry

from gateway import Between, collector, entity, resolver
from gateway.app import create_app, telemetry_of
from gateway.graph import build_graph
from gateway.server import hold_port, serve
from gateway.settings import Settings


@strawberry.input
class Wanted:
    """What is looked for."""

    name: str | None = None
    pieces: int | None = None
    either: list[Wanted] | None = None


@entity
class Review:
    """What somebody thinks."""

    stars: int
    body: str


@entity
class Product:
    """What is sold."""

    id: strawberry.ID
    name: str
    pieces: int

    @resolver
    def reviews(self, first: Annotated[int, Between(1, 10)] = 5) -> list[Review]:
        """The newest."""
        return [Review(stars=5, body="good")] * first


@entity
class Query:
    """What can be asked."""

    @resolver
    def products(self, first: Annotated[int, Between(1, 50)] = 10, wanted: Wanted | None = None) -> list[Product]:
        """Some of them."""
        return [Product(id=strawberry.ID(str(number)), name="pen", pieces=number) for number in range(first)]


MODEST, GREEDY = "modest-caller", "greedy-caller"
"""Tokens: of a caller who never reaches its limit, and of one who always has."""


def graph_settings(*, limited: bool = False) -> Settings:
    return Settings.model_validate(
        {
            "server": {"graphiql": False},
            "telemetry": {"log_level": "error"},
            "identity": {"tokens": [{"token": each, "subject": each} for each in (MODEST, GREEDY)]},
            "limits": LIMITS if limited else {},
        }
    )


LIMITS = {
    "rate": 1_000_000,
    "concurrent_operations": 100,
    "classes": {"greedy": {"tenant": "public", "subject": GREEDY, "rate": 0.001, "burst": 1}},
}


def main(port: int, *, limited: bool = False) -> None:
    settings = graph_settings(limited=limited)
    telemetry = telemetry_of(settings)
    app = create_app(settings, build_graph(Query), telemetry=telemetry)
    serve(
        app,
        hold_port("127.0.0.1", port),
        drain=settings.server.drain,
        log=telemetry.log,
        on_leave=app.state.gateway.leave,
    )


if __name__ == "__main__":
    collector.leave_what_is_there()
    main(int(sys.argv[1]), limited="limited" in sys.argv[2:])
