"""Other people's clients against the running demo: each feature with each client, and the table of what was seen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from demo.addresses import NAMES

from .client_builds import manifest
from .client_expectations import DEFERRED, PRODUCT_ID
from .client_features import FEATURES, Feature
from .client_shop import Shop
from .client_table import PAGE, WRITE, Outcomes, page
from .clients import Client, Driver, needs_clients
from .conftest import free_ports

pytestmark = [pytest.mark.e2e, needs_clients]

CLIENTS = [
    Client("apollo", "Apollo Client", "@apollo/client"),
    Client("urql", "urql", "@urql/core"),
    Client("graphql-ws", "graphql-ws", "graphql-ws"),
    Client("graphql-sse", "graphql-sse", "graphql-sse"),
    Client("relay", "Relay", "relay-runtime"),
    Client("codegen", "graphql-codegen's client preset", "@graphql-codegen/client-preset"),
    Client("gql-httpx", "Python's gql (httpx)", "gql", (sys.executable, "gql_client.py", "httpx")),
    Client("gql-aiohttp", "Python's gql (aiohttp)", "gql", (sys.executable, "gql_client.py", "aiohttp")),
]


@pytest.fixture(scope="module")
def running_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("clients"), free_ports(1 + len(NAMES))) as shop, shop.open():
        yield shop


@pytest.fixture
def shop(running_shop: Shop) -> Shop:
    """All of it running, nothing broken."""
    running_shop.tidy()
    return running_shop


@pytest.fixture(scope="module")
def drivers() -> Iterator[dict[str, Driver]]:
    manifest()  # two of them import what is built
    with ExitStack() as stack:
        yield {client.name: stack.enter_context(Driver(client)) for client in CLIENTS}


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_what_the_user_of_a_client_sees(
    client: Client, feature: Feature, drivers: dict[str, Driver], shop: Shop, outcomes: Outcomes
) -> None:
    cell = client.name, feature.name
    if why := drivers[client.name].reason(feature.name, feature.verb):
        outcomes.cannot.add(cell)
        pytest.skip(why)  # the client says so itself, and the table prints it: what it can do is not skipped
    feature.check(drivers[client.name], shop)
    outcomes.passed.add(cell)


@pytest.mark.parametrize("name", ["codegen", "gql-httpx", "gql-aiohttp"])
def test_who_reads_one_answer_gets_what_is_deferred_with_the_rest(
    name: str, drivers: dict[str, Driver], shop: Shop
) -> None:
    seen = drivers[name].ask("query", url=shop.graphql_url, query=DEFERRED, variables={"id": PRODUCT_ID})
    assert [review["author"]["name"] for review in seen["data"]["product"]["reviews"]] == shop.authors


def test_the_table_of_clients_is_what_was_seen(drivers: dict[str, Driver], outcomes: Outcomes) -> None:
    if outcomes.lacks(CLIENTS, FEATURES):  # a run of some tests, or one that has failed already
        pytest.skip("not everything was tried, or something failed: the page is left as it is")
    seen = page(FEATURES, list(drivers.values()), outcomes)
    if os.environ.get(WRITE):
        PAGE.write_text(seen, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == seen, f"{PAGE} is not what was seen: run `make clients`"
