"""The admins' port: nothing is answered there, not even that there is nothing, but to whoever shows the token.

Invariant: the token is compared by its digest, in constant time; no answer, log or `repr` holds it. A browser sends it for no
foreign page, so a page that finds the port reads nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Router
from starlette.types import Receive, Scope, Send

from ..errors import Unauthenticated
from ..telemetry import Metrics
from .authentication import hashed, token_in
from .security_headers import with_defaults

_WHO_ARE_YOU = "this port answers to whoever shows the admin token: Authorization: Bearer <token>\n"


class AdminDoor:
    """An ASGI application of `routes`, for those who show the token that has the digest `digest`."""

    def __init__(self, routes: Sequence[BaseRoute], *, digest: str, metrics: Metrics) -> None:
        self._routes = Router(routes)
        self._digest = digest
        self._refused = metrics.authentications.labels("refused_admin")

    def __repr__(self) -> str:
        return f"<AdminDoor {len(self._routes.routes)} routes>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = with_defaults(send)
        if scope["type"] == "http" and not self._knows(Headers(scope=scope)):
            self._refused.inc()
            headers = {"WWW-Authenticate": "Bearer"}
            await PlainTextResponse(_WHO_ARE_YOU, status_code=401, headers=headers)(scope, receive, send)
            return
        await self._routes(scope, receive, send)  # which has no WebSocket and closes those that come

    def _knows(self, headers: Headers) -> bool:
        shown = headers.getlist("authorization")
        try:
            return len(shown) == 1 and hmac.compare_digest(hashed(token_in(shown[0])), self._digest)
        except Unauthenticated:
            return False
