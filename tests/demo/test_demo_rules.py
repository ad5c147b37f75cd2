"""Who may do what in the demo: rows are operations, columns are callers, and each cell is what the caller reads.

`yes`: data and no error. A code in capitals: of the error, or of a saga's rejection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.kit.seed import shop as seed
from demo.people import CUSTOMER, OPERATOR, SUPPORT
from gateway import global_id
from gateway.testing import Answer, connected, in_virtual_time
from gateway.testing.client import GRAPHQL_RESPONSE
from resolvers.customer import Customer
from resolvers.order import Order
from resolvers.payment import Payment
from resolvers.shipment import Shipment
from tests.demo.shop import OTHER_CUSTOMER, Shop, opened

CALLERS = {
    "anonymous": None,
    "customer": CUSTOMER.token,
    "another": OTHER_CUSTOMER,
    "support": SUPPORT.token,
    "operator": OPERATOR.token,
}
SEEDED = next(each for each in seed().orders if each.customer.customer_id == "c-001" and each.shipment_id)
IDS = {
    "product": "UHJvZHVjdDpwLTAwMDE",
    "customer": global_id(Customer, "c-001"),
    "order": global_id(Order, SEEDED.order_id),
    "noOrder": global_id(Order, "o-0000000000000000"),
    "payment": global_id(Payment, str(SEEDED.payment_id)),
    "shipment": global_id(Shipment, str(SEEDED.shipment_id)),
}
"""What the rows ask for: all of it is the customer's, or everybody's."""
FOR_THE_CUSTOMER = "customerId: $customer, "


def place(whom: str = "", *, key: str = "k") -> str:
    return (
        f'placeOrder(idempotencyKey: "{key}", input: {{{whom}lines: [{{sku: "SKU-0001", quantity: 1}}], paymentToken: "tok_ok", '
        'address: {name: "A", street: "B 1", city: "C", postalCode: "10115", country: "DE"}}) '
        "{ __typename ... on SagaOutcome { sagaId status } ... on SagaRejected { code } "
        "... on PlaceOrderCompleted { order { id customer { id } } } }"
    )


def cancel(whom: str = "") -> str:
    return (
        f'cancelOrder(input: {{{whom}orderId: $bought, reason: "r"}}) '
        "{ __typename ... on SagaRejected { code } ... on CancelOrderCompleted { order { status } } }"
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One operation, and what each caller reads."""

    document: str
    anonymous: str
    customer: str
    another: str
    support: str
    operator: str
    is_free: bool = field(default=True, kw_only=True)
    """Whoever is refused by what is known of them has cost no call."""


ALL = ("yes",) * 5
KNOWN = ("UNAUTHENTICATED", *("yes",) * 4)
OWN = ("UNAUTHENTICATED", "yes", "FORBIDDEN", "yes", "yes")
OPERATORS = ("UNAUTHENTICATED", *("FORBIDDEN",) * 3, "yes")
NOBODY = ("UNAUTHENTICATED", *("FORBIDDEN",) * 4)

