"""A gateway without sockets for the Python SDK: answers and streams by a script; it remembers what was asked, and when."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from sagaql_client import AddressInput, Client, OrderLineInput, PlaceOrderInput, Retry
from sagaql_client.stream import StreamBroken

URL = "http://gateway.test/graphql"
ORDER = PlaceOrderInput(
    customer_id="c",
    lines=[OrderLineInput(sku="SKU-1", quantity=1)],
    payment_token="tok_ok",
    address=AddressInput(name="Ada", street="1 Row", city="London", postal_code="SW1Y 4JH", country="GB"),
)

Step = httpx.Response | Exception | float
"""An answer, a broken connection, or so many seconds of silence before the next step."""

Connection = Sequence[dict[str, Any] | Exception | float]
"""Its events, how it breaks, its seconds of silence; one that has none of them is refused."""


@dataclass(frozen=True)
class Asked:
    at: float
    headers: Mapping[str, str]
    body: Any

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")

    @property
    def is_look(self) -> bool:
        return "saga(id: $id) { status }" in self.body["query"]


@dataclass
class ScriptedGateway:
    """HTTP requests take the steps in their order, streams take theirs; who asks beyond the script gets the last again."""

    script: Sequence[Step]
    streams: Sequence[Connection] = ()
    asked: list[Asked] = field(default_factory=list[Asked])
    watched: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Variables of each subscription."""

    def __post_init__(self) -> None:
        self._steps, self._connections = deque(self.script), deque(self.streams)

    def client(self, **options: Any) -> Client:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        options = {"retry": Retry(), "random": Random(7), **options}
        return Client(URL, http=http, stream=self._stream, **options)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        now = asyncio.get_running_loop().time()
        self.asked.append(Asked(now, request.headers, json.loads(request.content)))
        while True:
            match self._steps.popleft() if len(self._steps) > 1 else self._steps[0]:
                case httpx.Response() as answer:
                    return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
                case float(seconds):
                    await asyncio.sleep(seconds)
                case Exception() as error:
                    raise error

    async def _stream(
        self, url: str, payload: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any]]:
        self.watched.append(payload["variables"])
        events = self._connections.popleft() if self._connections else ()
        if not events:
            raise StreamBroken("refused")
        for event in events:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, float):
                await asyncio.sleep(event)
                continue
            yield {"sagaEvents": event}


def data(value: Any, **others: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": value, **others})


def refused(code: str, *, status: int = 503, retryable: bool = True, **headers: str) -> httpx.Response:
    entry = {"message": "no", "extensions": {"code": code, "retryable": retryable}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"errors": [entry]}, headers=named)


def limited(seconds: int) -> httpx.Response:
    """By a gateway whose `Retry-After` a proxy has dropped."""
    extensions = {"code": "RATE_LIMITED", "retryable": True, "retryAfter": seconds}
    return httpx.Response(429, json={"errors": [{"message": "no", "extensions": extensions}]})


def outcome(typename: str, *, status: str, saga_id: str = "s1", **fields: Any) -> httpx.Response:
    """What placeOrder answers."""
    return data({"placeOrder": {"__typename": typename, "sagaId": saga_id, "status": status, **fields}})


def completed() -> httpx.Response:
    order = {
        "id": "o1",
        "status": "CONFIRMED",
        "placedAt": "2026-11-28T12:00:00+00:00",
        "total": {"amount": 5, "currency": "EUR"},
        "shipment": None,
    }
    return outcome("PlaceOrderCompleted", status="COMPLETED", order=order)


def accepted() -> httpx.Response:
    return outcome("SagaAccepted", status="RUNNING")


def event(sequence: int, status: str) -> dict[str, Any]:
    """Of `sagaEvents`, with everything that an operation of ours selects."""
    told = {"sequence": sequence, "at": "2026-11-28T12:00:00+00:00", "kind": "StepDone"}
    return {**told, "step": None, "attempt": None, "code": None, "saga": {"status": status}}


def dropped() -> httpx.TransportError:
    return httpx.ReadError("connection reset")
