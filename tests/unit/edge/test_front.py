"""The front door: the short way for what is posted to the endpoint, unless an embedding's middleware stands before it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge import Front
from gateway.testing.client import answer_of, scope_of_request


async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    """Says which way it was reached: routes leave their mark in the scope."""
    way = "by the routes" if "endpoint" in scope else "straight"
    await PlainTextResponse(f"{scope['method']} {way}")(scope, receive, send)


class Endpoint:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await endpoint(scope, receive, send)


def other(_: Request) -> PlainTextResponse:
    return PlainTextResponse("other")


class Marking:
    """A middleware as embeddings have it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-marked", b"yes")]}
            await send(message)

        await self.app(scope, receive, marked)


def front() -> Front:
    return Front(Endpoint(), path="/graphql", routes=[Route("/graphql", Endpoint()), Route("/other", other)])


async def test_what_is_posted_to_the_endpoint_goes_straight_there_and_the_rest_by_the_routes() -> None:
    app = front()
    said = [
        (await answer_of(app, scope_of_request(method, path, headers={}), [b""])).body
        for method, path in (("POST", "/graphql"), ("GET", "/graphql"), ("GET", "/other"), ("POST", "/graphql/"))
    ]
    assert said == [b"POST straight", b"GET by the routes", b"other", b""]


async def test_middleware_that_was_added_is_passed_by_every_request() -> None:
    app = front()
    app.add_middleware(Marking)
    answer = await answer_of(app, scope_of_request("POST", "/graphql", headers={}), [b""])
    assert (answer.body, answer.headers["x-marked"]) == (b"POST by the routes", "yes")


async def test_below_another_application_it_is_reached_all_the_same() -> None:
    outer = Front(Endpoint(), path="/nothing", routes=[Mount("/inner", front())])
    answer = await answer_of(outer, scope_of_request("POST", "/inner/graphql", headers={}), [b""])
    assert answer.body == b"POST by the routes"
