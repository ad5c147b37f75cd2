"""The fixture `demo` keeps its word: whatever one test breaks is whole for the next, in this order or another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from .conftest import Demo

pytestmark = pytest.mark.e2e

PRODUCTS = "{ products(first: 2) { edges { node { name stock { quantity } } } } }"


def test_the_gateway_answers_over_all_services(demo: Demo) -> None:
    answer = demo.graphql(PRODUCTS)

    assert "errors" not in answer
    assert demo.service("inventory").calls() == {"total": 1, "byEndpoint": {"GET /stock": 1}}


@pytest.mark.parametrize("_", ["first", "again"])
def test_a_broken_service_is_whole_for_the_next_test(demo: Demo, _: str) -> None:
    assert demo.service("catalog").calls()["total"] == 0
    assert "errors" not in demo.graphql(PRODUCTS)

    demo.service("catalog").fault({"status": 503})
    demo.stop_service("inventory")

    assert "errors" in demo.graphql(PRODUCTS)


@pytest.mark.parametrize("_", ["first", "again"])
def test_a_killed_gateway_stands_again_for_the_next_test(demo: Demo, _: str) -> None:
    assert "errors" not in demo.graphql(PRODUCTS)

    demo.kill_gateway()

    with pytest.raises(httpx.TransportError):
        demo.graphql(PRODUCTS)


def test_a_killed_gateway_is_started_on_its_own_data(demo: Demo) -> None:
    demo.kill_gateway()
    demo.start_gateway()

    assert "errors" not in demo.graphql(PRODUCTS)
    assert "listening" in demo.log()
