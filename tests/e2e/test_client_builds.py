"""Clients with a build step: what their tools refuse, and what Relay's store shows that no other client has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from .client_builds import BUILD, build, manifest
from .client_expectations import PRODUCT, PRODUCT_ID
from .clients import Client, Driver, needs_clients

if TYPE_CHECKING:
    from .conftest import Demo

pytestmark = [pytest.mark.e2e, needs_clients]

CUSTOMER_ID = "Q3VzdG9tZXI6Yy0wMDE"  # c-001


@pytest.fixture(scope="module")
def relay() -> Iterator[Driver]:
    manifest()
    with Driver(Client("relay", "Relay", "relay-runtime")) as driver:
        yield driver


@pytest.mark.parametrize("tool", ["relay", "codegen"])
def test_a_document_that_does_not_fit_the_schema_is_refused_when_it_is_built(tool: str) -> None:
    ended = build(tool, BUILD / f"{tool}-refused", PRODUCT.replace("name", "nmae"))
    assert ended.returncode != 0
    assert "nmae" in ended.stderr


def test_relay_pages_through_a_connection_and_asks_for_an_object_again_by_its_id(relay: Driver, demo: Demo) -> None:
    query = "{ products(first: 4) { edges { node { name stock { quantity } } } } }"
    products = [edge["node"] for edge in demo.graphql(query)["data"]["products"]["edges"]]
    names = [product["name"] for product in products]
    demo.service("catalog").reset()

    seen = relay.ask("shelf", url=f"{demo.url}/graphql")

    assert (seen["first"], seen["both"]) == (names[:2], names)
    assert seen["stock"]["stock"] == seen["again"]["stock"] == products[0]["stock"]
    assert len(seen["requests"]) == 3


def test_relay_tells_a_component_of_a_fields_error_as_it_has_asked(relay: Driver, demo: Demo) -> None:
    seen = relay.ask("failing", url=f"{demo.url}/graphql", id=CUSTOMER_ID)

    assert seen["silent"]["data"]["customer"]["email"] is None
    assert seen["throwing"]["thrown"].startswith("Relay: Unexpected response payload")
    caught = seen["catching"]["data"]["customer"]
    assert caught["name"] == seen["silent"]["data"]["customer"]["name"]
    assert caught["email"]["ok"] is False
    assert [each["extensions"]["code"] for each in caught["email"]["errors"]] == ["UNAUTHENTICATED"]


def test_relays_deferred_fragment_may_go_deeper_into_what_is_shown_already(relay: Driver, demo: Demo) -> None:
    """And `@catch` in it finds its error, whose path the gateway tells from the operation's root."""
    demo.service("reviews").fault({"latency": 0.2})

    first, last = relay.ask("deeper", url=f"{demo.url}/graphql", id=PRODUCT_ID)["shown"]

    assert first["own"] == last["own"]
    assert first["own"]["stock"]["quantity"] >= 0
    assert first["more"] is None
    assert last["more"]["stock"]["warehouse"]
    (review,) = last["more"]["reviews"]
    assert review["author"]["email"]["ok"] is False
