"""The wheel, as a stranger has it: installed into a clean environment, beside a graph of their own, far from a checkout.

Takes about a minute, so it runs in CI and for `make wheel`, which names the wheel in SAGAQL_WHEEL.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from .conftest import ROOT, free_ports, wait_until

WHEEL = os.environ.get("SAGAQL_WHEEL")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        WHEEL is None and os.environ.get("CI") != "true", reason="takes a minute: run `make wheel`, or set CI=true"
    ),
]

GATEWAY_TOML = """
[graph]
query = "greetings:Query"
sdl = ""
"""
GREETINGS = '''
"""The smallest graph."""

import strawberry


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self, name: str = "world") -> str:
        return f"hello, {name}"
'''


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if WHEEL is not None:
        return Path(WHEEL)
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)], at=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def sagaql(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command."""
    folder = tmp_path_factory.mktemp("clean")
    run([sys.executable, "-m", "venv", "venv"], at=folder)
    pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    run([*pip, "-c", str(ROOT / "constraints.txt"), str(wheel)], at=folder)
    return folder / "venv" / "bin" / "sagaql"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "gateway.toml").write_text(GATEWAY_TOML, encoding="utf-8")
    (tmp_path / "greetings.py").write_text(GREETINGS, encoding="utf-8")
    return tmp_path


def run(command: list[str], *, at: Path) -> str:
    ended = subprocess.run(command, cwd=at, env=clean_environment(), capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def clean_environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("SAGAQL_")
    }


def test_only_the_engine_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}

    assert {name for name in top if not name.endswith(".dist-info")} == {"gateway"}


def test_graphiql_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "gateway/edge/static/graphiql/index.html" in archive.namelist(), "run `make web` first"


def test_a_shared_store_without_its_extra_is_refused_with_a_remedy(sagaql: Path, project: Path) -> None:
    environment = clean_environment() | {"SAGAQL_SHARED__URL": "redis://:hunter2@127.0.0.1:1"}
    ended = subprocess.run(
        [str(sagaql), "check"], cwd=project, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode != 0
    assert "shared.url: its client is not installed: pip install 'sagaql[redis]'" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


def test_a_stranger_checks_and_serves_a_graph_of_their_own(sagaql: Path, project: Path) -> None:
    assert run([str(sagaql), "--version"], at=project).startswith("sagaql ")
    assert run([str(sagaql), "check"], at=project)
    assert "greeting(name: String! = " in run([str(sagaql), "schema"], at=project)

    port = free_ports(1)
    with (project / "log").open("wb") as log:
        serving = subprocess.Popen(
            [str(sagaql), "serve", "--port", str(port)], cwd=project, env=clean_environment(), stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(port) or serving.poll() is not None, saying="the gateway is ready", within=30)
        answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": '{ greeting(name: "Ada") }'})
        page = httpx.get(f"http://127.0.0.1:{port}/graphiql")

        assert answer.json() == {"data": {"greeting": "hello, Ada"}}
        assert page.status_code == 200
        assert "<script" in page.text
    finally:
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(20) == 0, (project / "log").read_text(encoding="utf-8")


def test_the_demo_says_that_it_needs_a_checkout(sagaql: Path, project: Path) -> None:
    ended = subprocess.run(
        [str(sagaql), "demo"], cwd=project, env=clean_environment(), capture_output=True, text=True, timeout=30
    )

    assert ended.returncode == 1
    assert "needs a checkout" in ended.stderr


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False
