"""Buying in tests: the operations, an input that works, and what the ledgers must agree on."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from demo import people

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

CUSTOMER = "Q3VzdG9tZXI6Yy0wMDE"  # c-001
AS_CUSTOMER = {"authorization": f"Bearer {people.CUSTOMER.token}"}

PLACE_ORDER = """
mutation PlaceOrder($input: PlaceOrderInput!, $key: String) {
  placeOrder(input: $input, idempotencyKey: $key) {
    __typename
    ... on SagaOutcome { sagaId status }
    ... on SagaRejected { code message }
    ... on SagaFailed { code undone }
    ... on SagaNeedsAttention { code }
    ... on IdempotencyConflict { message }
    ... on PlaceOrderCompleted {
      order {
        id status total { amount currency }
        lines { quantity product { stock { quantity } } }
        payment { status } shipment { status }
      }
    }
  }
}
"""
CANCEL_ORDER = """
mutation CancelOrder($id: ID!) {
  cancelOrder(input: { orderId: $id, reason: "changed my mind" }) {
    __typename
    ... on SagaOutcome { sagaId status }
    ... on SagaRejected { code message }
    ... on CancelOrderCompleted { order { status payment { status } shipment { status } } }
  }
}
"""
SAGA = "query Saga($id: ID!) { saga(id: $id) { status steps { name status attempts code } } }"
STOCK = "query Stock($id: ID!) { product(id: $id) { stock { quantity } } }"


def order_input(*, lines: Sequence[tuple[str, int]] = (("SKU-0003", 1),), token: str = "tok_ok") -> dict[str, Any]:
    return {
        "customerId": CUSTOMER,
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
        "paymentToken": token,
        "address": {
            "name": "Ada Lovelace",
            "street": "12 St James Square",
            "city": "London",
            "postalCode": "SW1Y 4JH",
            "country": "GB",
        },
    }


def place(
    demo: Demo,
    *,
    key: str | None = None,
    lines: Sequence[tuple[str, int]] = (("SKU-0003", 1),),
    token: str = "tok_ok",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The payload of one placeOrder, by the customer unless `headers` say who."""
    variables = {"input": order_input(lines=lines, token=token), "key": key or str(uuid.uuid4())}
    answer = demo.graphql(PLACE_ORDER, variables, headers={**AS_CUSTOMER, **(headers or {})})
    assert "errors" not in answer, answer["errors"]
    payload: dict[str, Any] = answer["data"]["placeOrder"]
    return payload


def cancel(demo: Demo, order_id: str) -> dict[str, Any]:
    answer = demo.graphql(CANCEL_ORDER, {"id": order_id}, headers=AS_CUSTOMER)
    assert "errors" not in answer, answer["errors"]
    payload: dict[str, Any] = answer["data"]["cancelOrder"]
    return payload


def saga(demo: Demo, saga_id: str, *, token: str | None = people.CUSTOMER.token) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else None
    return demo.graphql(SAGA, {"id": saga_id}, headers=headers)


def stock_of(demo: Demo, sku: str) -> int:
    """What can be bought of `sku`, as the graph tells it now."""
    answer = demo.graphql(STOCK, {"id": _product_id(sku)})
    quantity: int = answer["data"]["product"]["stock"]["quantity"]
    return quantity


def _product_id(sku: str) -> str:
    import base64

    text = f"Product:p-{sku.removeprefix('SKU-')}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


# -- what must hold in the end -----------------------------------------------------------------------------------------


def assert_balanced(demo: Demo, sagas: Mapping[str, str]) -> None:
    """Nothing lost, nothing doubled. `sagas`: id -> status in the end, of every placeOrder that was begun.

    A completed saga has each effect once and no undo; a compensated one has an undo for every effect; and no effect belongs to
    anybody else among `sagas`.
    """
    ledgers = {name: demo.service(name).ledger() for name in ("inventory", "orders", "payments", "shipping")}
    done = {
        "inventory": {"reserve": "reservation"},
        "orders": {"create": "placement", "confirm": "confirmation"},
        "payments": {"authorize": "authorization", "capture": "capture"},
        "shipping": {"book": "shipment"},
    }
    undone = {"inventory": {"reserve": "release"}, "orders": {"create": "cancel"}, "payments": {"authorize": "void"}}
    for service, entries in ledgers.items():
        by_key = Counter((entry["key"], entry["effect"]) for entry in entries)
        undoes = Counter((entry["forwardKey"], entry["effect"]) for entry in entries if entry["forwardKey"])
        for saga_id, status in sagas.items():
            for effect, step in done[service].items():
                times = by_key[f"{saga_id}:{step}", effect]
                undo = undone.get(service, {}).get(effect)
                undone_times = undoes[f"{saga_id}:{step}", undo] if undo else 0
                if status == "COMPLETED":
                    assert (times, undone_times) == (1, 0), (service, saga_id, effect, times, undone_times)
                else:
                    assert status == "COMPENSATED", (saga_id, status)
                    assert times <= 1
                    assert undone_times == times, (service, saga_id, effect, times, undone_times)