TABLE = {
    # -- everybody's
    "the catalogue": Row(
        "{ products(first: 2) { edges { node { name price { amount } stock { quantity } currentPrice { amount { amount } } "
        "reviews(first: 1) { rating author { name } } } } } }",
        *ALL,
    ),
    "a product": Row("{ product(id: $product) { name } }", *ALL),
    "a product by node": Row("{ node(id: $product) { ... on Product { name stock { quantity } } } }", *ALL),
    "a customer's name": Row("{ customer(id: $customer) { name } }", *ALL),
    "a customer's name by node": Row("{ node(id: $customer) { id ... on Customer { name } } }", *ALL),
    # -- a customer's own
    "me": Row("{ me { name email } }", *KNOWN),
    "email": Row("{ customer(id: $customer) { name email } }", *OWN, is_free=False),
    "email by node": Row("{ node(id: $customer) { ... on Customer { email } } }", *OWN, is_free=False),
    "email under an alias, in a fragment": Row(
        "{ a: customer(id: $customer) { ...Private } } fragment Private on Customer { b: email }", *OWN, is_free=False
    ),
    "emails of reviewers": Row(
        "{ product(id: $product) { reviews { author { email } } } }",
        *("UNAUTHENTICATED", "FORBIDDEN", "FORBIDDEN", "yes", "yes"),
        is_free=False,
    ),
    "orders of a customer": Row(
        "{ customer(id: $customer) { orders { edges { node { total { amount } } } } } }", *OWN, is_free=False
    ),
    "how many orders": Row("{ customer(id: $customer) { orders { totalCount } } }", *OWN, is_free=False),
    "an order": Row("{ order(id: $order) { status payment { status } shipment { carrier } } }", *OWN),
    "an order under an alias, in fragments": Row(
        "{ ...A } fragment A on Query { x: order(id: $order) { ...B } } fragment B on Order { y: total { amount } }",
        *OWN,
    ),
    "an order deferred": Row(
        "{ product(id: $product) { name } ... @defer { order(id: $order) { id } } }", *OWN, is_free=False
    ),
    "an order by node": Row("{ node(id: $order) { id } }", *OWN),
    "an order by node, beside a product": Row(
        "{ a: node(id: $product) { id } b: node(id: $order) { ... on Order { lines { sku } } } }", *OWN, is_free=False
    ),
    "an order that is not there": Row("{ order(id: $noOrder) { id } }", *OWN[:1], "FORBIDDEN", *OWN[2:]),
    "an order by node that is not there": Row("{ node(id: $noOrder) { id } }", *OWN[:1], "FORBIDDEN", *OWN[2:]),
    "a payment by node": Row("{ node(id: $payment) { ... on Payment { status amount { amount } } } }", *OWN),
    "a shipment by node": Row("{ node(id: $shipment) { ... on Shipment { trackingNumber } } }", *OWN),
    # -- buying
    "buying": Row(
        f"mutation {{ {place()} }}", *("UNAUTHENTICATED", "yes", "yes", "UNKNOWN_CUSTOMER", "UNKNOWN_CUSTOMER")
    ),
    "buying for the customer": Row(f"mutation {{ {place(FOR_THE_CUSTOMER)} }}", *OWN),
    "buying for oneself and, beside it, for the customer": Row(
        f"mutation {{ a: {place(key='a')} b: {place(FOR_THE_CUSTOMER, key='b')} }}",
        *("UNAUTHENTICATED", "yes", "FORBIDDEN", "UNKNOWN_CUSTOMER", "UNKNOWN_CUSTOMER"),
    ),
    "cancelling": Row(
        f"mutation {{ {cancel()} }}",
        *("UNAUTHENTICATED", "yes", "UNKNOWN_ORDER", "UNKNOWN_ORDER", "UNKNOWN_ORDER"),
    ),
    "cancelling for the customer": Row(f"mutation {{ {cancel(FOR_THE_CUSTOMER)} }}", *OWN),
    # -- sagas: $saga is one that the customer began, which has ended
    "a saga": Row(
        "{ saga(id: $saga) { status input steps { result } } }",
        *("UNAUTHENTICATED", "yes", "SAGA_NOT_FOUND", "yes", "yes"),
    ),
    "a saga under an alias": Row(
        "{ mine: saga(id: $saga) { ...S } } fragment S on SagaProgress { id }",
        *("UNAUTHENTICATED", "yes", "SAGA_NOT_FOUND", "yes", "yes"),
    ),
    "sagas": Row("{ sagas { edges { node { id subject } } } }", *KNOWN),
    "retrying a step": Row(
        'mutation { retrySagaStep(sagaId: $saga, step: "shipment", reason: "r") { __typename } }', *OPERATORS
    ),
    "skipping a step": Row(
        'mutation { skipSagaStep(sagaId: $saga, step: "shipment", reason: "r") { __typename } }', *OPERATORS
    ),
    "resolving a step": Row(
        'mutation { resolveSagaStep(sagaId: $saga, step: "shipment", verdict: NOT_DONE, reason: "r") { __typename } }',
        *OPERATORS,
    ),
    "cancelling a saga": Row('mutation { cancelSaga(sagaId: $saga, reason: "r") { __typename } }', *OPERATORS),
    "a signal to a saga": Row(
        'mutation { sendSagaSignal(sagaId: $saga, signal: "s", payload: 1) { __typename } }', *NOBODY
    ),
}


