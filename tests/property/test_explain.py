"""Random documents over the reference schema: explaining never fails, says as many calls as are made, and the same after a run.

The documents are generated from the schema itself: aliases, arguments, fragments on each type, conditions. The services answer
every key, never the same twice, so that nothing is known already and no list is empty.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    parse,
    validate,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import Seconds
from gateway.execution.document import operations_of
from gateway.execution.explaining import Explanation, as_json, explain
from gateway.graph import Graph, build_graph
from gateway.graph.node import global_id
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import Answer, GatewayUnderTest, ScriptedWire, after, answer
from gateway.testing.clock import run_virtual
from mutations import Mutation
from resolvers import Query
from resolvers.customer import Customer
from resolvers.order import Order
from resolvers.payment import Payment
from resolvers.product import Product
from resolvers.review import Review
from resolvers.shipment import Shipment
from tests.integration.explaining import asked as asked_to_explain
from tests.integration.explaining import explanation, reads_of, unmeasured

SERVICES = ("catalog", "customers", "inventory", "orders", "payments", "reviews", "shipping")
SUPPORT = {"authorization": "Bearer support"}
TOKENS = [{"token": "support", "subject": "s", "scopes": ["support", "explain"]}]
MANY = {"aliases": 1_000}
"""Each field that is written here has an alias of its own, which no client would do."""
SETTINGS = Settings.model_validate(
    {
        "services": {name: {"url": f"http://{name}.test"} for name in SERVICES},
        "identity": {"tokens": TOKENS},
        "operation": {"bounds": MANY},
    }
)
NODES = {each.__name__: each for each in (Customer, Order, Payment, Product, Review, Shipment)}
WHOLE, READABLE = build_graph(Query, Mutation), build_graph(Query)
FIRST = st.integers(1, 3)


# -- documents ---------------------------------------------------------------------------------------------------------


class Writing:
    """One document, written by chance. State: the number of the next alias and id, the type that `node` was last asked for.

    `is_met`: of an interface only the type is selected from that the answer will be of, so that all that is told is asked.
    """

    def __init__(self, draw: st.DrawFn, graph: Graph, *, is_met: bool) -> None:
        self.draw = draw
        self.is_met = is_met
        self.asked_for = "Product"
        self.core = graph.core
        self.numbers = itertools.count(1)

    def document(self, root: GraphQLObjectType, kind: str) -> str:
        used = "used: __typename @include(if: $yes) @skip(if: $no)"  # a variable that is not used is a mistake
        return f"{kind} ($yes: Boolean! = true, $no: Boolean! = false) {{ {used} ...R }} {self.fragment(root)}"

    def fragment(self, root: GraphQLObjectType) -> str:
        return f"fragment R on {root.name} {self.selections(root, depth=5)}"

    def selections(self, kind: Any, *, depth: int) -> str:
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            of = self.core.get_possible_types(kind)
            met = [each for each in of if each.name == self.asked_for] if self.is_met else self.some(of)
            parts = ["__typename", *(self.on(each, depth) for each in met)]
        else:
            fields = {name: each for name, each in kind.fields.items() if depth > 0 or is_leaf(each)}
            parts = [self.field(name, fields[name], depth) for name in self.some(sorted(fields))]
        return "{ " + " ".join(parts or ["__typename"]) + " }"

    def some(self, of: Any) -> list[Any]:
        return self.draw(st.lists(st.sampled_from(list(of)), min_size=1, max_size=3)) if of else []

    def on(self, kind: GraphQLObjectType, depth: int) -> str:
        return f"... on {kind.name} {self.condition()} {self.selections(kind, depth=depth - 1)}"

    def field(self, name: str, field: GraphQLField, depth: int) -> str:
        """Always under an alias of its own, so that no two of them conflict."""
        alias, arguments = f"{name}{next(self.numbers)}", self.arguments(name, field)
        below = "" if is_leaf(field) else self.selections(get_named_type(field.type), depth=depth - 1)
        return f"{alias}: {name}{arguments} {self.condition()} {below}"

    def arguments(self, name: str, field: GraphQLField) -> str:
        given = [
            f"{each}: {self.value(name, each)}"
            for each, argument in field.args.items()
            if self.is_given(each, argument)
        ]
        return f"({', '.join(given)})" if given else ""

    def is_given(self, name: str, argument: Any) -> bool:
        return isinstance(argument.type, GraphQLNonNull) and (
            name in {"id", "input", *PLAIN} or self.draw(st.booleans())
        )

    def value(self, field: str, argument: str) -> str:
        if argument == "id":
            self.asked_for = field.title() if field.title() in NODES else self.draw(st.sampled_from(sorted(NODES)))
            return f'"{global_id(NODES[self.asked_for], f"k{next(self.numbers)}")}"'
        if argument in PLAIN:
            return PLAIN[argument]
        return INPUTS[field] if argument == "input" else str(self.draw(FIRST))

    def condition(self) -> str:
        ways = (
            "",
            "",
            "",
            "@include(if: true)",
            "@include(if: $yes)",
            "@skip(if: $no)",
            "@skip(if: $yes)",
            "@include(if: false)",
        )
        return self.draw(st.sampled_from(ways))


OF_SAGAS = {"saga", "sagas"}
"""Roots that ask the host of sagas, which is not there."""

PLAIN = {
    "mode": "ASYNC",
    "sagaId": '"s"',
    "step": '"s"',
    "signal": '"s"',
    "reason": '"r"',
    "verdict": "DONE",
    "payload": "{}",
}
"""Arguments of operators, without which nothing is valid."""

INPUTS = {
    "cancelOrder": f'{{orderId: "{global_id(Order, "o")}", reason: "r"}}',
    "placeOrder": f"""{{customerId: "{global_id(Customer, "c")}", lines: [{{sku: "s", quantity: 1}}], paymentToken: "t",
        address: {{name: "n", street: "s", city: "c", postalCode: "12345", country: "DE"}}}}""",
}


def is_leaf(field: GraphQLField) -> bool:
    return not isinstance(get_named_type(field.type), GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType)


@st.composite
def queries(draw: st.DrawFn, *, is_met: bool = False) -> str:
    query = READABLE.core.query_type
    assert query is not None
    root = GraphQLObjectType("Query", {name: each for name, each in query.fields.items() if name not in OF_SAGAS})
    return Writing(draw, READABLE, is_met=is_met).document(root, "query")


@st.composite
def mutations(draw: st.DrawFn) -> str:
    root = WHOLE.core.mutation_type
    assert root is not None
    return Writing(draw, WHOLE, is_met=False).document(root, "mutation")


def explained(graph: Graph, document: str, variables: dict[str, Any] | None = None) -> Explanation:
    node = parse(document)
    assert validate(graph.core, node) == []
    (operation,) = operations_of(node).values()
    return explain(
        graph,
        operation,
        variables,
        services=SETTINGS.service_policies(),
        deadline=Seconds(10),
        saga_wait=Seconds(10),
    )


# -- services ----------------------------------------------------------------------------------------------------------


class Shop:
    """Seven services that have whatever they are asked for. Nothing that they name was named before."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.wires = {name: ScriptedWire(otherwise=after(0.01, self.answered)) for name in SERVICES}

    @property
    def calls(self) -> int:
        return sum(len(wire.sent) for wire in self.wires.values())

    def answered(self, request: ServiceRequest) -> ServiceResponse:  # noqa: C901  (one case an endpoint)
        limit = int((asked(request, "limit") or ["1"])[0])
        keys = [value for name, value in request.query if name in {"ids", "skus", "products", "customers"}]
        match request.path:
            case "/products":
                rows: list[Any] = [self.product(self.new()) for _ in range(limit)]
                return answer({"items": rows, "nextCursor": None, "total": limit})
            case "/products/by-id":
                return answer([self.product(key) for key in keys])
            case "/products/by-sku":
                return answer([self.product(self.new()) | {"stockKeepingUnit": key} for key in keys])
            case "/labels":
                return answer([self.label(key) for key in keys])
            case "/stock":
                return answer([{"sku": key, "onHand": 3, "reserved": 1, "warehouseCode": "B"} for key in keys])
            case "/reviews":
                return answer([self.review(self.new(), product=key) for key in keys for _ in range(limit)])
            case "/reviews/by-id":
                return answer([self.review(key, product=self.new()) for key in keys])
            case "/customers":
                return answer(
                    [{"customerId": key, "givenName": "A", "familyName": "B", "emailAddress": "c"} for key in keys]
                )
            case "/orders/by-id":
                return answer([self.order(key, customer=self.new()) for key in keys])
            case "/orders/by-customer":
                return answer([self.page(key, limit) for key in keys])
            case "/payments":
                money = {"state": "captured", "amountMinor": 1, "currencyCode": "EUR"}
                return answer([{"paymentId": key, **money} for key in keys])
            case "/shipments":
                way = {"state": "booked", "carrierCode": "c", "trackingNumber": "t"}
                return answer([{"shipmentId": key, **way} for key in keys])
            case _:
                raise AssertionError(f"nobody answers {request.path}")

    def new(self) -> str:
        return f"n{next(self._numbers)}"

    def product(self, key: str) -> dict[str, Any]:
        price = {"value": "1.00", "currencyCode": "EUR"}
        texts = {"title": "t", "longDescription": "l", "categoryCode": "c", "updatedAt": "2026-01-01T00:00:00Z"}
        return {"productId": key, "stockKeepingUnit": self.new(), "listPrice": price, **texts}

    def label(self, sku: str) -> dict[str, Any]:
        return {"sku": sku, "priceMinor": 100, "currencyCode": "EUR", "printedAt": "2026-01-01T00:00:00Z"}

    def review(self, key: str, *, product: str) -> dict[str, Any]:
        words = {"stars": 4, "text": "t", "postedAt": 1_750_000_000_000}
        return {"reviewId": key, "productId": product, "customerId": self.new(), **words}

    def order(self, key: str, *, customer: str) -> dict[str, Any]:
        line = {"productId": self.new(), "sku": "s", "quantity": 1, "unitPriceMinor": 1}
        keys = {"reservationId": self.new(), "paymentId": self.new(), "shipmentId": self.new()}
        facts = {"state": "pending", "placedAt": "2026-01-01T00:00:00Z", "currencyCode": "EUR", "totalMinor": 1}
        return {"orderId": key, "customerId": customer, "lines": [line], **facts, **keys}

    def page(self, customer: str, limit: int) -> dict[str, Any]:
        items = [self.order(self.new(), customer=self.new()) for _ in range(limit)]
        return {"customerId": customer, "items": items, "nextCursor": None, "total": limit}


