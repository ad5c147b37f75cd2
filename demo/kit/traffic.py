"""What has been asked of a service: counts, trace contexts and headers of its business requests.

Invariant: a request is counted when it arrives, before any fault can break it. Everything is bounded: endpoints by the
paths that the service has, the rest by TRACES and HEADERS.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Set as AbstractSet
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.kit.connection import MAX_BODY_BYTES, BodyTooLarge, CallerLeft, replayed, whole_body

TRACES = 200
HEADERS = 50
METHODS = frozenset({"GET", "POST"})


class Traffic:
    def __init__(self, paths: AbstractSet[str]) -> None:
        self._paths = paths
        self._calls = Counter[str]()
        self._traces = deque[dict[str, str | None]](maxlen=TRACES)
        self._headers = deque[dict[str, Any]](maxlen=HEADERS)

    def arrived(self, method: str, path: str, *, headers: Headers) -> None:
        endpoint = f"{method} {path}" if method in METHODS and path in self._paths else "unknown"
        self._calls[endpoint] += 1
        self._traces.append({"endpoint": endpoint, "traceparent": headers.get("traceparent")})
        self._headers.append({"endpoint": endpoint, "headers": dict(headers)})

    def calls(self) -> dict[str, Any]:
        return {"total": self._calls.total(), "byEndpoint": dict(sorted(self._calls.items()))}

    def forget_calls(self) -> None:
        self._calls.clear()

    def traces(self) -> list[dict[str, str | None]]:
        return list(self._traces)

    def headers(self) -> list[dict[str, Any]]:
        return list(self._headers)


def is_business(scope: Scope) -> bool:
    """A request that a caller of the real service would make, not one about the service."""
    path: str = scope.get("path", "")
    return scope["type"] == "http" and path != "/health" and not path.startswith("/__")


class Intake:
    """Counts a business request and reads it whole, so that what follows can take its time over a caller who leaves."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self.app = app
        self.traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_business(scope):
            await self.app(scope, receive, send)
            return
        self.traffic.arrived(scope["method"], scope["path"], headers=Headers(scope=scope))
        try:
            body = await whole_body(receive)
        except CallerLeft:
            return
        except BodyTooLarge:
            refusal = {"code": "BODY_TOO_LARGE", "message": f"a body has at most {MAX_BODY_BYTES} bytes"}
            await JSONResponse(refusal, status_code=413)(scope, receive, send)
        else:
            await self.app(scope, replayed(body, receive), send)
