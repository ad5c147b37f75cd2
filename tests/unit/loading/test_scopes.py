"""With whom an answer is shared: one caller never sees another's. The reader here is an adversary."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import Seconds
from gateway.identity import ANONYMOUS, Identity
from gateway.loading import Loader, Pages
from gateway.services import ServiceRequest, ServiceResponse
from gateway.testing import ScriptedWire, after, answer, in_virtual_time, run_virtual

from .reading import INVENTORY, Stock, inventory, keys_of, loaders_over, request_of

LONG = "1h"
public = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, fresh=LONG, shared="public")
of_tenant = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, fresh=LONG, shared="tenant")
of_identity = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, fresh=LONG)
pages_of_identity = INVENTORY.pages("/all", into=Stock, params={}, fresh=LONG)
pages_of_tenant = INVENTORY.pages("/all", into=Stock, params={}, fresh=LONG, shared="tenant")
public_pages = INVENTORY.pages("/all", into=Stock, params={}, fresh=LONG, shared="public")

ANN = Identity("acme", "ann", frozenset({"customer"}))
TOKEN = {"authorization": "Bearer ann"}
SENT = ("authorization", "accept-language")


def counting_wire() -> ScriptedWire:
    """Answers how many calls it has had: two equal answers are one call."""
    wire = inventory()

    def count(request: ServiceRequest) -> ServiceResponse:
        rows = [{"sku": key, "quantity": len(wire.sent)} for key in keys_of(request) or ["all"]]
        return answer({"items": rows} if request.path == "/all" else rows)

    wire._otherwise = count
    return wire


async def is_shared(
    declared: Loader[Any] | Pages[Any],
    one: tuple[Identity, dict[str, str]],
    other: tuple[Identity, dict[str, str]],
    *,
    send_headers: tuple[str, ...] = SENT,
) -> bool:
    """Whether what is fetched for `one` is served to `other`."""
    wire = counting_wire()
    loaders = loaders_over(wire, send_headers=send_headers)
    for identity, headers in (one, other):
        loads = request_of(loaders, identity=identity, headers=headers)
        await (loads.load(declared, "a") if isinstance(declared, Loader) else loads.page(declared))
    return len(wire.sent) == 1


OTHERS = {
    "another subject": (Identity("acme", "bob", ANN.scopes), TOKEN),
    "another tenant": (Identity("other", "ann", ANN.scopes), TOKEN),
    "fewer scopes": (Identity("acme", "ann"), TOKEN),
    "more scopes": (Identity("acme", "ann", ANN.scopes | {"support"}), TOKEN),
    "anonymous": (ANONYMOUS, {}),
    "another token": (ANN, {"authorization": "Bearer other"}),
    "no token": (ANN, {}),
    "another language": (ANN, {**TOKEN, "accept-language": "fr"}),
    "swapped tenant and subject": (Identity("ann", "acme", ANN.scopes), TOKEN),
}


@pytest.mark.parametrize("declared", [of_identity, pages_of_identity], ids=["loader", "pages"])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
@in_virtual_time
async def test_what_is_fetched_for_one_identity_is_never_served_to_another(declared: Any, other: Any) -> None:
    assert not await is_shared(declared, (ANN, TOKEN), other)
    assert not await is_shared(declared, other, (ANN, TOKEN))


@pytest.mark.parametrize("declared", [of_identity, pages_of_identity], ids=["loader", "pages"])
@in_virtual_time
async def test_an_identity_is_served_its_own_answers(declared: Any) -> None:
    assert await is_shared(declared, (ANN, TOKEN), (ANN, TOKEN))


@pytest.mark.parametrize("declared", [of_tenant, pages_of_tenant], ids=["loader", "pages"])
@in_virtual_time
async def test_a_tenant_s_answers_are_shared_within_it_and_not_beyond(declared: Any) -> None:
    bob = Identity("acme", "bob")
    assert await is_shared(declared, (ANN, {}), (bob, {}))
    assert not await is_shared(declared, (ANN, {}), (Identity("other", "ann", ANN.scopes), {}))
    assert not await is_shared(declared, (ANN, {}), (ANONYMOUS, {}))


@in_virtual_time
async def test_a_tenant_s_answers_are_kept_apart_by_whatever_was_sent_with_the_question() -> None:
    bob = (Identity("acme", "bob"), {"authorization": "Bearer bob"})
    assert not await is_shared(of_tenant, (ANN, TOKEN), bob)
    assert await is_shared(of_tenant, (ANN, TOKEN), bob, send_headers=())


@pytest.mark.parametrize("declared", [public, public_pages], ids=["loader", "pages"])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
@in_virtual_time
async def test_public_answers_are_everybody_s(declared: Any, other: Any) -> None:
    assert await is_shared(declared, (ANN, TOKEN), other)


@in_virtual_time
async def test_stale_answers_keep_to_their_scope_as_well() -> None:
    loaders = loaders_over(counting_wire(), send_headers=SENT, keep={of_identity: Seconds(3600)})
    await request_of(loaders, identity=ANN, headers=TOKEN).load(of_identity, "a")
    for identity, headers in OTHERS.values():
        loads = request_of(loaders, identity=identity, headers=headers)
        assert loads.stale(of_identity, "a", max_age=Seconds(3600)) is None
    mine = request_of(loaders, identity=ANN, headers=TOKEN)
    assert mine.stale(of_identity, "a", max_age=Seconds(3600)) is not None


renewed = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, revalidate=LONG)
renewed_pages = INVENTORY.pages("/all", into=Stock, params={}, revalidate=LONG)


@pytest.mark.parametrize("declared", [renewed, renewed_pages], ids=["loader", "pages"])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
@in_virtual_time
async def test_what_is_served_while_it_is_renewed_and_what_renewed_it_keep_to_their_scope(
    declared: Any, other: Any
) -> None:
    wire = counting_wire()
    loaders = loaders_over(wire, send_headers=SENT)
    for turn, (identity, headers) in enumerate([(ANN, TOKEN), other, (ANN, TOKEN), other]):
        loads = request_of(loaders, identity=identity, headers=headers)
        found: Any = await (loads.load(declared, "a") if isinstance(declared, Loader) else loads.page(declared))
        served = found if isinstance(declared, Loader) else found.items[0]
        assert served.quantity == turn % 2 + 1, "each is served what was fetched for it in its first turn"
        await asyncio.sleep(1)
    sent = [dict(request.headers) for request in wire.requests]
    mine, theirs = dict(sent[0]), dict(sent[1])
    assert sent == [mine, theirs, mine, theirs], "a refresh is asked for with the headers of whoever it is for"


@in_virtual_time
async def test_two_callers_whose_answers_are_due_at_the_same_instant_are_renewed_apart() -> None:
    wire = counting_wire()
    loaders = loaders_over(wire, send_headers=SENT)
    callers = [(ANN, TOKEN), (Identity("acme", "bob"), {"authorization": "Bearer bob"})]
    for _ in range(2):
        await asyncio.gather(*(request_of(loaders, identity=i, headers=h).load(renewed, "a") for i, h in callers))
        await asyncio.sleep(1)
    tokens = [dict(request.headers)["authorization"] for request in wire.requests]
    assert sorted(tokens) == ["Bearer ann", "Bearer ann", "Bearer bob", "Bearer bob"]


identities = st.builds(
    Identity,
    tenant=st.sampled_from(["acme", "other", ""]),
    subject=st.sampled_from(["ann", "bob", ""]),
    scopes=st.frozensets(st.sampled_from(["customer", "support"])),
)
callers = st.tuples(
    identities, st.dictionaries(st.sampled_from(["authorization", "accept-language"]), st.sampled_from(["x", "y"]))
)


@given(callers, callers)
@settings(max_examples=60, deadline=None)
def test_two_callers_share_exactly_when_nothing_that_is_known_of_them_differs(one: Any, other: Any) -> None:
    is_same = one[0] == other[0] and list(one[1].items()) == list(other[1].items())
    assert run_virtual(is_shared(of_identity, one, other)) == is_same
    assert run_virtual(is_shared(of_tenant, one, other)) <= (one[0].tenant == other[0].tenant)


# -- headers -----------------------------------------------------------------------------------------------------------


async def sent_with(
    declared: Any, headers: dict[str, str], *, send_headers: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    wire = counting_wire()
    loads = request_of(loaders_over(wire, send_headers=send_headers), identity=ANN, headers=headers)
    await (loads.load(declared, "a") if isinstance(declared, Loader) else loads.page(declared))
    return wire.requests[0].headers


@pytest.mark.parametrize("declared", [of_identity, of_tenant, pages_of_identity], ids=["identity", "tenant", "pages"])
@in_virtual_time
async def test_only_the_headers_that_a_service_declares_are_sent_to_it(declared: Any) -> None:
    headers = {**TOKEN, "accept-language": "fr", "cookie": "session=1"}
    assert await sent_with(declared, headers, send_headers=("accept-language",)) == (("accept-language", "fr"),)
    assert await sent_with(declared, headers, send_headers=()) == ()


@pytest.mark.parametrize("declared", [public, public_pages], ids=["loader", "pages"])
@in_virtual_time
async def test_a_public_question_is_asked_without_any_header_of_the_caller(declared: Any) -> None:
    assert await sent_with(declared, {**TOKEN, "accept-language": "fr"}, send_headers=SENT) == ()


@in_virtual_time
async def test_a_header_that_is_not_sent_keeps_nothing_apart() -> None:
    assert await is_shared(of_identity, (ANN, {"x-other": "1"}), (ANN, {"x-other": "2"}), send_headers=())


@in_virtual_time
async def test_two_callers_at_the_same_instant_share_no_call() -> None:
    wire = counting_wire()
    loaders = loaders_over(wire, send_headers=SENT)
    bob = Identity("acme", "bob")
    await asyncio.gather(
        request_of(loaders, identity=ANN, headers=TOKEN).load(of_identity, "a"),
        request_of(loaders, identity=bob, headers={"authorization": "Bearer bob"}).load(of_identity, "a"),
    )
    assert [dict(request.headers)["authorization"] for request in wire.requests] == ["Bearer ann", "Bearer bob"]


# -- sharing a call that is under way ----------------------------------------------------------------------------------

BEN = Identity("acme", "ben", frozenset({"customer"}))
never_fresh = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, shared="public")


def slow_inventory() -> ScriptedWire:
    return ScriptedWire(
        otherwise=after(0.05, lambda request: answer([{"sku": key, "quantity": 1} for key in keys_of(request)]))
    )


@pytest.mark.parametrize(("loader", "calls"), [(never_fresh, 1), (of_tenant, 1), (of_identity, 2)])
@in_virtual_time
async def test_readers_share_a_call_that_is_under_way_as_far_as_its_answer_may_be_shared(
    loader: Loader[Stock], calls: int
) -> None:
    wire = slow_inventory()
    loaders = loaders_over(wire, send_headers=SENT)
    await asyncio.gather(*(request_of(loaders, identity=who).load(loader, "a") for who in (ANN, ANN, BEN)))
    assert len(wire.sent) == calls


@in_virtual_time
async def test_with_headers_sent_for_them_callers_of_a_tenant_share_nothing() -> None:
    wire = slow_inventory()
    loaders = loaders_over(wire, send_headers=SENT)
    readers = [request_of(loaders, identity=ANN, headers=headers) for headers in (TOKEN, {"authorization": "Bearer x"})]
    await asyncio.gather(*(each.load(of_tenant, "a") for each in readers))
    assert [request.is_personal for request in wire.requests] == [True, True]


@in_virtual_time
async def test_a_read_that_began_before_a_write_is_not_shared_with_one_that_begins_after_it() -> None:
    wire = slow_inventory()
    loaders = loaders_over(wire, send_headers=SENT)
    before = asyncio.create_task(request_of(loaders, identity=ANN).load(never_fresh, "a"))
    await asyncio.sleep(0.01)
    loaders.invalidate(never_fresh)
    await request_of(loaders, identity=ANN).load(never_fresh, "a")
    await before
    assert len(wire.sent) == 2


@in_virtual_time
async def test_after_a_write_of_its_own_a_request_shares_nothing() -> None:
    wire = slow_inventory()
    loaders = loaders_over(wire, send_headers=SENT)
    mine = request_of(loaders, identity=ANN)
    mine.new_generation()
    await asyncio.gather(request_of(loaders, identity=ANN).load(never_fresh, "a"), mine.load(never_fresh, "a"))
    assert len(wire.sent) == 2
