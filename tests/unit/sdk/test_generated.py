"""What is generated is committed, so it must be what the generators make today: made again, it is the same, byte for byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SDK = ROOT / "sdk"
GENERATOR = ROOT / ".venv-sdk" / "bin" / "python"
REMEDY = "run: make sdk-generate"


@pytest.mark.skipif(  # in CI what nobody installed is a broken build: the test runs, and fails
    not GENERATOR.exists() and os.environ.get("CI") != "true",
    reason="ariadne-codegen is not installed: run `make test`",
)
def test_the_python_sdk_is_as_it_is_generated(tmp_path: Path) -> None:
    run([str(GENERATOR), str(SDK / "python" / "generate.py"), "--into", str(tmp_path)])

    made, committed = tmp_path / "graph", SDK / "python" / "src" / "sagaql_client" / "graph"
    assert texts(made) == texts(committed), REMEDY


@pytest.mark.skipif(  # in CI what nobody installed is a broken build: the test runs, and fails
    (shutil.which("node") is None or not (SDK / "typescript" / "node_modules").exists())
    and os.environ.get("CI") != "true",
    reason="graphql-codegen is not installed: install Node 20.19 or newer, and run `make test`",
)
def test_the_typescript_sdk_is_as_it_is_generated(tmp_path: Path) -> None:
    run(["node", str(SDK / "typescript" / "generate.mjs"), str(tmp_path / "graph.ts")])

    committed = (SDK / "typescript" / "src" / "graph.ts").read_text(encoding="utf-8")
    assert (tmp_path / "graph.ts").read_text(encoding="utf-8") == committed, REMEDY


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}


def run(command: list[str]) -> None:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
