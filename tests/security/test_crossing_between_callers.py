"""Two callers of one tenant, the same idempotency key, each other's ids: neither learns anything of the other's saga."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.testing import GatewayUnderTest, in_virtual_time
from tests.integration.test_saga_operations import ADA, EVE, STANDS, Bank, gateway_on, operate

PAY = """mutation ($amount: Int!) { pay(input: {amount: $amount}) {
    __typename ... on SagaOutcome { sagaId status } } }"""
NOBODY: dict[str, str] = {}


async def pay(gateway: GatewayUnderTest, who: dict[str, str], *, amount: int = 5, key: str = "k") -> Any:
    found = await gateway.execute(PAY, {"amount": amount}, headers={**who, "idempotency-key": key})
    return found.data["pay"]


@in_virtual_time
async def test_the_same_key_of_two_callers_is_two_sagas() -> None:
    service = Bank()
    async with gateway_on(service) as gateway:
        ada, eve, nobody = [await pay(gateway, who) for who in (ADA, EVE, NOBODY)]
        again = await pay(gateway, ADA)
    assert len({each["sagaId"] for each in (ada, eve, nobody)}) == 3
    assert service.calls.count("/receipts") == 3, "each was carried out"
    assert again == ada, "an honest retry finds its own"


@in_virtual_time
async def test_a_key_that_another_uses_for_something_else_is_no_conflict_and_so_tells_nothing() -> None:
    async with gateway_on(Bank()) as gateway:
        await pay(gateway, ADA, amount=5)
        assert (await pay(gateway, EVE, amount=6))["__typename"] == "PayCompleted"
        assert (await pay(gateway, ADA, amount=6))["__typename"] == "IdempotencyConflict"


@pytest.mark.parametrize("key", ["k\0", "k\r\nx-admin: 1", "k/../k", "ada/k", "k" * 300, " "])
@in_virtual_time
async def test_a_key_of_any_text_is_that_callers_own_or_refused(key: str) -> None:
    async with gateway_on(Bank()) as gateway:
        text = "mutation ($key: String!) { pay(input: {amount: 5}, idempotencyKey: $key) { ... on SagaOutcome { sagaId } } }"
        ada, eve = [await gateway.execute(text, {"key": key}, headers=who) for who in (ADA, EVE)]
        assert ada.codes == eve.codes
        if not ada.codes:
            assert ada.data["pay"]["sagaId"] != eve.data["pay"]["sagaId"]


@pytest.mark.parametrize("who", [EVE, NOBODY], ids=["another", "nobody"])
@in_virtual_time
async def test_a_saga_of_somebody_else_cannot_be_told_from_none(who: dict[str, str]) -> None:
    async with gateway_on(Bank()) as gateway:
        saga = (await pay(gateway, ADA))["sagaId"]
        theirs = await gateway.execute(STANDS, {"id": saga}, headers=who)
        none = await gateway.execute(STANDS, {"id": f"{saga[:-4]}0000"}, headers=who)
        assert (theirs.data, theirs.codes) == (none.data, none.codes)
        assert "COMPLETED" not in theirs.body.decode()
        for call in ('retrySagaStep(step: "receipt", reason: "x")', 'cancelSaga(reason: "x")'):
            refused = await operate(gateway, call, saga, headers=who)
            assert refused["errors"][0]["extensions"]["code"] in {"FORBIDDEN", "UNAUTHENTICATED"}


@pytest.mark.parametrize("text", ["", "../x", "'; DROP TABLE sagas; --", "\0", "%", "a" * 5_000, "\u2028"])
@in_virtual_time
async def test_an_id_that_is_none_is_answered_as_one_that_is_not_there(text: str) -> None:
    async with gateway_on(Bank()) as gateway:
        await pay(gateway, ADA)
        found = await gateway.execute(STANDS, {"id": text}, headers=ADA)
    assert found.codes in ([], ["SAGA_NOT_FOUND"], ["BAD_USER_INPUT"])
    assert (found.json.get("data") or {"saga": None})["saga"] is None
