"""The SDKs as a stranger has them: built, unpacked far from the checkout, and imported beside nothing but what they depend on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[3] / "sdk"
NODE_MODULES = SDK / "typescript" / "node_modules"


def run(command: list[str], *, at: Path, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, cwd=at, env={**clean, **environment}, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_the_wheel_holds_the_client_and_can_be_imported(tmp_path: Path) -> None:
    run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(SDK / "python")],
        at=tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"sagaql_client/py.typed", "sagaql_client/graph/client.py"} <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"sagaql_client"}

    said = run(
        [sys.executable, "-c", "import sagaql_client; print(sagaql_client.__file__)"],
        at=tmp_path,
        PYTHONPATH=str(wheel),
    )
    assert said.startswith(str(wheel))


@pytest.mark.skipif(  # in CI what nobody installed is a broken build: the test runs, and fails
    (shutil.which("node") is None or not NODE_MODULES.exists()) and os.environ.get("CI") != "true",
    reason="the TypeScript SDK is not built: install Node 20.19 or newer, and run `make test`",
)
def test_the_npm_package_holds_the_client_and_can_be_imported(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(SDK / "typescript", source, ignore=shutil.ignore_patterns("node_modules", "build", "dist", "test"))
    (source / "node_modules").symlink_to(NODE_MODULES)
    run(["npm", "run", "--silent", "build"], at=source)
    run(["npm", "pack", "--silent", "--pack-destination", str(tmp_path)], at=source)
    (package,) = tmp_path.glob("*.tgz")
    modules = tmp_path / "stranger" / "node_modules"
    modules.mkdir(parents=True)
    with tarfile.open(package) as archive:
        names = set(archive.getnames())
        archive.extractall(modules, filter="data")
    (modules / "package").rename(modules / "sagaql-client")
    for dependency in ("graphql", "graphql-ws", "@graphql-typed-document-node"):
        (modules / dependency).symlink_to(NODE_MODULES / dependency)

    assert {"package/dist/index.js", "package/dist/index.d.ts", "package/README.md"} <= names
    assert not [name for name in names if "test" in name]
    said = run(
        ["node", "-e", "import('sagaql-client').then(({ Client }) => console.log(Client.name))"], at=modules.parent
    )
    assert said.strip() == "Client"
