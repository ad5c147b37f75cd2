"""The TypeScript SDK's own tests, run by Node's test runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BUILD = Path(__file__).resolve().parents[3] / "sdk" / "typescript" / "build"


@pytest.mark.skipif(  # in CI what nobody installed is a broken build: the test runs, and fails
    (shutil.which("node") is None or not BUILD.exists()) and os.environ.get("CI") != "true",
    reason="the TypeScript SDK is not built: install Node 20.19 or newer, and run `make test`",
)
def test_the_typescript_sdk_keeps_its_promises() -> None:
    tests = sorted(map(str, (BUILD / "test").glob("*.test.js")))
    ended = subprocess.run(["node", "--test", *tests], capture_output=True, text=True, timeout=60)

    assert ended.returncode == 0, ended.stdout + ended.stderr
