from __future__ import annotations

from typing import Any

import pytest

from demo.kit.seed import SeedOrder, shop
from tests.demo.front import Front, OpenService

LINE = {"productId": "p-0001", "sku": "SKU-0001", "quantity": 1, "unitPriceMinor": 500}
ORDER = {
    "customerId": "c-001",
    "currencyCode": "EUR",
    "totalMinor": 500,
    "lines": [LINE],
    "reservationId": "rsv-1",
}
CHARGE = {"token": "tok_ok", "amountMinor": 500, "currencyCode": "EUR", "reference": "o-1"}
ADDRESS = {"name": "Ada Falk", "street": "Elm 1", "city": "Delft", "postalCode": "2611", "country": "NL"}
PARCEL = {"orderId": "o-1", "address": ADDRESS}
TWO_OF_ONE = {"lines": [{"sku": "SKU-0001", "quantity": 2}]}

# Of each service with effects: the forward request, its undo, what the undo answers, and the two effects.
UNDOABLE = [
    ("inventory", "/reservations", TWO_OF_ONE, "/reservations/release", "released", ["reserve", "release"]),
    ("orders", "/orders", ORDER, "/orders/cancel", "cancelled", ["create", "cancel"]),
    ("payments", "/authorizations", CHARGE, "/authorizations/void", "voided", ["authorize", "void"]),
    ("shipping", "/shipments", PARCEL, "/shipments/cancel", "cancelled", ["book", "cancel"]),
]
undoable = pytest.mark.parametrize(("name", "path", "body", "undo", "says", "effects"), UNDOABLE)


def _undo(name: str, **members: str) -> dict[str, str]:
    return members | ({"reason": "a test"} if name == "orders" else {})


def _seeded(order_state: str, *, shipment: str | None = None) -> SeedOrder:
    return next(o for o in shop().orders if o.fate.order == order_state and shipment in (None, o.fate.shipment))


async def _reserved(inventory: Front, sku: str) -> int:
    [stock] = await inventory.get(f"/stock?skus={sku}")
    return int(stock["reserved"])