def asked(request: ServiceRequest, name: str) -> list[str]:
    return [value for each, value in request.query if each == name]


async def calls_of(document: str) -> tuple[int, Answer]:
    """Calls that its execution made, and its answer, explained."""
    shop = Shop()
    async with GatewayUnderTest(SETTINGS, READABLE, wires=shop.wires) as gateway:
        found = await asked_to_explain(gateway, document, headers=SUPPORT)
    return shop.calls, found


ORDER_ID = global_id(Order, "o")
FIXED = [
    "{ products(first: 2) { edges { node { a: reviews(first: 1) { rating } b: reviews(first: 2) { rating } } } } }",
    "{ products(first: 2) { edges { node { a: reviews { rating } b: reviews(first: 10) { body } } } } }",
    "{ products(first: 2) { edges { node { stock { quantity } reviews(first: 2) { author { name } } } } } }",
    '{ order(id: "'
    + ORDER_ID
    + '") { payment { status } shipment { carrier } lines { product { stock { quantity } } } } }',
]
"""Documents that show a rule each."""


@pytest.mark.parametrize("document", FIXED)
def test_the_calls_that_are_told_are_made(document: str) -> None:
    told = explained(READABLE, document).summary

    made, found = run_virtual(calls_of(document))
    assert (made, found.codes) == (told.calls, [])
    assert told.calls == told.calls_at_most


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(queries(is_met=True))
def test_as_many_calls_are_made_as_are_told(document: str) -> None:
    before = explained(READABLE, document, {})
    made, found = run_virtual(calls_of(document))
    after_it = explanation(found)

    assert found.codes == []
    assert before.summary.calls <= made <= before.summary.calls_at_most
    assert unmeasured(after_it) == json.loads(json.dumps(as_json(before)))
    assert sum(each["attempts"] for each in reads_of(after_it)) == made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.one_of(queries(), mutations()), st.sampled_from([None, {}, {"yes": False}, {"no": True}]))
def test_explaining_never_fails(document: str, variables: dict[str, Any] | None) -> None:
    found = explained(WHOLE, document, variables)

    assert as_json(found)["fields"] == as_json(explained(WHOLE, document, variables))["fields"]
    numbers = [each.number for each in found.all_fields()]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert all(each.waits_for is None or each.waits_for < each.number for each in found.all_fields())
