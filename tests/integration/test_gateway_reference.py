"""The reference graph served in process: layers, degradation, and the shapes of its services."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway import global_id
from gateway.errors import ServiceUnavailable
from gateway.graph import Graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, ScriptedWire, after, answer, hang, in_virtual_time
from resolvers.customer import Customer
from resolvers.order import Order
from resolvers.product import Product

SERVICES = ("catalog", "customers", "inventory", "orders", "payments", "reviews", "shipping")


def asked(request: ServiceRequest, name: str) -> list[str]:
    return [value for each, value in request.query if each == name]


def catalog(request: ServiceRequest) -> ServiceResponse:
    limit = int((asked(request, "limit") or ["0"])[0])
    keys = asked(request, "ids") or asked(request, "skus") or [f"p-{number}" for number in range(limit)]
    rows = [
        {
            "productId": key,
            "stockKeepingUnit": key if key.startswith("sku-") else f"sku-{key}",
            "updatedAt": "2026-01-01T08:00:00.000Z",
            "title": f"Product {key}",
            "longDescription": "Of wood.",
            "categoryCode": "toys",
            "listPrice": {"value": "12.50", "currencyCode": "EUR"},
        }
        for key in keys
    ]
    return answer({"items": rows, "nextCursor": None, "total": limit} if request.path == "/products" else rows)


def inventory(request: ServiceRequest) -> ServiceResponse:
    if request.path == "/labels":
        return answer([label(sku, 990, "2026-01-02T08:00:00.000Z") for sku in asked(request, "skus")])
    return answer([{"sku": sku, "onHand": 9, "reserved": 2, "warehouseCode": "B1"} for sku in asked(request, "skus")])


def label(sku: str, price: int, printed_at: str) -> dict[str, Any]:
    return {"sku": sku, "priceMinor": price, "currencyCode": "EUR", "printedAt": printed_at}


def reviews(request: ServiceRequest) -> ServiceResponse:
    return answer(
        [
            {
                "reviewId": f"{product}-{number}",
                "productId": product,
                "stars": 4,
                "text": "Good.",
                "customerId": f"c-{number}",
                "postedAt": 1_750_000_000_000,
            }
            for product in asked(request, "products")
            for number in range(int(asked(request, "limit")[0]))
        ]
    )


def customers(request: ServiceRequest) -> ServiceResponse:
    return answer(
        [
            {"customerId": key, "givenName": "Ann", "familyName": key, "emailAddress": f"{key}@shop.test"}
            for key in asked(request, "ids")
        ]
    )


def nothing(_: ServiceRequest) -> ServiceResponse:
    return answer([])


def away(_: ServiceRequest) -> ServiceUnavailable:
    return ServiceUnavailable("it is away", service="reviews", applied=False)


def wires(latency: float = 0.0, **instead: Any) -> dict[str, ScriptedWire]:
    known = {"catalog": catalog, "inventory": inventory, "reviews": reviews, "customers": customers}
    return {
        name: ScriptedWire(otherwise=instead.get(name) or after(latency, known.get(name, nothing))) for name in SERVICES
    }


def gateway_over(graph: Graph, served: dict[str, ScriptedWire]) -> GatewayUnderTest:
    services = {name: {"url": f"http://{name}.test"} for name in SERVICES}
    tokens = [
        {"token": "ann", "subject": "c-1", "scopes": ["customer"]},
        {"token": "bob", "subject": "c-2", "scopes": ["customer"]},
        {"token": "support", "subject": "s", "scopes": ["support"]},
    ]
    settings = Settings.model_validate({"services": services, "identity": {"tokens": tokens}})
    return GatewayUnderTest(settings, graph, wires=served)


PRODUCTS = """query($first: Int!) { products(first: $first) { edges { node {
    name price { amount currency } stock { quantity } reviews(first: 2) { rating author { name } } } } } }"""


@pytest.mark.parametrize("first", [1, 50, 200])
@in_virtual_time
async def test_products_stock_reviews_and_authors_are_one_call_a_service(readable: Graph, first: int) -> None:
    served = wires()
    async with gateway_over(readable, served) as gateway:
        found = await gateway.execute(PRODUCTS, {"first": first})
    assert found.errors == []
    assert len(found.data["products"]["edges"]) == first
    assert {name: len(wire.sent) for name, wire in served.items() if wire.sent} == {
        "catalog": 1,
        "inventory": 1,
        "reviews": 1,
        "customers": 1,
    }


@in_virtual_time
async def test_the_answer_takes_the_longest_chain_and_not_the_sum(readable: Graph) -> None:
    served = wires(latency=0.1)
    async with gateway_over(readable, served) as gateway:
        await gateway.execute(PRODUCTS, {"first": 20})
        assert asyncio.get_running_loop().time() == pytest.approx(0.3)
    assert served["inventory"].instants == served["reviews"].instants


@in_virtual_time
async def test_the_services_shapes_become_the_graph_s(readable: Graph) -> None:
    async with gateway_over(readable, wires()) as gateway:
        found = await gateway.execute(PRODUCTS, {"first": 1})
    assert found.data["products"]["edges"][0]["node"] == {
        "name": "Product p-0",
        "price": {"amount": 1250, "currency": "EUR"},
        "stock": {"quantity": 7},
        "reviews": [
            {"rating": 4, "author": {"name": "Ann c-0"}},
            {"rating": 4, "author": {"name": "Ann c-1"}},
        ],
    }


PRICES = """query($first: Int!) { products(first: $first) { edges { node {
    price { amount } currentPrice { amount { amount currency } updatedAt } shelfPrice { amount { amount } } } } } }"""


@in_virtual_time
async def test_the_current_price_is_the_newer_of_two_services_that_are_asked_once_each(readable: Graph) -> None:
    served = wires(latency=0.1)
    async with gateway_over(readable, served) as gateway:
        found = await gateway.execute(PRICES, {"first": 50})
    assert "extensions" not in found.json
    assert {str(edge["node"]) for edge in found.data["products"]["edges"]} == {
        str(
            {
                "price": {"amount": 1250},
                "currentPrice": {
                    "amount": {"amount": 990, "currency": "EUR"},
                    "updatedAt": "2026-01-02T08:00:00+00:00",
                },
                "shelfPrice": {"amount": {"amount": 990}},
            }
        )
    }
    assert {name: len(wire.sent) for name, wire in served.items() if wire.sent} == {"catalog": 2, "inventory": 1}
    assert asyncio.get_running_loop().time() == pytest.approx(0.2)


@in_virtual_time
async def test_without_the_inventory_prices_are_the_catalog_s_and_say_so(readable: Graph) -> None:
    async with gateway_over(readable, wires(inventory=away)) as gateway:
        found = await gateway.execute(PRICES, {"first": 1})
    node = found.data["products"]["edges"][0]["node"]
    assert (node["currentPrice"]["amount"]["amount"], node["shelfPrice"]["amount"]["amount"]) == (1250, 1250)
    assert sorted((note["path"][-1], note["to"], note.get("servedBy")) for note in found.degraded) == [
        ("currentPrice", "PARTIAL", None),
        ("shelfPrice", "ALTERNATIVE", "catalog"),
    ]


@in_virtual_time
async def test_two_prices_of_one_instant_are_no_price(readable: Graph) -> None:
    def differing(request: ServiceRequest) -> ServiceResponse:
        return answer([label(sku, 990, "2026-01-01T08:00:00.000Z") for sku in asked(request, "skus")])

    async with gateway_over(readable, wires(inventory=differing)) as gateway:
        found = await gateway.execute("{ products(first: 1) { edges { node { currentPrice { updatedAt } } } } }")
    assert found.data["products"]["edges"][0]["node"]["currentPrice"] is None
    assert found.codes == ["SERVICE_SOURCES_UNDECIDED"]
    assert found.errors[0]["extensions"]["services"] == ["catalog", "inventory"]


@in_virtual_time
async def test_when_the_application_ends_no_refresh_of_a_label_is_under_way_any_more(readable: Graph) -> None:
    served = wires()
    query = "{ products(first: 1) { edges { node { shelfPrice { updatedAt } } } } }"
    async with gateway_over(readable, served) as gateway:
        first = await gateway.execute(query)
        served["inventory"]._otherwise = hang
        await asyncio.sleep(5)
        assert (await gateway.execute(query)).json == first.json
        await asyncio.sleep(1)
        assert (served["inventory"].in_flight, len(gateway.parts.loaders.refreshes)) == (1, 1)
    assert (served["inventory"].in_flight, len(gateway.parts.loaders.refreshes)) == (0, 0)


@in_virtual_time
async def test_an_order_and_its_payment_are_asked_for_as_of_this_moment(readable: Graph) -> None:
    served = wires()
    async with gateway_over(readable, served) as gateway:
        document, variables = "query($id: ID!) { order(id: $id) { status } }", {"id": global_id(Order, "o-1")}
        await gateway.execute(document, variables, headers={"authorization": "Bearer support"})
    (request,) = served["orders"].requests
    assert (request.share, request.may_hedge) == (None, False)


@pytest.mark.parametrize(
    "instead",
    [away, after(30, nothing), lambda _: answer(b"<html>"), lambda _: answer({}, status=404)],
    ids=["down", "hanging", "garbage", "refusing"],
)
@in_virtual_time
async def test_without_the_reviews_the_rest_arrives_and_says_why(readable: Graph, instead: Any) -> None:
    async with gateway_over(readable, wires(reviews=instead)) as gateway:
        found = await gateway.execute(PRODUCTS, {"first": 2})
    nodes = [edge["node"] for edge in found.data["products"]["edges"]]
    assert [(node["stock"], node["reviews"]) for node in nodes] == [({"quantity": 7}, [])] * 2
    assert {(note["to"], note["service"]) for note in found.degraded} == {("DEFAULT", "reviews")}


@pytest.mark.parametrize(("token", "code"), [(None, "UNAUTHENTICATED"), ("bob", "FORBIDDEN"), ("ann", None)])
@in_virtual_time
async def test_an_address_is_for_its_owner_and_for_support(
    readable: Graph, token: str | None, code: str | None
) -> None:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with gateway_over(readable, wires()) as gateway:
        found = await gateway.execute(
            "query($id: ID!) { customer(id: $id) { name email } }",
            {"id": global_id(Customer, "c-1")},
            headers=headers,
        )
    assert found.data["customer"]["name"] == "Ann c-1"
    assert found.codes == ([] if code is None else [code])


@in_virtual_time
async def test_a_node_is_found_again_by_the_id_that_it_had(readable: Graph) -> None:
    async with gateway_over(readable, wires()) as gateway:
        found = await gateway.execute(
            "query($id: ID!) { node(id: $id) { __typename id } }", {"id": global_id(Product, "p-7")}
        )
    assert found.data["node"] == {"__typename": "Product", "id": global_id(Product, "p-7")}


@in_virtual_time
async def test_an_id_of_another_type_is_the_client_s_mistake(readable: Graph) -> None:
    async with gateway_over(readable, wires()) as gateway:
        found = await gateway.execute(
            "query($id: ID!) { product(id: $id) { name } }", {"id": global_id(Customer, "c-1")}
        )
    assert (found.data, found.codes) == ({"product": None}, ["BAD_USER_INPUT"])