@undoable
async def test_the_same_request_under_the_same_key_has_one_effect_and_one_answer(
    name: str, path: str, body: Any, undo: str, says: str, effects: list[str], open_service: OpenService
) -> None:
    service = await open_service(name)
    first = await service.post(path, body, key="k-1")
    again = await service.post(path, body, key="k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotent-replay" not in first.headers
    assert again.headers["idempotent-replay"] == "true"
    assert await service.effects() == effects[:1]


@undoable
async def test_an_undo_by_forward_key_undoes_once_however_often_it_is_asked(
    name: str, path: str, body: Any, undo: str, says: str, effects: list[str], open_service: OpenService
) -> None:
    service = await open_service(name)
    await service.post(path, body, key="forward")
    for key in ("undo-1", "undo-1", "undo-2"):
        undone = await service.post(undo, _undo(name, forwardKey="forward"), key=key)
        assert (undone.status_code, undone.json()[says]) == (200, True)
    assert await service.effects() == effects
    made, unmade = await service.get("/__ledger")
    assert (made["key"], made["forwardKey"]) == ("forward", None)
    assert (unmade["key"], unmade["forwardKey"], unmade["subject"]) == ("undo-1", "forward", made["subject"])


@undoable
async def test_an_undo_that_overtakes_its_request_keeps_it_out_for_ever(
    name: str, path: str, body: Any, undo: str, says: str, effects: list[str], open_service: OpenService
) -> None:
    service = await open_service(name)
    undone = await service.post(undo, _undo(name, forwardKey="late"), key="undo")
    assert (undone.status_code, undone.json()[says]) == (200, False)
    for _ in range(2):
        late = await service.post(path, body, key="late")
        assert (late.status_code, late.json()["code"]) == (410, "TOMBSTONED")
    assert await service.effects() == []


@undoable
async def test_an_undo_by_id_needs_no_forward_key(
    name: str, path: str, body: Any, undo: str, says: str, effects: list[str], open_service: OpenService
) -> None:
    service = await open_service(name)
    made = (await service.post(path, body)).json()
    member = next(iter(made))
    undone = await service.post(undo, _undo(name, **{member: made[member]}))
    assert (undone.status_code, undone.json()[says]) == (200, True)
    assert await service.effects() == effects


@undoable
async def test_an_undo_must_say_what_it_undoes_and_not_contradict_itself(
    name: str, path: str, body: Any, undo: str, says: str, effects: list[str], open_service: OpenService
) -> None:
    service = await open_service(name)
    made = (await service.post(path, body, key="forward")).json()
    member = next(iter(made))
    nothing = await service.post(undo, _undo(name))
    itself = await service.post(undo, _undo(name, forwardKey="undo"), key="undo")
    other = await service.post(undo, _undo(name, forwardKey="forward", **{member: "another"}))
    unseen = await service.post(undo, _undo(name, forwardKey="unseen", **{member: made[member]}))
    assert (nothing.status_code, itself.status_code) == (400, 400)
    assert (other.status_code, unseen.status_code) == (422, 422)
    assert await service.effects() == effects[:1]


@undoable
async def test_a_post_without_a_key_is_refused_before_anything_else(
    name: str, path: str, body: Any, undo: str, says: str, effects: list[str], open_service: OpenService
) -> None:
    service = await open_service(name)
    for keyless in (path, undo):
        response = await service.client.post(keyless, json=body)
        assert (response.status_code, response.json()["code"]) == (400, "MISSING_IDEMPOTENCY_KEY")
    assert await service.effects() == []


async def test_a_key_belongs_to_one_request(open_service: OpenService) -> None:
    payments = await open_service("payments")
    await payments.post("/authorizations", CHARGE, key="k-1")
    for path, body in (("/authorizations", CHARGE | {"amountMinor": 501}), ("/captures", {"paymentId": "pay-1"})):
        reused = await payments.post(path, body, key="k-1")
        assert (reused.status_code, reused.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert await payments.effects() == ["authorize"]


async def test_a_refused_request_is_refused_again_and_can_be_tombstoned(open_service: OpenService) -> None:
    payments = await open_service("payments")
    declined = CHARGE | {"token": "tok_declined"}
    for replay in (None, "true"):
        response = await payments.post("/authorizations", declined, key="k-1")
        assert (response.status_code, response.json()["code"]) == (402, "CARD_DECLINED")
        assert response.headers.get("idempotent-replay") == replay
    assert (await payments.post("/authorizations/void", {"forwardKey": "k-1"})).json() == {"voided": False}
    assert (await payments.post("/authorizations", declined, key="k-1")).status_code == 410


async def test_a_malformed_request_does_not_use_up_its_key(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    broken = await inventory.post("/reservations", {"lines": [{"sku": "SKU-0001", "quantity": "two"}]}, key="k-1")
    assert broken.status_code == 400
    assert "$.lines[0].quantity" in broken.json()["message"]
    assert (await inventory.post("/reservations", TWO_OF_ONE, key="k-1")).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '{"lines": []}',
        '{"lines": [{"sku": "SKU-0001", "quantity": 0}]}',
        '{"line": 1}',
        '{"lines": [',
        "\xff",
    ],
)
async def test_a_body_that_makes_no_sense_is_a_400(body: str, open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    headers = {"Idempotency-Key": "k-1"}
    response = await inventory.client.post("/reservations", content=body.encode("latin-1"), headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "MALFORMED")


async def test_a_body_beyond_the_bound_is_refused(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    response = await inventory.post("/reservations", {"lines": " " * (1 << 20)})
    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")


async def test_a_reservation_holds_all_of_its_lines_or_none(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    before = await _reserved(inventory, "SKU-0001")
    lines = [{"sku": "SKU-0001", "quantity": 2}, {"sku": "SKU-0050", "quantity": 1}]
    refused = await inventory.post("/reservations", {"lines": lines})
    assert refused.status_code == 409
    assert refused.json() == {
        "code": "OUT_OF_STOCK",
        "message": "1 of SKU-0050 wanted, 0 available",
        "sku": "SKU-0050",
    }
    lines[1] = {"sku": "SKU-9999", "quantity": 1}
    unknown = await inventory.post("/reservations", {"lines": lines})
    assert (unknown.status_code, unknown.json()["code"], unknown.json()["sku"]) == (422, "UNKNOWN_SKU", "SKU-9999")
    assert await _reserved(inventory, "SKU-0001") == before
    assert await inventory.effects() == []


async def test_the_same_sku_on_two_lines_adds_up(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    last_piece = {"sku": "SKU-0025", "quantity": 1}
    twice = await inventory.post("/reservations", {"lines": [last_piece, last_piece]})
    assert (twice.status_code, twice.json()["code"]) == (409, "OUT_OF_STOCK")
    assert (await inventory.post("/reservations", {"lines": [last_piece]})).status_code == 201
    assert (await inventory.post("/reservations", {"lines": [last_piece]})).status_code == 409


async def test_released_stock_can_be_reserved_again(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    before = await _reserved(inventory, "SKU-0001")
    made = (await inventory.post("/reservations", TWO_OF_ONE)).json()
    assert await _reserved(inventory, "SKU-0001") == before + 2
    await inventory.post("/reservations/release", {"reservationId": made["reservationId"]})
    assert await _reserved(inventory, "SKU-0001") == before


async def test_goods_that_have_left_are_not_released(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    shipped = _seeded("confirmed", shipment="delivered").reservation_id
    assert (await inventory.post("/reservations/release", {"reservationId": shipped})).json() == {"released": False}
    assert (await inventory.post("/reservations/release", {"reservationId": "rsv-none"})).json() == {"released": False}
    assert await inventory.effects() == []


async def test_an_order_is_created_pending_and_confirmed_once(open_service: OpenService) -> None:
    orders = await open_service("orders")
    created = (await orders.post("/orders", ORDER)).json()
    assert created["state"] == "pending"
    assert created["lines"] == [LINE]
    assert set(created) == set(ORDER) | {"orderId", "state", "placedAt"}
    confirmation = {"orderId": created["orderId"], "paymentId": "pay-1", "shipmentId": "shp-1"}
    confirmed = (await orders.post("/orders/confirm", confirmation)).json()
    assert (confirmed["state"], confirmed["paymentId"], confirmed["shipmentId"]) == ("confirmed", "pay-1", "shp-1")
    assert (await orders.post("/orders/confirm", confirmation)).json() == confirmed
    other = await orders.post("/orders/confirm", confirmation | {"paymentId": "pay-2"})
    assert (other.status_code, other.json()["code"]) == (409, "ALREADY_CONFIRMED")
    assert await orders.effects() == ["create", "confirm"]
    [entry] = await orders.get("/orders/by-customer?customers=c-001&limit=1")
    assert entry["items"] == [confirmed]


async def test_a_cancelled_order_stays_cancelled(open_service: OpenService) -> None:
    orders = await open_service("orders")
    created = (await orders.post("/orders", ORDER)).json()
    for reason in ("first", "second"):
        body = {"orderId": created["orderId"], "reason": reason}
        cancelled = (await orders.post("/orders/cancel", body)).json()
        assert cancelled["cancelled"] is True
        assert (cancelled["order"]["state"], cancelled["order"]["cancelReason"]) == ("cancelled", "first")
    confirmation = {"orderId": created["orderId"], "paymentId": "pay-1", "shipmentId": "shp-1"}
    refused = await orders.post("/orders/confirm", confirmation)
    assert (refused.status_code, refused.json()["code"]) == (409, "ORDER_CANCELLED")
    unknown = await orders.post("/orders/confirm", confirmation | {"orderId": "o-none"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "UNKNOWN_ORDER")


async def test_money_is_held_taken_and_given_back_in_that_order_only(open_service: OpenService) -> None:
    payments = await open_service("payments")
    made = (await payments.post("/authorizations", CHARGE)).json()
    named = {"paymentId": made["paymentId"]}
    assert (await payments.post("/refunds", named)).json()["code"] == "NOT_CAPTURED"
    assert (await payments.post("/captures", named)).json() == made | {"state": "captured"}
    assert (await payments.post("/captures", named)).json()["code"] == "NOT_AUTHORIZED"
    assert (await payments.post("/authorizations/void", named)).json()["code"] == "NOT_AUTHORIZED"
    assert (await payments.post("/refunds", named)).json() == made | {"state": "refunded"}
    assert await payments.get(f"/payments?ids={made['paymentId']}") == [made | {"state": "refunded"}]
    assert (await payments.post("/captures", {"paymentId": "pay-none"})).status_code == 404
    assert await payments.effects() == ["authorize", "capture", "refund"]


async def test_a_voided_payment_cannot_be_captured(open_service: OpenService) -> None:
    payments = await open_service("payments")
    named = {"paymentId": (await payments.post("/authorizations", CHARGE)).json()["paymentId"]}
    await payments.post("/authorizations/void", named)
    refused = await payments.post("/captures", named)
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_AUTHORIZED")


async def test_the_flaky_card_fails_twice_for_each_key_and_is_not_remembered_failing(open_service: OpenService) -> None:
    payments = await open_service("payments")
    flaky = CHARGE | {"token": "tok_flaky"}
    for key in ("k-1", "k-2"):
        statuses = [(await payments.post("/authorizations", flaky, key=key)).status_code for _ in range(4)]
        assert statuses == [503, 503, 201, 201]
    assert await payments.effects() == ["authorize", "authorize"]


async def test_an_unknown_card_is_refused(open_service: OpenService) -> None:
    payments = await open_service("payments")
    response = await payments.post("/authorizations", CHARGE | {"token": "tok_nobody"})
    assert (response.status_code, response.json()["code"]) == (422, "UNKNOWN_TOKEN")


@pytest.mark.parametrize("state", ["dispatched", "delivered"])
async def test_what_has_left_the_house_cannot_be_cancelled(state: str, open_service: OpenService) -> None:
    shipping = await open_service("shipping")
    left = _seeded("confirmed", shipment=state)
    response = await shipping.post("/shipments/cancel", {"shipmentId": left.shipment_id})
    assert (response.status_code, response.json()["code"]) == (409, "ALREADY_DISPATCHED")
    unknown = await shipping.post("/shipments/cancel", {"shipmentId": "shp-none"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "UNKNOWN_SHIPMENT")
    assert await shipping.effects() == []


async def test_a_booked_shipment_shows_its_recipient_and_can_be_read_back(open_service: OpenService) -> None:
    shipping = await open_service("shipping")
    booked = (await shipping.post("/shipments", PARCEL)).json()
    assert (booked["state"], booked["recipient"]) == ("booked", "Ada Falk")
    assert await shipping.get(f"/shipments?ids={booked['shipmentId']}") == [booked]


async def test_the_ledger_says_what_happened_under_which_key(open_service: OpenService) -> None:
    payments = await open_service("payments")
    made = (await payments.post("/authorizations", CHARGE, key="k-1")).json()
    [entry] = await payments.get("/__ledger")
    assert set(entry) == {"effect", "key", "subject", "forwardKey", "at", "details"}
    assert (entry["key"], entry["subject"]) == ("k-1", made["paymentId"])
    assert entry["details"] == {"amountMinor": 500, "currencyCode": "EUR", "reference": "o-1"}


async def test_an_undo_cannot_name_the_key_of_something_else(open_service: OpenService) -> None:
    payments = await open_service("payments")
    named = {"paymentId": (await payments.post("/authorizations", CHARGE)).json()["paymentId"]}
    await payments.post("/captures", named, key="capture")
    response = await payments.post("/authorizations/void", {"forwardKey": "capture"})
    assert (response.status_code, response.json()["code"]) == (422, "FORWARD_KEY_MISMATCH")
