"""A graph whose joins degrade in every declared way, over four services that each know something of an article's price."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import strawberry

from gateway import (
    Ctx,
    Service,
    alternative,
    authority,
    default,
    entity,
    field,
    join,
    newest,
    quorum,
    resolver,
    stale,
)
from gateway.graph import build_graph
from gateway.services import ServiceRequest, ServiceResponse, Wire
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.testing import GatewayUnderTest, ScriptedWire, answer

from .shop import ONCE, TOKENS

NAMES = ("list", "shelf", "web", "archive")
lists, shelf, web, archive = map(Service, NAMES)


@entity
class Price:
    """What it costs."""

    amount: int = field("In cents.")
    updated_at: datetime = field("Since when.")


@entity
class Note:
    """What somebody wrote."""

    text: str = field("In their words.")


def prices(service: Service) -> Any:
    return service.loader("/prices", keys="ids", key="id", into=Price)


listed, on_shelf, on_web, archived = map(prices, (lists, shelf, web, archive))
notes, old_notes = (
    service.loader("/notes", keys="ids", key="id", into=Note, many=True, params={"first": "limit"})
    for service in (lists, archive)
)


@entity
class Article:
    """What is sold."""

    key: str = field("Its key.")
    old_key: strawberry.Private[str | None]
    price: Price | None = join(listed, on="key", otherwise=(alternative(archived, on="old_key"), stale("15m")))
    shown: Price = join(
        listed,
        on="key",
        otherwise=(
            alternative(on_shelf),
            alternative(archived, on="old_key"),
            default(Price(amount=0, updated_at=datetime(2026, 1, 1))),
        ),
    )
    notes: list[Note] = join(notes, on="key", otherwise=(alternative(old_notes), default([])), first=(int, 10))
    current: Price | None = join(
        [listed, on_shelf], on="key", reconcile=newest("updatedAt"), otherwise=(stale("15m"), alternative(archived))
    )
    official: Price | None = join([on_shelf, listed], on="key", reconcile=authority("list"))
    common: Price | None = join([listed, on_shelf, on_web], on="key", reconcile=quorum())
    exact: Price | None = join(listed, on="key", consistency="strong")


@strawberry.type
class Query:
    @resolver
    def articles(self, keys: list[str]) -> list[Article]:
        """Articles by their keys; those of an old key are in the archive too."""
        return [Article(key=key, old_key=None if key == "new" else f"old-{key}") for key in keys]

    @resolver
    async def exact(self, ctx: Ctx, key: str) -> Price | None:
        """A price as of this moment."""
        found: Price | None = await ctx.strong.load(listed, key)
        return found

    @resolver
    async def exact_many(self, ctx: Ctx, keys: list[str]) -> list[Price | None]:
        """Prices as of this moment."""
        return await ctx.strong.load_many(listed, keys)


graph = build_graph(Query)


def market(*, telemetry: Telemetry | None = None, **wires: Wire) -> GatewayUnderTest:
    """A gateway over that graph; a service that is not given answers a cent a letter of the key, as of 2026."""
    services = {name: {"url": f"http://{name}.test", **ONCE} for name in NAMES}
    settings = Settings.model_validate({"services": services, "identity": {"tokens": TOKENS}})
    served: Mapping[str, Wire] = {name: ScriptedWire(otherwise=costing()) for name in NAMES}
    return GatewayUnderTest(settings, graph, wires={**served, **wires}, telemetry=telemetry)


def costing(amount: int | None = None, *, day: int = 1) -> Any:
    """Answers that amount for every key, as of that day of January 2026; or a cent a letter."""

    def said(request: ServiceRequest) -> ServiceResponse:
        ids = [value for name, value in request.query if name == "ids"]
        if request.path == "/notes":
            return answer([{"id": key, "text": f"of {request.service}"} for key in ids])
        at = f"2026-01-{day:02}T00:00:00Z"
        return answer([{"id": key, "amount": amount or len(key), "updatedAt": at} for key in ids])

    return said


def wire(*steps: Any, otherwise: Any = None) -> ScriptedWire:
    return ScriptedWire(*steps, otherwise=otherwise or costing())
