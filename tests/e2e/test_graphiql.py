"""GraphiQL in a real browser, against a running gateway: it runs, explains, signs in, and never leaves its origin.

The graph here is a stand-in with the shape that the page's default query asks for. To point these tests at another ASGI
application, replace the fixture `gateway_app`; the rest only knows the page, `products` and the recorded headers.
"""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import strawberry
import uvicorn
from selenium.webdriver.common.keys import Keys
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.asgi import GraphQL

from gateway.edge.pages import BUILT_PAGE, graphiql_routes, landing

if TYPE_CHECKING:  # at run time pytest loads it as a plugin, which it must do before anybody imports it
    from tests.browser import Browser

pytest_plugins = ("tests.browser",)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(  # in CI a page that nobody built is a broken build: the tests run, and fail
        not (BUILT_PAGE / "index.html").is_file() and os.environ.get("CI") != "true",
        reason="GraphiQL is not built: run `make web`",
    ),
]

STARTED_WITHIN_SECONDS = 5.0
QUERY_EDITOR = ".graphiql-query-editor .monaco-editor"
HEADERS_EDITOR = ".graphiql-editor-tool .graphiql-editor:not(.hidden) .monaco-editor"
ANSWER = ".graphiql-response .view-lines"


# -- a stand-in for the graph ------------------------------------------------------------------------------------------


@strawberry.type
class Money:
    amount: int
    currency: str


@strawberry.type
class Stock:
    quantity: int
    warehouse: str


@strawberry.type
class Author:
    name: str


@strawberry.type
class Review:
    rating: int
    body: str
    author: Author | None


@strawberry.type
class Product:
    id: strawberry.ID
    name: str
    price: Money
    stock: Stock | None

    @strawberry.field
    def reviews(self, first: int = 10) -> list[Review]:
        return [Review(rating=5, body="Pours well.", author=Author(name="Ada"))][:first]


@strawberry.type
class ProductEdge:
    node: Product


@strawberry.type
class ProductConnection:
    edges: list[ProductEdge]


@strawberry.type
class Query:
    @strawberry.field(description="Everything that is for sale.")
    def products(self, first: int = 10) -> ProductConnection:
        names = ["Teapot", "Cup", "Kettle", "Spoon"][:first]
        return ProductConnection(edges=[ProductEdge(node=_product(name)) for name in names])


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def pours(self) -> AsyncIterator[str]:
        for cup in ("first cup", "second cup"):
            yield cup
            await asyncio.sleep(0.01)


def _product(name: str) -> Product:
    price, stock = Money(amount=1250, currency="EUR"), Stock(quantity=7, warehouse="Porto")
    return Product(id=strawberry.ID(name.lower()), name=name, price=price, stock=stock)


# -- the gateway under test --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordsAuthorization:
    """Starlette middleware: which identity each request to the graph claimed, as the server received it."""

    app: ASGIApp
    claimed: list[str] = field(default_factory=list[str])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/graphql":
            self.claimed.append(Headers(scope=scope).get("authorization", ""))
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def gateway_app() -> ASGIApp:
    """Serves `/graphiql` and `/graphql`. The one thing to replace for another gateway."""
    graph = GraphQL[None, None](strawberry.Schema(Query, subscription=Subscription), graphql_ide=None)
    graphql = [Route("/graphql", graph, methods=["POST"]), WebSocketRoute("/graphql", graph)]
    return Starlette(routes=[landing(), *graphiql_routes(), *graphql])


@pytest.fixture(scope="module")
def recorder(gateway_app: ASGIApp) -> RecordsAuthorization:
    return RecordsAuthorization(gateway_app)


@pytest.fixture(scope="module")
def gateway_url(recorder: RecordsAuthorization) -> Iterator[str]:
    with serving(recorder) as url:
        yield url


@contextmanager
def serving(app: ASGIApp) -> Generator[str]:
    """uvicorn in a thread, on a port that the machine picked, until the block ends."""
    config = uvicorn.Config(app, ws="websockets-sansio", log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            _wait_until_started(server)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(STARTED_WITHIN_SECONDS)


def _wait_until_started(server: uvicorn.Server) -> None:
    give_up = time.monotonic() + STARTED_WITHIN_SECONDS
    while not server.started:
        if time.monotonic() > give_up:
            raise TimeoutError(f"uvicorn did not start within {STARTED_WITHIN_SECONDS:g} s")
        time.sleep(0.01)


@pytest.fixture
def page(browser: "Browser", gateway_url: str) -> "Iterator[Browser]":
    """The page, open and ready. Afterwards: everything came from its own origin, and the console is clean."""
    browser.open(f"{gateway_url}/graphiql")
    browser.wait_for(QUERY_EDITOR, containing="SagaQL: one graph over many services")
    yield browser
    assert {each.origin for each in browser.requests} - {""} <= {gateway_url, gateway_url.replace("http", "ws", 1)}
    assert browser.complaints == []


# -- what a developer does with it -------------------------------------------------------------------------------------


def test_the_default_query_runs_and_shows_its_data(page: "Browser") -> None:
    page.click(QUERY_EDITOR)
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait_for(ANSWER, containing='"products"')
    assert page.driver.title == "SagaQL"
    assert page.wait_for(".graphiql-logo").text == "SagaQL"


def test_the_button_runs_what_the_editor_holds(page: "Browser") -> None:
    page.write(QUERY_EDITOR, "query First { products(first: 1) { edges { node { name } } } }")
    page.click(".graphiql-execute-button")
    answer = page.wait_for(ANSWER, containing='"name"')
    assert '"edges"' in answer.text


def test_completion_proposes_what_the_schema_has(page: "Browser") -> None:
    page.write(QUERY_EDITOR, "query { pro")
    page.press(Keys.CONTROL, Keys.SPACE)
    page.wait_for(".suggest-widget", containing="products")


def test_the_documentation_leads_from_the_root_to_products(page: "Browser") -> None:
    page.click('button[aria-label="Show Documentation Explorer"]')
    page.click(".graphiql-doc-explorer-type-name", containing="Query")
    page.wait_for(".graphiql-doc-explorer-field-name", containing="products")


def test_the_headers_tab_signs_requests(page: "Browser", recorder: RecordsAuthorization) -> None:
    page.click(".graphiql-editor-tools button", containing="Headers")
    page.write(HEADERS_EDITOR, json.dumps({"Authorization": "Bearer demo-customer"}))
    page.click(".graphiql-execute-button")
    page.wait_for(ANSWER, containing='"products"')
    assert "Bearer demo-customer" in recorder.claimed


def test_a_subscription_arrives_from_the_same_origin(page: "Browser") -> None:
    page.write(QUERY_EDITOR, "subscription { pours }")
    page.click(".graphiql-execute-button")
    page.wait_for(ANSWER, containing="second cup")


def test_the_root_leads_a_browser_to_the_page(browser: "Browser", gateway_url: str) -> None:
    browser.open(gateway_url)
    browser.wait_for(QUERY_EDITOR)
    assert browser.driver.current_url == f"{gateway_url}/graphiql"


def test_the_page_works_with_a_slash_at_its_end(browser: "Browser", gateway_url: str) -> None:
    browser.open(f"{gateway_url}/graphiql/")
    browser.wait_for(QUERY_EDITOR)
    assert browser.complaints == []