@pytest.mark.parametrize("name", TABLE)
@in_virtual_time
async def test_who_may_do_what(name: str, seeded: Path, tmp_path: Path) -> None:
    row = TABLE[name]
    said: dict[str, str] = {}
    async with opened(seeded, tmp_path) as shop:
        for caller, token in CALLERS.items():
            bought = await buy(shop, key=caller)
            before = shop.calls
            answer = await ask(shop, row.document, {**IDS, **bought}, token=token)
            said[caller] = word_for(answer)
            if row.is_free and said[caller] == "UNAUTHENTICATED":
                assert shop.calls == before, f"{caller} has cost {shop.calls - before} calls"
                assert all("Authorization: Bearer" in error["message"] for error in answer.errors)
    assert said == {caller: getattr(row, caller) for caller in CALLERS}


@in_virtual_time
async def test_who_buys_for_another_is_refused_before_anybody_is_called(seeded: Path, tmp_path: Path) -> None:
    async with opened(seeded, tmp_path) as shop:
        refused = [
            await ask(
                shop, f"mutation {{ {each(FOR_THE_CUSTOMER)} }}", {**IDS, "bought": IDS["order"]}, token=OTHER_CUSTOMER
            )
            for each in (place, cancel)
        ]
        assert [answer.codes for answer in refused] == [["FORBIDDEN"], ["FORBIDDEN"]]
        assert shop.calls == 0
        listed = await ask(shop, "{ sagas { edges { node { id } } } }", {}, token=OTHER_CUSTOMER)
    assert listed.data["sagas"]["edges"] == []


@pytest.mark.parametrize(
    ("whom", "token", "buyer"),
    [("", CUSTOMER.token, "c-001"), ("", OTHER_CUSTOMER, "c-002"), (FOR_THE_CUSTOMER, SUPPORT.token, "c-001")],
    ids=["the customer", "another", "support"],
)
@in_virtual_time
async def test_an_order_is_in_the_name_of_the_customer_for_whom_it_is_placed(
    whom: str, token: str, buyer: str, seeded: Path, tmp_path: Path
) -> None:
    async with opened(seeded, tmp_path) as shop:
        placed = await ask(shop, f"mutation {{ it: {place(whom)} }}", IDS, token=token)
    assert placed.data["it"]["order"]["customer"]["id"] == global_id(Customer, buyer)


@in_virtual_time
async def test_who_uses_anothers_idempotency_key_neither_sees_nor_repeats_what_it_began(
    seeded: Path, tmp_path: Path
) -> None:
    document = f"mutation {{ it: {place(key='the-same')} }}"
    async with opened(seeded, tmp_path) as shop:
        first, another, again = [
            (await ask(shop, document, IDS, token=token)).data["it"]
            for token in (CUSTOMER.token, OTHER_CUSTOMER, CUSTOMER.token)
        ]
    assert again == first
    assert {another["sagaId"], another["order"]["id"]}.isdisjoint({first["sagaId"], first["order"]["id"]})


