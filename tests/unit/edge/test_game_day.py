"""The header of a game day: only whoever holds the key is obeyed, for as long and for whom it says."""

from __future__ import annotations

import hmac
import string
from base64 import urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Epoch, Seconds
from gateway.edge.game_day import (
    LONGEST,
    MAX_LENGTH,
    FaultsHeader,
    FaultsRefused,
    NoGameDay,
    _signature,
    _text,
    checked,
    expiry,
    signed,
    told,
    verified,
)
from gateway.telemetry import Telemetry
from gateway.testing import VirtualClock, in_virtual_time

KEY, OTHER_KEY = "k" * 32, "x" * 32
PLAN = '{"reviews":{"error":0.5,"seed":7}}'
SERVICES = ("catalog", "reviews")
NOW = Epoch(1_750_000_000.0)
UNTIL = Epoch(NOW + 600)
HEADER = signed(PLAN, key=KEY, until=UNTIL)


def opened(*sent: str, now: float = NOW, tenant: str = "acme", key: str = KEY) -> str:
    return verified(sent, key=key, now=Epoch(now), tenant=tenant, services=SERVICES)


def why(*sent: str, now: float = NOW, tenant: str = "acme", key: str = KEY) -> str:
    with pytest.raises(FaultsRefused) as caught:
        opened(*sent, now=now, tenant=tenant, key=key)
    assert caught.value.status == 400
    assert caught.value.message.startswith("X-SagaQL-Faults")
    assert key not in caught.value.message
    return caught.value.why


def resigned(payload: bytes) -> str:
    """A header whose signature is right, whatever it says: what a careless holder of the key may send."""
    return f"{_text(payload)}.{_signature(_text(payload), KEY)}"


# -- what is taken -----------------------------------------------------------------------------------------------------


def test_a_plan_comes_out_as_it_was_signed_until_it_expires() -> None:
    assert opened(HEADER) == PLAN
    assert opened(HEADER, now=UNTIL - 0.001) == PLAN


@pytest.mark.parametrize("later", [0.0, 0.001, 1e9])
def test_after_its_expiry_it_is_not_taken_however_often_it_was_before(later: float) -> None:
    assert opened(HEADER) == opened(HEADER)
    assert why(HEADER, now=UNTIL + later) == "expired"


def test_a_header_for_one_tenant_befalls_no_other() -> None:
    header = signed(PLAN, key=KEY, until=UNTIL, tenant="acme")
    assert opened(header, tenant="acme") == PLAN
    assert why(header, tenant="other") == "another_tenant"
    assert opened(HEADER, tenant="anybody") == PLAN


# -- what is not -------------------------------------------------------------------------------------------------------


@given(st.text(alphabet=string.printable, min_size=32, max_size=64), st.floats(-1e9, 599))
def test_no_other_key_signs_for_this_one(key: str, when: float) -> None:
    header = signed(PLAN, key=key, until=UNTIL)
    assert key == KEY or why(header, now=NOW + when) == "forged"


@given(st.integers(0, len(HEADER) - 1), st.characters(max_codepoint=255))
def test_a_header_with_one_character_changed_is_refused(place: int, character: str) -> None:
    altered = HEADER[:place] + character + HEADER[place + 1 :]
    assert altered == HEADER or why(altered) in {"forged", "malformed"}


@given(st.integers(0, len(HEADER) - 1))
def test_a_truncated_header_is_refused(length: int) -> None:
    assert why(HEADER[:length]) in {"forged", "malformed"}


@given(st.text(st.characters(max_codepoint=255), min_size=1))
def test_a_header_with_anything_more_is_refused(more: str) -> None:
    assert why(HEADER + more) in {"forged", "malformed"}
    assert why(more + HEADER) in {"forged", "malformed"}


@given(st.text(st.characters(max_codepoint=255)))
def test_noise_is_refused(noise: str) -> None:
    assert why(noise) in {"forged", "malformed"}


@given(st.floats(0, 86_000), st.floats(0, 1e6))
def test_none_is_taken_at_or_after_its_expiry_and_all_are_before(lasts: float, later: float) -> None:
    header = signed(PLAN, key=KEY, until=Epoch(NOW + lasts))
    assert why(header, now=NOW + lasts + later) == "expired"
    assert lasts < 1 or opened(header, now=NOW + lasts - 0.5) == PLAN


