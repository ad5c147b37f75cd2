"""The examples of deploy/ hold together: their variables are settings, and nothing is killed before it may have left."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.settings import load_settings

DEPLOYMENT = (Path(__file__).resolve().parents[2] / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
MARGIN = 5.0
"""Seconds between the end of all drains and SIGKILL."""


def one(pattern: str) -> float:
    found = re.findall(pattern, DEPLOYMENT)
    assert len(found) == 1, pattern
    return float(found[0])


def test_the_deployment_waits_for_longer_than_the_gateway_takes_to_leave(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("", encoding="utf-8")
    environ = dict(re.findall(r"\{ name: (SAGAQL_\w+), value: (\S+) \}", DEPLOYMENT))
    settings = load_settings(tmp_path / "gateway.toml", environ=environ)  # what is no setting is refused

    server, noticed = settings.server, one(r"readinessProbe:(?s:.*?)periodSeconds: (\d+)") * 2
    assert len(environ) == DEPLOYMENT.count("SAGAQL_")
    assert noticed < server.drain_delay, "the port closes before anybody has looked"
    leaving = server.drain_delay + server.drain + settings.sagas.drain
    assert one(r"terminationGracePeriodSeconds: (\d+)") >= leaving + MARGIN
    assert not re.search(r"\n\s*preStop:", DEPLOYMENT)
