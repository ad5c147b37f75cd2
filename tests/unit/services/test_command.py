"""Declared writes: what is sent, what is read, and what may be concluded from each answer."""

from dataclasses import dataclass
from types import NoneType
from typing import TypeVar

import msgspec
import pytest

from gateway.clock import Deadline, Instant, Seconds
from gateway.errors import ServiceContractBroken, ServiceRefused, ServiceUnavailable
from gateway.services import Command, Retry, ServiceResponse, send
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .calling import broken_off, catalog

V = TypeVar("V")


class Reservation(msgspec.Struct):
    id: str
    quantity: int


RESERVE = Command(
    service="catalog",
    method="POST",
    path="/reservations",
    into=Reservation,
    rejects={"OUT_OF_STOCK": "There is not enough of it."},
    attempt_timeout=Seconds(0.5),
)
RELEASE = Command(service="catalog", method="POST", path="/releases", into=NoneType)


async def ask(command: Command[V], wire: ScriptedWire, body: object = None) -> V:
    return await send(
        command,
        body,
        client=catalog(wire, retry=Retry(attempts=2)),
        idempotency_key="saga:reservation",
        deadline=Deadline(Instant(5.0)),
        headers=(("X-Tenant", "t"),),
    )


@in_virtual_time
async def test_a_command_is_sent_as_declared() -> None:
    wire = ScriptedWire(answer({"id": "r1", "quantity": 2, "more": True}))
    assert await ask(RESERVE, wire, {"sku": "a"}) == Reservation("r1", 2)
    (request,) = wire.requests
    assert (request.method, request.path, request.endpoint) == ("POST", "/reservations", "POST /reservations")
    assert (request.body, request.idempotency_key, request.attempt_timeout) == (b'{"sku":"a"}', "saga:reservation", 0.5)
    assert dict(request.headers) == {"Content-Type": "application/json", "X-Tenant": "t"}
    assert request.deadline.at == 5.0


@dataclass
class Line:
    sku: str


@pytest.mark.parametrize("body", [{"sku": "a"}, Line("a"), msgspec.defstruct("S", [("sku", str)])("a")])
@in_virtual_time
async def test_a_dict_a_dataclass_and_a_struct_are_the_same_body(body: object) -> None:
    wire = ScriptedWire(answer({"id": "r1", "quantity": 2}))
    await ask(RESERVE, wire, body)
    assert wire.requests[0].body == b'{"sku":"a"}'


@in_virtual_time
async def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    wire = ScriptedWire(broken_off, answer({"id": "r1", "quantity": 2}))
    assert (await ask(RESERVE, wire)).id == "r1"
    assert {request.idempotency_key for request in wire.requests} == {"saga:reservation"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"id":"r1"}',
        b'{"id":"r1","quantity":"2"}',
        b'{"id":',
        b'{"id":"\xff","quantity":1}',
        b'{"id":"r1","quantity":1,"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(8),
)
@in_virtual_time
async def test_a_2xx_of_the_wrong_shape_was_applied_and_is_not_used(body: bytes) -> None:
    with pytest.raises(ServiceContractBroken, match="catalog did POST /reservations, but") as caught:
        await ask(RESERVE, ScriptedWire(answer(body)))
    assert caught.value.applied is True


@in_virtual_time
async def test_an_empty_answer_is_right_where_nothing_is_expected() -> None:
    await ask(RELEASE, ScriptedWire(ServiceResponse(204, {}, b"")))
    await ask(RELEASE, ScriptedWire(answer(b"null")))


@in_virtual_time
async def test_a_refusal_carries_the_services_own_code_and_was_not_applied() -> None:
    refusal = answer({"code": "OUT_OF_STOCK", "message": "only 1 left in warehouse 7"}, status=409)
    with pytest.raises(ServiceRefused) as caught:
        await ask(RESERVE, ScriptedWire(refusal))
    error = caught.value
    assert (error.reason, error.http_status, error.applied) == ("OUT_OF_STOCK", 409, False)
    assert error.reason in RESERVE.rejects
    assert "warehouse" not in error.message  # a foreign text


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"code":7}', b'{"code":"SELECT * FROM orders"}', b'{"code":""}']
)
@in_virtual_time
async def test_a_refusal_without_a_readable_code_has_no_reason(body: bytes) -> None:
    with pytest.raises(ServiceRefused, match="catalog refused POST /reservations: 400") as caught:
        await ask(RESERVE, ScriptedWire(answer(body, status=400)))
    assert caught.value.reason is None


@in_virtual_time
async def test_an_answer_that_is_neither_done_nor_refused_leaves_it_unknown() -> None:
    with pytest.raises(ServiceContractBroken, match="302") as caught:
        await ask(RESERVE, ScriptedWire(answer(status=302)))
    assert caught.value.applied is None


@in_virtual_time
async def test_a_not_now_after_all_attempts_leaves_it_unknown() -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        await ask(RESERVE, ScriptedWire(otherwise=answer(status=503)))
    assert caught.value.applied is None