def test_a_signature_is_compared_as_text_so_other_spellings_of_it_are_none() -> None:
    payload, _, signature = HEADER.partition(".")
    same_bytes = [
        signature[:-1] + last
        for last in string.ascii_letters + string.digits
        if urlsafe_b64decode(signature[:-1] + last + "=") == urlsafe_b64decode(signature + "=")
    ]
    assert len(same_bytes) > 1
    assert [last for last in same_bytes if last != signature and why(f"{payload}.{last}") != "forged"] == []
    assert why(f"{payload}.{signature}=") == "forged"


def test_a_payload_signed_for_another_purpose_is_none_of_ours() -> None:
    payload = HEADER.partition(".")[0]
    bare = _text(hmac.digest(KEY.encode(), payload.encode(), "sha256"))
    assert why(f"{payload}.{bare}") == "forged"


def test_two_headers_are_one_too_many() -> None:
    assert why(HEADER, HEADER) == "malformed"


@pytest.mark.parametrize("header", ["", ".", "a", "a.b.c", "a." * 5, "x" * MAX_LENGTH + ".x"])
def test_what_has_another_form_is_refused(header: str) -> None:
    assert why(header) in {"malformed", "forged"}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff", "malformed"),
        (b"[]", "malformed"),
        (b'{"until": 1750000600}', "malformed"),
        (b'{"faults": {}, "until": 1750000600, "more": 1}', "malformed"),
        (b'{"faults": {}, "until": "soon"}', "malformed"),
        (b'{"faults": {}, "until": 1e400}', "malformed"),
        (b'{"faults": {}, "until": 1750999999}', "too_long"),
        (b'{"faults": {"stock": {"error": 1}}, "until": 1750000600}', "unknown"),
        (b'{"faults": {"reviews": {"explode": 1}}, "until": 1750000600}', "unknown"),
        (b'{"faults": {"reviews": {"error": 2}}, "until": 1750000600}', "unknown"),
        (b'{"faults": 1, "until": 1750000600}', "unknown"),
    ],
)
def test_even_what_is_signed_must_say_what_there_is(payload: bytes, reason: str) -> None:
    assert why(resigned(payload)) == reason


# -- signing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ("nonsense", "the plan is not JSON such as"),
        ('{"revews": {"error": 1}}', "there is no service 'revews': did you mean 'reviews'"),
        ('{"reviews": {"explode": 1}}', "there is no fault 'explode'"),
        ('{"reviews": {"error": 2}}', "reviews: faults.error is 2"),
        ('{"reviews": {"seed": 1.5}}', "reviews: faults.seed is 1.5: it is a whole number"),
    ],
)
def test_a_plan_that_is_none_is_told_before_it_is_signed(plan: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        checked(plan, services=SERVICES)


def test_a_header_is_good_for_a_day_at_most() -> None:
    assert expiry(Seconds(600), now=NOW) == UNTIL
    assert told(UNTIL) == "2025-06-15T15:16:40+00:00"
    for lasts in (0, LONGEST + 1):
        with pytest.raises(ValueError, match="at most 24 h"):
            expiry(Seconds(lasts), now=NOW)


def test_a_plan_too_long_to_be_sent_is_not_signed() -> None:
    with pytest.raises(ValueError, match="plan for fewer services"):
        signed('{"reviews": {}}' + " " * MAX_LENGTH, key=KEY, until=UNTIL)


# -- at the door -------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_door_counts_what_comes_and_without_a_key_lets_nothing_in() -> None:
    telemetry, clock = Telemetry(), VirtualClock(epoch=NOW)
    door = FaultsHeader(KEY, services=SERVICES, clock=clock, metrics=telemetry.metrics)
    closed = FaultsHeader(None, services=SERVICES, clock=clock, metrics=telemetry.metrics)

    assert door.plan([], tenant="acme") is closed.plan([], tenant="acme") is None
    assert door.plan([HEADER], tenant="acme") == PLAN
    with pytest.raises(FaultsRefused):
        door.plan([signed(PLAN, key=OTHER_KEY, until=UNTIL)], tenant="acme")
    with pytest.raises(NoGameDay, match=r"no operation\.game_day_key"):
        closed.plan([HEADER], tenant="acme")
    clock.jump(601)
    with pytest.raises(FaultsRefused, match="no longer good"):
        door.plan([HEADER], tenant="acme")

    counts = {
        result: telemetry.metrics.registry.get_sample_value("sagaql_game_day_headers_total", {"result": result})
        for result in ("taken", "forged", "no_key", "expired")
    }
    assert counts == {"taken": 1, "forged": 1, "no_key": 1, "expired": 1}
    assert KEY not in repr(door)
