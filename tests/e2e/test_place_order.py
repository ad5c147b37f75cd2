"""`placeOrder` and `cancelOrder` over real processes: done or undone, once, and told to whoever asks."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.ordering import AS_CUSTOMER, PLACE_ORDER, assert_balanced, cancel, order_input, place, saga, stock_of

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e


def effects(demo: Demo, service: str) -> list[str]:
    return [entry["effect"] for entry in demo.service(service).ledger()]


def new_effects(demo: Demo) -> dict[str, int]:
    return {name: len(effects(demo, name)) for name in ("inventory", "orders", "payments", "shipping")}


def test_an_order_is_placed_and_both_its_payload_and_the_next_query_show_it(demo: Demo) -> None:
    before = stock_of(demo, "SKU-0010")

    outcome = place(demo, lines=[("SKU-0010", 3)])

    assert outcome["__typename"] == "PlaceOrderCompleted"
    assert outcome["status"] == "COMPLETED"
    order = outcome["order"]
    assert order["status"] == "CONFIRMED"
    assert order["payment"]["status"] == "CAPTURED"
    assert order["shipment"]["status"] == "BOOKED"
    assert order["lines"][0]["product"]["stock"]["quantity"] == before - 3
    assert stock_of(demo, "SKU-0010") == before - 3
    answer = demo.graphql(
        "query ($id: ID!) { order(id: $id) { id status total { amount currency } } }",
        {"id": order["id"]},
        headers=AS_CUSTOMER,
    )
    assert answer["data"]["order"] == {"id": order["id"], "status": "CONFIRMED", "total": order["total"]}


def test_a_declined_card_leaves_nothing_behind(demo: Demo) -> None:
    before = stock_of(demo, "SKU-0011")

    outcome = place(demo, lines=[("SKU-0011", 2)], token="tok_declined")

    assert (outcome["__typename"], outcome["code"]) == ("SagaRejected", "CARD_DECLINED")
    assert outcome["status"] == "COMPENSATED"
    assert stock_of(demo, "SKU-0011") == before
    assert_balanced(demo, {outcome["sagaId"]: outcome["status"]})


def test_a_sold_out_product_is_refused_by_name(demo: Demo) -> None:
    outcome = place(demo, lines=[("SKU-0050", 1)])

    assert (outcome["__typename"], outcome["code"]) == ("SagaRejected", "OUT_OF_STOCK")


def test_a_flaky_payment_is_tried_again_until_it_works(demo: Demo) -> None:
    assert place(demo, token="tok_flaky")["__typename"] == "PlaceOrderCompleted"


def test_the_same_key_gives_the_same_order_and_charges_once(demo: Demo) -> None:
    key = str(uuid.uuid4())
    first = place(demo, key=key)
    before = new_effects(demo)

    again = place(demo, key=key)

    assert again["order"]["id"] == first["order"]["id"]
    assert again["sagaId"] == first["sagaId"]
    assert new_effects(demo) == before


def test_many_clients_with_one_key_place_one_order(demo: Demo) -> None:
    key = str(uuid.uuid4())
    before = new_effects(demo)

    with ThreadPoolExecutor(8) as clients:
        outcomes = list(clients.map(lambda _: place(demo, key=key), range(8)))

    assert len({outcome["sagaId"] for outcome in outcomes}) == 1
    after = new_effects(demo)
    assert {name: after[name] - before[name] for name in after} == {
        "inventory": 1,  # reserve
        "orders": 2,  # create, confirm
        "payments": 2,  # authorize, capture
        "shipping": 1,  # book
    }


def test_another_input_under_a_used_key_is_a_conflict(demo: Demo) -> None:
    key = str(uuid.uuid4())
    first = place(demo, key=key)

    conflict = place(demo, key=key, lines=[("SKU-0012", 1)])

    assert conflict["__typename"] == "IdempotencyConflict"
    assert conflict["sagaId"] == first["sagaId"]


def test_the_key_may_come_as_a_header(demo: Demo) -> None:
    key = str(uuid.uuid4())
    variables = {"input": order_input()}

    answer = demo.graphql(PLACE_ORDER, variables, headers={**AS_CUSTOMER, "idempotency-key": key})

    assert place(demo, key=key)["sagaId"] == answer["data"]["placeOrder"]["sagaId"]


def test_without_a_key_nothing_is_begun_and_the_error_names_the_remedy(demo: Demo) -> None:
    before = new_effects(demo)

    answer = demo.graphql(PLACE_ORDER, {"input": order_input()}, headers=AS_CUSTOMER)

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "idempotencyKey" in error["message"]
    assert new_effects(demo) == before


def test_broken_rules_are_told_all_at_once_before_anything_is_called(demo: Demo) -> None:
    broken = order_input(lines=[("SKU-0001", 0), ("", 100)])
    broken["customerId"] = "nobody"
    broken["address"]["postalCode"] = "!"

    answer = demo.graphql(PLACE_ORDER, {"input": broken, "key": str(uuid.uuid4())}, headers=AS_CUSTOMER)

    (error,) = answer["errors"]
    assert [violation["path"] for violation in error["extensions"]["violations"]] == [
        ["input", "customerId"],
        ["input", "lines", 0, "quantity"],
        ["input", "lines", 1, "sku"],
        ["input", "lines", 1, "quantity"],
        ["input", "address", "postalCode"],
    ]
    assert all(demo.service(name).calls()["total"] == 0 for name in ("catalog", "customers", "inventory", "payments"))


def test_a_saga_is_seen_by_whoever_began_it_and_by_support_only(demo: Demo) -> None:
    outcome = place(demo)

    mine = saga(demo, outcome["sagaId"])
    supported = saga(demo, outcome["sagaId"], token="demo-support")
    anonymous = saga(demo, outcome["sagaId"], token=None)

    assert mine["data"]["saga"]["status"] == supported["data"]["saga"]["status"] == "COMPLETED"
    assert {step["status"] for step in mine["data"]["saga"]["steps"]} == {"DONE"}
    assert anonymous["data"]["saga"] is None
    assert anonymous["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_an_order_is_cancelled_with_money_and_stock_given_back(demo: Demo) -> None:
    before = stock_of(demo, "SKU-0013")
    order = place(demo, lines=[("SKU-0013", 4)])["order"]

    outcome = cancel(demo, order["id"])
    again = cancel(demo, order["id"])

    assert outcome["__typename"] == "CancelOrderCompleted"
    assert outcome["order"]["status"] == "CANCELLED"
    assert outcome["order"]["payment"]["status"] == "REFUNDED"
    assert outcome["order"]["shipment"]["status"] == "CANCELLED"
    assert stock_of(demo, "SKU-0013") == before
    assert (again["__typename"], again["code"]) == ("SagaRejected", "ALREADY_CANCELLED")


def test_private_fields_are_for_the_customer_and_for_support(demo: Demo) -> None:
    query = '{ customer(id: "Q3VzdG9tZXI6Yy0wMDE") { name email orders(first: 1) { totalCount } } }'

    def ask(token: str | None) -> dict[str, Any]:
        return demo.graphql(query, headers={"authorization": f"Bearer {token}"} if token else None)

    assert ask("demo-customer")["data"]["customer"]["email"]
    assert ask("demo-support")["data"]["customer"]["orders"] is not None
    anonymous = ask(None)
    assert anonymous["data"]["customer"]["name"]
    assert anonymous["data"]["customer"]["email"] is None
    assert {error["extensions"]["code"] for error in anonymous["errors"]} == {"UNAUTHENTICATED"}
