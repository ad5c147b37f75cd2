"""The services of an application: found by name, started and closed together."""

from random import Random

import pytest

from gateway.services import ServiceConfig, Services, Wire
from gateway.testing import ScriptedWire, in_virtual_time

from .calling import CLOCK, quiet


def services(**wires: Wire) -> Services:
    configs = {name: ServiceConfig(instances=(f"http://{name}.test",)) for name in wires}
    return Services(configs, telemetry=quiet(), clock=CLOCK, random=Random(1), wires=wires)


def test_it_is_a_mapping_in_the_order_of_the_settings() -> None:
    known = services(catalog=ScriptedWire(), inventory=ScriptedWire())
    assert list(known) == ["catalog", "inventory"]
    assert len(known) == 2
    assert known["catalog"].name == "catalog"
    assert "nobody" not in known
    assert known.get("nobody") is None
    assert repr(known) == "<Services catalog, inventory>"


def test_an_unknown_name_is_answered_with_the_nearest_and_the_remedy() -> None:
    known = services(catalog=ScriptedWire(), inventory=ScriptedWire())
    with pytest.raises(LookupError) as caught:
        known["catalogue"]
    assert str(caught.value) == (
        "there is no service 'catalogue': did you mean 'catalog'? declared are catalog, inventory; "
        "declare it in gateway.toml as [services.catalogue] with its url"
    )


def test_a_name_like_no_other_gets_no_guess() -> None:
    with pytest.raises(LookupError, match="there is no service 'xyz': declared are none; declare it"):
        services()["xyz"]


@in_virtual_time
async def test_all_are_started_and_closed() -> None:
    wires = {"catalog": ScriptedWire(), "inventory": ScriptedWire()}
    async with services(**wires):
        assert all(wire.is_started for wire in wires.values())
    assert not any(wire.is_started for wire in wires.values())


class BrokenWire(ScriptedWire):
    async def start(self) -> None:
        raise OSError("no descriptors left")

    async def close(self) -> None:
        await super().close()
        raise OSError("already gone")


@in_virtual_time
async def test_if_one_cannot_start_the_others_are_closed_again() -> None:
    first = ScriptedWire()
    with pytest.raises(OSError, match="no descriptors"):
        await services(first=first, second=BrokenWire()).start()
    assert not first.is_started


@in_virtual_time
async def test_if_one_cannot_close_the_others_are_closed_all_the_same() -> None:
    first, last = ScriptedWire(), ScriptedWire()
    first.is_started = last.is_started = True
    with pytest.raises(OSError, match="already gone"):
        await services(first=first, broken=BrokenWire(), last=last).close()
    assert not first.is_started
    assert not last.is_started
