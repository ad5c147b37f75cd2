"""What is learnt of a service while our own loop is late: nothing."""

import asyncio

import pytest

from gateway.clock import Seconds
from gateway.errors import Blame, DeadlineExceeded, GatewayError, ServiceTimeout
from gateway.services import HealthSettings, Retry, ServiceClient, ServiceConfig, ServiceRequest
from gateway.services.outcome import rang_late
from gateway.services.policies import BreakerSettings, BulkheadSettings
from gateway.testing import ScriptedWire, answer, hang, in_virtual_time
from gateway.testing.clock import VirtualLoop
from gateway.testing.wire import Answer, Behaviour

from .calling import CLOCK, PLENTY, STOCK, Dice, catalog, due, elapsed, measured, quiet

TIMEOUT = 2.0
QUICK = BreakerSettings(consecutive=2, volume=10_000)
ATTEMPTS = "sagaql_service_attempt_duration_seconds_count"


def late_by(seconds: float, *, waited: float = TIMEOUT) -> Behaviour:
    """No answer comes, and the loop is blocked from just before the attempt has waited that long until `seconds` after it."""

    async def behaviour(request: ServiceRequest) -> Answer:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.call_at(loop.time() + waited - 0.01, loop.advance, 0.01 + seconds)
        return await hang(request)

    return behaviour


async def refused(client: ServiceClient, request: ServiceRequest = STOCK) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await client.call(request)
    return caught.value


@pytest.mark.parametrize(
    ("waited", "late", "is_late"),
    [(0.1, 0.049, False), (0.1, 0.051, True), (2.0, 0.19, False), (2.0, 0.21, True), (2.0, 0.0, False)],
)
def test_late_is_more_than_fifty_milliseconds_and_a_tenth_of_the_wait(
    waited: float, late: float, is_late: bool
) -> None:
    assert rang_late(Seconds(waited + late), waited=Seconds(waited)) is is_late


@in_virtual_time
async def test_a_timeout_that_rang_late_is_a_timeout_for_the_client_and_the_gateways_fault() -> None:
    error = await refused(catalog(ScriptedWire(late_by(0.5))))
    assert isinstance(error, ServiceTimeout)
    assert (error.code, error.blame, error.retryable, error.applied) == ("SERVICE_TIMEOUT", Blame.GATEWAY, True, None)
    assert error.message == "no answer of catalog was read within 2000 ms: the gateway was 500 ms late"


@in_virtual_time
async def test_a_timeout_that_rang_nearly_in_time_is_the_services() -> None:
    error = await refused(catalog(ScriptedWire(late_by(0.19))))
    assert error.blame is Blame.SERVICE
    assert elapsed() == pytest.approx(2.19)


@pytest.mark.parametrize(("late", "opens"), [(0.5, False), (0.0, True)])
@in_virtual_time
async def test_timeouts_open_the_breaker_unless_they_rang_late(late: float, opens: bool) -> None:
    client = catalog(ScriptedWire(otherwise=late_by(late)), breaker=QUICK)
    for _ in range(2):
        await refused(client)
    assert client.is_breaker_open is opens


@pytest.mark.parametrize(("late", "opens"), [(0.5, False), (0.0, True)])
@in_virtual_time
async def test_deadlines_open_the_breaker_unless_they_rang_late(late: float, opens: bool) -> None:
    client = catalog(ScriptedWire(otherwise=late_by(late, waited=1.0)), breaker=QUICK)
    for _ in range(2):
        assert isinstance(await refused(client, due(elapsed() + 1.0)), DeadlineExceeded)
    assert client.is_breaker_open is opens


@pytest.mark.parametrize(("late", "limit"), [(0.5, 20), (0.0, 18)])
@in_virtual_time
async def test_an_adaptive_limit_falls_with_timeouts_unless_they_rang_late(late: float, limit: int) -> None:
    client = catalog(ScriptedWire(late_by(late)), bulkhead=BulkheadSettings(adaptive=True))
    await refused(client)
    assert client.snapshot()["limit"] == limit


@pytest.mark.parametrize(("late", "attempts"), [(0.5, 1), (0.0, 2)])
@in_virtual_time
async def test_a_timeout_that_rang_late_is_no_latency(late: float, attempts: int) -> None:
    client = catalog(ScriptedWire(answer(), late_by(late)))
    await client.call(STOCK)
    await refused(client)
    assert client.snapshot()["latencySeconds"]["attempts"] == attempts


@pytest.mark.parametrize(("late", "is_dearer"), [(0.5, False), (0.0, True)])
@in_virtual_time
async def test_an_instance_is_not_thought_slow_for_timeouts_that_rang_late(late: float, is_dearer: bool) -> None:
    client = catalog(ScriptedWire(answer(), late_by(late)))
    await client.call(STOCK)
    (before,) = client.snapshot()["instances"]
    await refused(client)
    (after,) = client.snapshot()["instances"]
    assert (after["latencySeconds"] > before["latencySeconds"]) is is_dearer


@in_virtual_time
async def test_they_are_counted_by_themselves() -> None:
    telemetry = quiet()
    await refused(catalog(ScriptedWire(late_by(0.5)), telemetry=telemetry))
    assert measured(telemetry, ATTEMPTS, {"service": "catalog", "endpoint": "GET /stock", "outcome": "late"}) == 1


@in_virtual_time
async def test_what_was_left_unread_is_asked_again() -> None:
    client = catalog(ScriptedWire(late_by(0.5), answer()), retry=Retry(), budget=PLENTY)
    assert (await client.call(STOCK)).status == 200


@pytest.mark.parametrize(("late", "state"), [(1.0, "well"), (0.0, "unhealthy")])
@in_virtual_time
async def test_a_health_check_fails_by_its_timeout_unless_that_rang_late(late: float, state: str) -> None:
    health = HealthSettings(path="/health", interval=Seconds(10.0), timeout=Seconds(1.0), unhealthy_after=1)
    config = ServiceConfig(instances=("http://a", "http://b"), health=health)
    wire = ScriptedWire(otherwise=late_by(late, waited=1.0))
    async with ServiceClient("catalog", config, telemetry=quiet(), clock=CLOCK, random=Dice(0.5), wire=wire) as client:
        await asyncio.sleep(9.0)
        assert len(wire.sent) == 2
        assert {each["state"] for each in client.snapshot()["instances"]} == {state}
