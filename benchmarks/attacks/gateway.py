"""A gateway that calls no service: `python -m benchmarks.attacks.gateway PORT [limited | KEYS]`.

Measured is what it does by itself. With a file of KEYS it takes tokens that are signed with them.
"""

from __future__ import annotations

import sys
from typing import Annotated

import strawberry

from gateway import Between, collector, entity, resolver
from gateway.app import create_app, telemetry_of
from gateway.graph import build_graph
from gateway.server import hold_port, serve
from gateway.settings import Settings

ISSUER, AUDIENCE = "https://login.example/attacks", "attacks"


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

LIMITS = {
    "rate": 1_000_000,
    "concurrent_operations": 100,
    "classes": {"greedy": {"tenant": "public", "subject": GREEDY, "rate": 0.001, "burst": 1}},
}


def graph_settings(keys: str | None = None, *, limited: bool = False) -> Settings:
    issuers = [] if keys is None else [{"issuer": ISSUER, "audience": AUDIENCE, "jwks": keys}]
    tokens = [{"token": each, "subject": each} for each in (MODEST, GREEDY)]
    return Settings.model_validate(
        {
            "server": {"graphiql": False},
            "telemetry": {"log_level": "error"},
            "identity": {"issuers": issuers, "tokens": tokens},
            "limits": LIMITS if limited else {},
        }
    )


def main(port: int, keys: str | None = None, *, limited: bool = False) -> None:
    settings = graph_settings(keys, limited=limited)
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
    given = sys.argv[2:]
    main(int(sys.argv[1]), *[each for each in given if each != "limited"], limited="limited" in given)
