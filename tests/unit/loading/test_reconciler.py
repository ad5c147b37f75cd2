"""Several sources asked at once: who is left out, who is counted, and how often operators are told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from io import StringIO
from typing import Any

import orjson
import pytest

from gateway.clock import Instant
from gateway.errors import ServiceUnavailable, SourcesUndecided
from gateway.loading import authority, newest, quorum
from gateway.loading.reconciler import Tally
from gateway.services import ServiceRequest
from gateway.telemetry import Telemetry, json_log
from gateway.testing import ScriptedWire, after, answer, in_virtual_time

from .reading import INVENTORY, asked, counted, keys_of, loaders_over, request_of

FIELD = "Product.price"


@dataclass
class Price:
    amount: int
    updated_at: int


def source(path: str) -> Any:
    return INVENTORY.loader(path, keys="skus", key="sku", into=Price)


SOURCES = [source(path) for path in ("/a", "/b", "/c")]
BY_TIME = newest("updated_at")


def shelf(**prices: Any) -> ScriptedWire:
    """Each path answers its price for every key, or fails with what is given; a path left out has none."""

    def said(request: ServiceRequest) -> Any:
        price: Any = prices.get(request.path[1:])
        if isinstance(price, Exception):
            return price
        rows = [{"sku": key, "amount": price.amount, "updatedAt": price.updated_at} for key in keys_of(request)]
        return answer(rows)

    return ScriptedWire(otherwise=after(0.1, said))


def away(path: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"{path} is away", service="inventory", applied=False)


async def price_of(wire: ScriptedWire, rule: Any, *, telemetry: Telemetry | None = None, keys: str = "k") -> Any:
    """What is served of each key, in one request."""
    loads = request_of(loaders_over(wire, telemetry=telemetry))
    return await asyncio.gather(*(loads.reconcile(SOURCES, key, rule=rule, field=FIELD) for key in keys))


@in_virtual_time
async def test_all_sources_are_asked_at_the_same_time_each_for_all_keys_of_the_layer() -> None:
    wire = shelf(a=Price(1, 1), b=Price(1, 2), c=Price(1, 3))
    found = await price_of(wire, BY_TIME, keys="xyz")
    assert [each.value for each in found] == [Price(1, 3)] * 3
    assert asked(wire) == [["x", "y", "z"]] * 3
    assert set(wire.instants) == {0.0}
    assert asyncio.get_running_loop().time() == pytest.approx(0.1)


@in_virtual_time
async def test_a_source_that_fails_is_left_out_and_told() -> None:
    (found,) = await price_of(shelf(a=Price(1, 1), b=away("b"), c=Price(2, 3)), BY_TIME)
    assert found.value == Price(2, 3)
    assert [failure.message for failure in found.left_out] == ["b is away"]


@in_virtual_time
async def test_when_all_fail_the_first_source_s_failure_is_the_reason() -> None:
    telemetry = Telemetry()
    with pytest.raises(ServiceUnavailable, match="a is away"):
        await price_of(shelf(a=away("a"), b=away("b"), c=away("c")), BY_TIME, telemetry=telemetry)
    assert counted(telemetry, "sagaql_reconciled_total", field=FIELD, outcome="failed") == 1


@pytest.mark.parametrize(
    ("rule", "c", "why"),
    [
        (BY_TIME, Price(2, 3), "inventory: they differ at the same instant (a is away)"),
        (quorum(), Price(2, 3), "inventory: no more than half of 3 say the same (a is away)"),
        (authority("catalog"), Price(1, 3), "inventory: their authority, catalog, did not answer (a is away)"),
    ],
)
@in_virtual_time
async def test_what_no_rule_decides_is_an_error_that_says_why(rule: Any, c: Price, why: str) -> None:
    telemetry = Telemetry()
    with pytest.raises(SourcesUndecided) as caught:
        await price_of(shelf(a=away("a"), b=Price(1, 3), c=c), rule, telemetry=telemetry)
    assert caught.value.message == why
    assert caught.value.extensions() == {
        "code": "SERVICE_SOURCES_UNDECIDED",
        "retryable": True,
        "service": "inventory",
        "services": ["inventory"],
    }
    assert counted(telemetry, "sagaql_reconciled_total", field=FIELD, outcome="undecided") == 1


@in_virtual_time
async def test_outcomes_are_counted_by_field_and_losers_by_source() -> None:
    telemetry = Telemetry()
    await price_of(shelf(a=Price(1, 1), b=Price(2, 2), c=Price(1, 1)), BY_TIME, telemetry=telemetry, keys="xy")
    await price_of(shelf(a=Price(1, 1), b=Price(1, 2), c=Price(1, 1)), BY_TIME, telemetry=telemetry)
    assert counted(telemetry, "sagaql_reconciled_total", field=FIELD, outcome="resolved") == 2
    assert counted(telemetry, "sagaql_reconciled_total", field=FIELD, outcome="agreed") == 1
    lost = {
        path: counted(telemetry, "sagaql_disagreements_total", field=FIELD, source=f"inventory /{path}")
        for path in "abc"
    }
    assert lost == {"a": 2, "b": 0, "c": 2}


@in_virtual_time
async def test_operators_are_told_once_a_minute_and_field_and_how_many_were_counted() -> None:
    stream = StringIO()
    wire = shelf(a=Price(1, 1), b=Price(2, 2), c=Price(1, 1))
    loads = request_of(loaders_over(wire, telemetry=Telemetry(log=json_log(stream))))
    for key in "wxyz":
        await loads.reconcile(SOURCES, key, rule=BY_TIME, field=FIELD)
        await asyncio.sleep(20)
    await loads.reconcile(SOURCES, "w", rule=BY_TIME, field="Other.price")
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["field"], line["counted"], line["key"]) for line in lines] == [
        (FIELD, 1, "w"),
        (FIELD, 3, "z"),
        ("Other.price", 1, "w"),
    ]
    assert lines[0]["losers"] == ["inventory /a", "inventory /c"]
    assert lines[0]["rule"] == "newest('updated_at')"


def test_a_tally_tells_of_all_that_it_counted_and_begins_anew() -> None:
    tally = Tally()
    assert [tally.add(Instant(at)) for at in (0, 1, 59.9, 60, 61, 200)] == [1, None, None, 3, None, 2]


@in_virtual_time
async def test_a_bug_of_ours_is_no_source_s_failure() -> None:
    with pytest.raises(RuntimeError, match="ours"):
        await price_of(shelf(a=Price(1, 1), b=RuntimeError("ours"), c=Price(1, 1)), BY_TIME)
