"""`sagaql init` as a stranger uses it: the project checks, and its own tests pass, with no service anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e


def run(*command: str, at: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=at, capture_output=True, text=True, timeout=60)


def test_a_new_project_is_whole(tmp_path: Path) -> None:
    begun = run("gateway", "init", "library", at=tmp_path)
    project = tmp_path / "library"

    written = run("gateway", "schema", "--write", at=project)
    checked = run("gateway", "check", at=project)
    tested = run("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", at=project)

    assert begun.returncode == written.returncode == 0, begun.stderr + written.stderr
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "BorrowBook" in checked.stdout
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("mine", encoding="utf-8")

    refused = run("gateway", "init", ".", at=tmp_path)

    assert refused.returncode == 1
    assert "gateway.toml" in refused.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.toml"]
    assert (tmp_path / "gateway.toml").read_text(encoding="utf-8") == "mine"
