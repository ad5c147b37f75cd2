"""`GatewayUnderTest`: a whole gateway in this process, from HTTP to the wires, without a socket.

    async with GatewayUnderTest(settings, graph, wires={"catalog": ScriptedWire(...)}) as gateway:
        answer = await gateway.execute("{ product(id: 1) { name } }", headers={"Authorization": "Bearer t"})

Invariant: what a client of it sees is what a client of the served application sees: the same ASGI application, its lifespan
included. A wire that is not given is the real one. Works in virtual time too; a graph with sagas needs
`clock=VirtualClock()` and `journal=MemoryJournal()` for it, since the real journal writes in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import orjson
from starlette.types import ASGIApp, Message, Scope

from ..app import Application, create_app
from ..clock import Clock
from ..graph import Graph
from ..identity import Authenticator
from ..sagas.journal import Journal
from ..services import Wire
from ..settings import Settings
from ..shared import StoreClient
from ..telemetry import Telemetry

GRAPHQL_RESPONSE = "application/graphql-response+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def data(self) -> Any:
        """The member `data`. Raises: KeyError where nothing was executed."""
        return self.json["data"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json.get("errors", [])
        return found

    @property
    def codes(self) -> list[str]:
        """`extensions.code` of each error, in their order."""
        return [error["extensions"]["code"] for error in self.errors]

    @property
    def degraded(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json.get("extensions", {}).get("degraded", [])
        return found


class GatewayUnderTest:
    """An application between the beginning and the end of its lifespan. `parts` are its floors, for looking inside."""

    def __init__(
        self,
        settings: Settings,
        graph: Graph | None = None,
        *,
        wires: Mapping[str, Wire],
        telemetry: Telemetry | None = None,
        authenticator: Authenticator | None = None,
        clock: Clock | None = None,
        journal: Journal | None = None,
        store: StoreClient | None = None,
    ) -> None:
        """`telemetry` is silent by default: spans go nowhere, no line is logged."""
        self.app = create_app(
            settings,
            graph,
            telemetry=telemetry or Telemetry(),
            wires=wires,
            authenticator=authenticator,
            clock=clock,
            journal=journal,
            store=store,
        )
        self.parts: Application = self.app.state.gateway
        self._life = AsyncExitStack()

    async def execute(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to an operation sent by POST, as `application/graphql-response+json`."""
        body: dict[str, Any] = {"query": document}
        if variables is not None:
            body["variables"] = dict(variables)
        if operation_name is not None:
            body["operationName"] = operation_name
        sent = {"accept": GRAPHQL_RESPONSE, "content-type": "application/json", **(headers or {})}
        return await self.request("POST", "/graphql", body=orjson.dumps(body), headers=sent)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any request, with the headers that are given and no other."""
        return await answer_of(
            self.app, scope_of_request(method, path, query=urlencode(query or {}), headers=headers or {}), [body]
        )

    async def __aenter__(self) -> Self:
        await self._life.enter_async_context(self.app.router.lifespan_context(self.app))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._life.aclose()

    def __repr__(self) -> str:
        return f"<GatewayUnderTest {self.parts.services!r}>"


def scope_of_request(method: str, path: str, *, query: str = "", headers: Mapping[str, str]) -> dict[str, Any]:
    """An ASGI scope as a server makes it: names of headers in lower case."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "server": ("gateway.test", 80),
        "client": ("127.0.0.1", 1),
    }


async def answer_of(
    app: ASGIApp, scope: Scope, body: Sequence[bytes] = (b"",), *, gone: asyncio.Event | None = None
) -> Answer:
    """The answer of `app` to a request whose body comes in pieces; after it the client stays until `gone` is set.

    Raises: LookupError when the application answered nothing, as it does when nobody is left to answer.
    """
    pieces = list(body)
    sent: list[Message] = []
    leaves = gone or asyncio.Event()

    async def receive() -> Message:
        if pieces:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return _answer(sent)


def _answer(sent: Sequence[Message]) -> Answer:
    starts = [message for message in sent if message["type"] == "http.response.start"]
    if not starts:
        raise LookupError("the application answered nothing")
    return Answer(
        status=starts[0]["status"],
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in starts[0]["headers"]},
        body=b"".join(message.get("body", b"") for message in sent),
    )
