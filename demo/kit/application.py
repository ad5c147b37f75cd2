"""A declared service as a running application: reads, idempotent writes, health, and switches and records for tests.

Invariant: a write is answered after its transaction is durable. Handlers run on the event loop and never await, so one
request's transaction is never interleaved with another's; what waits (faults) waits outside, and blocks nobody.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from demo.kit import idempotency, ledger
from demo.kit.answers import Answer, Refusal, answered, malformed
from demo.kit.database import opened
from demo.kit.faults import Fault, FaultGate, FaultSwitch, LateEffects
from demo.kit.instants import Now, iso, utc_now
from demo.kit.query import Query
from demo.kit.seed import shop
from demo.kit.service import MAX_KEY_LENGTH, Read, Service, Write
from demo.kit.traffic import Intake, Traffic
from demo.kit.work import Work

ShapeT = TypeVar("ShapeT")

# ASCII, visible: what an Idempotency-Key may hold, and what a ledger shows without escapes.
_VISIBLE = range(0x21, 0x7F)


def application(service: Service, *, data: Path, now: Now = utc_now) -> Starlette:
    """The service on its file in `data`, which is made and seeded if it is new; its lifespan closes the file."""
    return _Desk(service, database(service, data=data), now=now).application()


def database(service: Service, *, data: Path) -> sqlite3.Connection:
    schema = ";".join((service.schema, ledger.SCHEMA, idempotency.SCHEMA))
    path = data / f"{service.name}.sqlite3"
    return opened(path, schema=schema, fill=lambda connection: service.seed(connection, shop()))


class _Desk:
    """Where requests to one service are received."""

    def __init__(self, service: Service, connection: sqlite3.Connection, *, now: Now) -> None:
        self.service = service
        self.connection = connection
        self.now = now
        self.traffic = Traffic(service.paths)
        self.switch = FaultSwitch(service.paths)
        self.late = LateEffects()

    def application(self) -> Starlette:
        served = Starlette(
            routes=[*self._business(), *self._about()],
            middleware=[
                Middleware(Intake, traffic=self.traffic),
                Middleware(FaultGate, switch=self.switch, late=self.late),
            ],
            exception_handlers={Refusal: _refused, HTTPException: _unroutable, Exception: _broken},
            lifespan=self._lifespan,
        )
        # A path with a slash too many is unknown, not elsewhere.
        served.router.redirect_slashes = False
        return served

    def _business(self) -> list[Route]:
        reads = [Route(path, self._reader(read), methods=["GET"]) for path, read in self.service.reads.items()]
        writes = [Route(path, self._writer(write), methods=["POST"]) for path, write in self.service.writes.items()]
        return [*reads, *writes]

    def _about(self) -> list[Route]:
        routes = [
            Route("/health", self._health),
            Route("/__calls", self._calls, methods=["GET", "DELETE"]),
            Route("/__traces", self._traces),
            Route("/__headers", self._headers),
            Route("/__fault", self._fault, methods=["GET", "PUT", "DELETE"]),
        ]
        return [*routes, Route("/__ledger", self._ledger)] if self.service.writes else routes

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self.late.close()
            self.connection.close()

    def _reader(self, read: Read) -> Any:
        async def endpoint(request: Request) -> Response:
            return _json(answered(200, read(self.connection, Query(request.query_params))))

        return endpoint

    def _writer(self, write: Write[Any]) -> Any:
        async def endpoint(request: Request) -> Response:
            key = _idempotency_key(request)
            raw = await request.body()
            body = _decoded(raw, write.body)
            at = iso(self.now())
            work = Work(self.connection, key, at)
            keyed = idempotency.Keyed(key, idempotency.fingerprint(request.method, request.scope["path"], raw), at)
            return _json(idempotency.perform(self.connection, keyed, lambda: write.handle(work, body)))

        return endpoint

    async def _health(self, _: Request) -> Response:
        return _json(answered(200, {"status": "ok", "service": self.service.name}))

    async def _calls(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.traffic.forget_calls()
        return _json(answered(200, self.traffic.calls()))

    async def _traces(self, _: Request) -> Response:
        return _json(answered(200, self.traffic.traces()))

    async def _headers(self, _: Request) -> Response:
        return _json(answered(200, self.traffic.headers()))

    async def _fault(self, request: Request) -> Response:
        if request.method == "PUT":
            self.switch.set(_decoded(await request.body(), Fault))
        elif request.method == "DELETE":
            self.switch.clear()
        return _json(answered(200, self.switch.fault))

    async def _ledger(self, _: Request) -> Response:
        return _json(answered(200, ledger.entries(self.connection)))


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not key:
        raise Refusal(400, "MISSING_IDEMPOTENCY_KEY", "a POST must carry an Idempotency-Key header")
    if len(key) > MAX_KEY_LENGTH or any(ord(character) not in _VISIBLE for character in key):
        raise malformed(f"Idempotency-Key must be at most {MAX_KEY_LENGTH} visible ASCII characters")
    return key


def _decoded(raw: bytes, shape: type[ShapeT]) -> ShapeT:
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(str(error)) from error


def _json(answer: Answer) -> Response:
    headers = {"Idempotent-Replay": "true"} if answer.replayed else None
    return Response(answer.body, status_code=answer.status, headers=headers, media_type="application/json")


async def _refused(_: Request, refusal: Exception) -> Response:
    return _json(cast("Refusal", refusal).answer)


async def _unroutable(request: Request, exception: Exception) -> Response:
    error = cast("HTTPException", exception)
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "REFUSED")
    message = f"{request.method} {request.url.path}: {error.detail}"
    response = _json(answered(error.status_code, {"code": code, "message": message}))
    response.headers.update(error.headers or {})
    return response


async def _broken(_: Request, __: Exception) -> Response:
    """The framework raises it again after this answer, and the server logs it."""
    return _json(answered(500, {"code": "INTERNAL", "message": "the service has a defect; its log says more"}))
