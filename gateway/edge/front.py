"""The application's front door: a POST to the GraphQL endpoint goes straight there, everything else by Starlette's routes.

Invariants: what an embedding has added with `add_middleware` is passed by every request; then nothing takes the short way. Whoever
takes the long one is told what browsers may not do with it; the endpoint says so by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from .security_headers import with_defaults


class Front(Starlette):
    """A Starlette application whose `path` is posted to more often than all else is asked for."""

    def __init__(
        self, endpoint: ASGIApp, *, path: str, introduced: Callable[[Scope], Scope] | None = None, **starlette: Any
    ) -> None:
        """`endpoint` is among the routes too: it must answer alike by both ways, and let no exception out. `introduced`: what every
        request is first made into.
        """
        super().__init__(**starlette)
        self._introduced = introduced
        self._endpoint = endpoint
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._introduced is not None and scope["type"] != "lifespan":
            scope = self._introduced(scope)
        if (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"] == self._path
            and not self.user_middleware
        ):
            await self._endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, with_defaults(send) if scope["type"] == "http" else send)
