"""`/livez`, `/readyz`, `/metrics`: for whoever runs the gateway.

Alive means that the loop answers. Ready means that requests may come: started and not draining. A dead service makes nobody
unready: the gateway answers what it can, and says in the body which services it does without. What it does without, and its
figures, are for admins: they stand apart, and where clients come it may be that nobody is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ..telemetry import Metrics

Status: TypeAlias = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether requests may come, and what there is to say of it."""


def health_routes(*, status: Status) -> list[BaseRoute]:
    """Yes or no, for balancers and whoever else asks."""

    async def live(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        is_ready, _details = status()
        return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)

    return [Route("/livez", live), Route("/readyz", ready)]


def status_routes(
    *, status: Status, metrics: Metrics, gathered: Callable[[], Awaitable[bytes]] | None = None
) -> list[BaseRoute]:
    """What there is to say, for admins; `/readyz` stands here too, and goes first where both are served.

    `gathered`: the exposition of all processes, where this one is not alone.
    """

    async def ready(_: Request) -> Response:
        is_ready, details = status()
        return JSONResponse({"ready": is_ready, **details}, status_code=200 if is_ready else 503)

    async def exposition(_: Request) -> Response:
        text = metrics.exposition() if gathered is None else await gathered()
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return [Route("/readyz", ready), Route("/metrics", exposition)]
