"""A gateway whose every operation counts for ever, as a process of its own: `python streaming_gateway.py PORT [PING GONE_AFTER]`.

The edge and the server are the real ones, over a graph that needs no service. `GET /counts` tells what is held. An operation named
`quiet` has no event, `loud` has 64 KiB every 5 ms.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

from gateway.clock import Seconds
from gateway.edge import GraphQLEndpoint, GraphQLWebSocket, HttpStreams
from gateway.execution import GraphQLRequest, GraphQLResult
from gateway.identity import ANONYMOUS, Identity
from gateway.server import GONE_AFTER, hold_port, serve
from gateway.stream_limits import StreamLimits
from gateway.telemetry import Metrics, silent_log

STALLED = Seconds(1.0)
TEXT = "x" * 65_536


class Anybody:
    async def authenticate(self, headers: Mapping[str, str]) -> Identity:
        return ANONYMOUS


class Counting:
    def __init__(self) -> None:
        self.under_way = 0

    def is_subscription(self, request: GraphQLRequest) -> bool:
        return True

    def streams(self, request: GraphQLRequest) -> bool:
        return True

    async def answer(self, request: GraphQLRequest) -> GraphQLResult:
        return GraphQLResult()

    async def stream(
        self, request: GraphQLRequest, *, begun: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[GraphQLResult]:
        self.under_way += 1
        try:
            begun()
            number = 0
            while "quiet" not in request.text:
                await asyncio.sleep(0.005)
                number += 1
                yield GraphQLResult(tree={"number": number, "text": TEXT})
            await asyncio.Event().wait()
        finally:
            self.under_way -= 1

    def refuse(self, error: Exception) -> GraphQLResult:
        return GraphQLResult(errors=[{"message": str(error), "extensions": {"code": "X"}}], is_request_error=True)


def main(port: int, ping: Seconds = Seconds(5.0), gone_after: Seconds = GONE_AFTER) -> None:
    limits = StreamLimits(ping=ping, stalled=STALLED)
    engine, metrics = Counting(), Metrics()
    streams = HttpStreams(engine, metrics=metrics, limits=limits)
    endpoint = GraphQLEndpoint(engine, authenticator=Anybody(), max_body=10_000, streams=streams)
    sockets = GraphQLWebSocket(engine, authenticator=Anybody(), limits=limits, metrics=metrics)

    async def counts(_: Request) -> JSONResponse:
        gc.collect()
        kinds = [type(each).__name__ for each in gc.get_objects()]
        ended = {
            f"{sample.labels['transport']} {sample.labels['reason']}": sample.value
            for metric in metrics.streams_ended.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }
        return JSONResponse(
            {
                "operations": engine.under_way,
                "streams": len(streams) + len(sockets),
                "tasks": len(asyncio.all_tasks()),
                "objects": sum(kinds.count(kind) for kind in ("_Stream", "_Connection", "_Socket", "WebSocket")),
                "ended": ended,
            }
        )

    async def leave() -> None:
        await asyncio.gather(streams.leave(), sockets.leave())

    def on_leave() -> None:
        leaving.append(asyncio.ensure_future(leave()))

    leaving = list[asyncio.Task[None]]()
    app = Starlette(routes=[Route("/graphql", endpoint), WebSocketRoute("/graphql", sockets), Route("/counts", counts)])
    serve(
        app,
        hold_port("127.0.0.1", port, gone_after=gone_after),
        drain=Seconds(5.0),
        log=silent_log(),
        on_leave=on_leave,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), *(Seconds(float(each)) for each in sys.argv[2:]))
