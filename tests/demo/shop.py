"""The whole demo in this process: the graph and the settings that `sagaql demo` serves, over its seven services without sockets.

Invariant: what a caller reads is what a client of the demo reads; only the network is left out, and the journal is in memory.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

import mutations
import resolvers
from demo.addresses import NAMES
from demo.kit.application import application
from demo.serve import SERVICES
from gateway.graph import build_graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings, load_settings
from gateway.settings.identity import TokenSettings
from gateway.testing import GatewayUnderTest, MemoryJournal, ScriptedWire, VirtualClock

ROOT = Path(__file__).resolve().parents[2]
OTHER_CUSTOMER = "other-customer"
"""The token of a customer, c-002, who is not one of the demo's three people."""

GRAPH = build_graph(resolvers.Query, mutations.Mutation, resolvers.Subscription)


class Shop(GatewayUnderTest):
    """The gateway, and what it has sent to the services."""

    def __init__(self, settings: Settings, wires: dict[str, ScriptedWire]) -> None:
        super().__init__(settings, GRAPH, wires=wires, clock=VirtualClock(), journal=MemoryJournal())
        self.wires = wires

    @property
    def calls(self) -> int:
        return sum(len(wire.sent) for wire in self.wires.values())


@asynccontextmanager
async def opened(seeded: Path, data: Path) -> AsyncGenerator[Shop]:
    """The shop on its first day: its databases are copies in `data`."""
    async with AsyncExitStack() as stack:
        wires: dict[str, ScriptedWire] = {}
        for name in NAMES:
            shutil.copy(seeded / f"{name}.sqlite3", data)
            served = application(SERVICES[name], data=data)
            await stack.enter_async_context(served.router.lifespan_context(served))
            client = httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url=f"http://{name}.test")
            wires[name] = ScriptedWire(otherwise=_asked(await stack.enter_async_context(client)))
        yield await stack.enter_async_context(Shop(_settings(), wires))


def _settings() -> Settings:
    settings = load_settings(ROOT / "gateway.toml", environ={})
    other = TokenSettings.model_validate({"token": OTHER_CUSTOMER, "subject": "c-002", "scopes": ["customer"]})
    identity = settings.identity.model_copy(update={"tokens": (*settings.identity.tokens, other)})
    return settings.model_copy(update={"identity": identity})


def _asked(client: httpx.AsyncClient) -> Callable[[ServiceRequest], Coroutine[Any, Any, ServiceResponse]]:
    async def answers(request: ServiceRequest) -> ServiceResponse:
        headers = dict(request.headers)
        if request.idempotency_key is not None:
            headers["idempotency-key"] = request.idempotency_key
        answer = await client.request(
            request.method, request.path, params=list(request.query), headers=headers, content=request.body
        )
        return ServiceResponse(answer.status_code, dict(answer.headers), answer.content)

    return answers
