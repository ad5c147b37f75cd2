"""Other people's clients against the running demo: each feature with each client, and the table of what was seen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from demo.addresses import NAMES

from .client_features import FEATURES, Feature
from .client_shop import Shop
from .clients import Client, Driver, needs_clients
from .conftest import free_ports

pytestmark = [pytest.mark.e2e, needs_clients]

CLIENTS = [
    Client("apollo", "Apollo Client", "@apollo/client"),
    Client("relay", "Relay", "relay-runtime"),
    Client("codegen", "graphql-codegen", "@graphql-codegen/client-preset"),
    Client("gql-httpx", "Python's gql, with httpx", "gql", (sys.executable, "gql_client.py", "httpx")),
    Client("gql-aiohttp", "Python's gql, with aiohttp", "gql", (sys.executable, "gql_client.py", "aiohttp")),
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
    with ExitStack() as stack:
        yield {client.name: stack.enter_context(Driver(client)) for client in CLIENTS}


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_what_the_user_of_a_client_sees(
    client: Client, feature: Feature, drivers: dict[str, Driver], shop: Shop
) -> None:
    driver = drivers[client.name]
    if why := driver.reason(feature.name, feature.verb):
        pytest.skip(why)
    feature.check(driver, shop)
