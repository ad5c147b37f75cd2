from __future__ import annotations

from pathlib import Path

import pytest

from demo import addresses
from demo.serve import SERVICES


def test_every_service_has_a_port_and_every_port_a_service() -> None:
    assert set(SERVICES) == set(addresses.NAMES)
    assert [addresses.port(name, {}) for name in addresses.NAMES] == list(range(8101, 8108))


def test_the_base_moves_all_ports_together() -> None:
    assert addresses.url("catalog", {"DEMO_PORT_BASE": "9000"}) == "http://127.0.0.1:9000"
    assert addresses.url("shipping", {"DEMO_PORT_BASE": "9000"}) == "http://127.0.0.1:9006"
    assert addresses.admin_port({"DEMO_PORT_BASE": "9000"}) == 9007
    assert addresses.admin_port({"DEMO_PORT_BASE": "65528"}) == 65535


@pytest.mark.parametrize("base", ["0", "-1", "65529", "99999", "8o81", "8101.0", "٨١٠١", " 8101"])
def test_a_base_that_is_no_port_number_is_named_in_the_error(base: str) -> None:
    with pytest.raises(addresses.BadPortBase, match="DEMO_PORT_BASE must be a port number"):
        addresses.port("catalog", {"DEMO_PORT_BASE": base})


def test_a_name_that_is_no_service_has_no_port() -> None:
    with pytest.raises(KeyError, match="warehouse"):
        addresses.port("warehouse", {})


def test_the_data_directory_comes_from_the_environment() -> None:
    assert addresses.data_dir({}) == Path(".demo")
    assert addresses.data_dir({"DEMO_DATA": "/elsewhere"}) == Path("/elsewhere")
