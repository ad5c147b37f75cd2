"""The examples in `deploy/`: what they set is what the gateway reads, and nothing that they leave open is a danger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.risks import Level, idle_acceptances, risks
from gateway.settings import Settings, load_settings
from gateway.testing import GatewayUnderTest, in_virtual_time
from tests.unit.graph.shop import graph, working_wires

MARGIN = 5.0
"""Seconds between the end of all drains and SIGKILL."""
MANIFEST = (Path(__file__).resolve().parents[2] / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
PROJECT = """
services = { catalog = { url = "https://catalog" }, inventory = { url = "https://stock" }, reviews = { url = "https://r" } }
[[identity.issuers]]
issuer = "https://id.example"
audience = "shop"
jwks = "https://id.example/keys"
typ = "at+jwt"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A project's own file, and over it what the manifest says."""
    said = dict(re.findall(r'- \{ name: (SAGAQL_\w+), value: "(.*)" \}', MANIFEST))
    assert "name: SAGAQL_ADMIN__TOKEN" in MANIFEST
    (tmp_path / "gateway.toml").write_text(PROJECT, encoding="utf-8")
    return load_settings(tmp_path / "gateway.toml", environ={**said, "SAGAQL_ADMIN__TOKEN": "0123456789abcdef" * 4})


def test_what_the_manifest_bears_is_named_and_nothing_else_is_a_danger(settings: Settings) -> None:
    assert settings.profile == "production"
    assert [risk.setting for risk in risks(settings) if risk.level is Level.DANGER] == []
    assert [risk.setting for risk in risks(settings) if risk.level is Level.ACCEPTED] != []
    assert idle_acceptances(settings) == []


def test_the_ports_of_the_manifest_are_those_that_are_listened_on(settings: Settings) -> None:
    assert f"name: http, containerPort: {settings.server.port}" in MANIFEST
    assert f"name: admin, containerPort: {settings.admin.port}" in MANIFEST
    assert re.findall(r"ports: \[\{ port: (\d+) \}\]", MANIFEST) == [
        str(settings.server.port),
        str(settings.admin.port),
    ]


@in_virtual_time
async def test_the_probes_are_answered_where_clients_come(tmp_path: Path) -> None:
    probes = re.findall(r"httpGet: \{ path: (\S+), port: http \}", MANIFEST)
    (tmp_path / "gateway.toml").write_text(PROJECT, encoding="utf-8")
    production = load_settings(tmp_path / "gateway.toml", environ={"SAGAQL_PROFILE": "production"})

    async with GatewayUnderTest(production, graph, wires=working_wires()) as gateway:
        assert [(await gateway.request("GET", path)).status for path in probes] == [200, 200, 200]


def test_nothing_is_killed_before_it_may_have_left_and_nothing_closes_before_it_may_have_been_noticed(
    settings: Settings,
) -> None:
    server, noticed = (
        settings.server,
        one(r"readinessProbe:(?s:.*?)periodSeconds: (\d+)") * one(r"readinessProbe:(?s:.*?)failureThreshold: (\d+)"),
    )
    assert noticed < server.drain_delay
    leaving = server.drain_delay + server.drain + settings.sagas.drain
    assert one(r"terminationGracePeriodSeconds: (\d+)") >= leaving + MARGIN
    assert not re.search(r"\n\s*preStop:", MANIFEST)


def one(pattern: str) -> float:
    found = re.findall(pattern, MANIFEST)
    assert len(found) == 1, pattern
    return float(found[0])