@in_virtual_time
async def test_each_customer_lists_the_sagas_that_they_began_and_support_and_operators_list_all(
    seeded: Path, tmp_path: Path
) -> None:
    document = "{ sagas { edges { node { id subject } } } }"
    async with opened(seeded, tmp_path) as shop:
        for token in (CUSTOMER.token, OTHER_CUSTOMER):
            await ask(shop, f"mutation {{ {place()} }}", IDS, token=token)
        await ask(shop, f"mutation {{ {place(FOR_THE_CUSTOMER)} }}", IDS, token=SUPPORT.token)
        seen = {
            caller: sorted(
                edge["node"]["subject"] for edge in (await ask(shop, document, {}, token=token)).data["sagas"]["edges"]
            )
            for caller, token in CALLERS.items()
            if token is not None
        }
    everybodys = ["c-001", "c-002", "support"]
    assert seen == {"customer": ["c-001"], "another": ["c-002"], "support": everybodys, "operator": everybodys}


@pytest.mark.parametrize(
    ("caller", "code"),
    [
        ("anonymous", "SAGA_NOT_FOUND"),
        ("customer", None),
        ("another", "SAGA_NOT_FOUND"),
        ("support", None),
        ("operator", None),
    ],
)
@in_virtual_time
async def test_a_saga_is_followed_by_whoever_began_it_by_support_and_by_operators(
    caller: str, code: str | None, seeded: Path, tmp_path: Path
) -> None:
    token = CALLERS[caller]
    follow = "subscription ($saga: ID!) { sagaEvents(id: $saga) { kind saga { status } } }"
    async with opened(seeded, tmp_path) as shop:
        saga = (await buy(shop))["saga"]
        async with connected(shop.app) as socket:
            await socket.introduce(None if token is None else {"authorization": f"Bearer {token}"})
            await socket.subscribe("1", follow, {"saga": saga})
            first = await socket.receive()
    if code is None:
        assert first["payload"] == {"data": {"sagaEvents": {"kind": "SagaStarted", "saga": {"status": "COMPLETED"}}}}
    else:
        assert [error["extensions"]["code"] for error in first["payload"]] == [code]
        assert ("Authorization: Bearer" in first["payload"][0]["message"]) == (token is None)


@in_virtual_time
async def test_only_operators_have_an_answer_explained(seeded: Path, tmp_path: Path) -> None:
    async with opened(seeded, tmp_path) as shop:
        said = {
            caller: word_for(
                await ask(shop, "{ products(first: 1) { totalCount } }", {}, token=token, extensions={"explain": True})
            )
            for caller, token in CALLERS.items()
        }
        assert shop.calls == 1
    assert said == dict(zip(CALLERS, OPERATORS, strict=True))


# -- asking, and reading answers ---------------------------------------------------------------------------------------


async def buy(shop: Shop, *, key: str = "bought") -> dict[str, str]:
    """What the customer has bought: the id of the order, and of its saga, which has ended."""
    placed = await ask(shop, f"mutation {{ it: {place(key=f'bought-{key}')} }}", {}, token=CUSTOMER.token)
    assert placed.data["it"]["status"] == "COMPLETED"
    return {"bought": placed.data["it"]["order"]["id"], "saga": placed.data["it"]["sagaId"]}


async def ask(shop: Shop, document: str, ids: Mapping[str, str], *, token: str | None, **members: Any) -> Answer:
    """`document` uses `ids` as variables without declaring them. `members` are of the request."""
    used = {name: ids[name] for name in re.findall(r"\$(\w+)", document)}
    kind, _, rest = document.partition("{")
    declared = f"({', '.join(f'${name}: ID!' for name in used)}) " if used else ""
    body = {"query": f"{kind or 'query '}{declared}{{{rest}", "variables": used, **members}
    headers = {"accept": GRAPHQL_RESPONSE, "content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return await shop.request("POST", "/graphql", body=json.dumps(body).encode(), headers=headers)


def word_for(answer: Answer) -> str:
    codes = {*answer.codes, *codes_in(answer.json.get("data"))}
    return " ".join(sorted(codes)) or "yes"


def codes_in(data: Any) -> list[str]:
    """Of sagas that were rejected."""
    if isinstance(data, dict):
        own = [data["code"]] if data.get("__typename") == "SagaRejected" else []
        return own + [code for value in data.values() for code in codes_in(value)]
    return [code for value in data for code in codes_in(value)] if isinstance(data, list) else []
