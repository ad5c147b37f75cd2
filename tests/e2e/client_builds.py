"""What clients with a build step make of the documents in `client_features.py`: Relay's artifacts, graphql-codegen's types.

Invariant: one build of the same documents, schema and tools, whatever processes a run of the tests has; a build that fails is a
failed test, and says what the tool said.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

from .client_expectations import DEFERRED, EVENTS, OPINIONS, PAYMENT, PRODUCT, REFUSED_PART, STOCK, STREAMED, TRUSTED
from .clients import FOLDER
from .conftest import ROOT
from .ordering import PLACE_ORDER

DOCUMENTS = (PRODUCT, OPINIONS, DEFERRED, REFUSED_PART, STREAMED, PAYMENT, TRUSTED, STOCK, EVENTS, PLACE_ORDER)
BUILD = FOLDER / "build"
MANIFESTS = {"relay": "persisted.json", "codegen": "src/graph/persisted-documents.json"}


@cache
def manifest() -> Mapping[str, str]:
    """What both have persisted: texts by the ids that they send."""
    texts: dict[str, str] = {}
    for tool, path in MANIFESTS.items():
        folder = BUILD / tool
        with _alone(tool):
            _build_what_has_changed(tool, folder)
        texts |= json.loads((folder / path).read_text(encoding="utf-8"))
    return texts


@contextmanager
def _alone(tool: str) -> Generator[None]:
    """Of all processes that run tests here."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{tool}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_what_has_changed(tool: str, folder: Path) -> None:
    built, sources = folder / "built-of", _sources(tool)
    if built.is_file() and built.read_text(encoding="utf-8") == sources:
        return
    ended = build(tool, folder, *DOCUMENTS)
    assert ended.returncode == 0, f"{tool} cannot build the documents:\n{ended.stderr}"
    built.write_text(sources, encoding="utf-8")


def _sources(tool: str) -> str:
    """What a build depends on, as one hash."""
    files = [ROOT / "schema.graphql", FOLDER / "package-lock.json", *sorted((FOLDER / tool).rglob("*"))]
    read = [each.read_bytes() for each in files if each.is_file()]
    return sha256(b"\0".join([*read, *(text.encode() for text in DOCUMENTS)])).hexdigest()


def build(tool: str, folder: Path, *documents: str) -> subprocess.CompletedProcess[str]:
    """`folder` is made anew. It lies in `tests/clients`, where graphql-codegen looks for its preset."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "schema.graphql", folder)
    return subprocess.run(
        ["node", "build.mjs", str(folder)],
        cwd=FOLDER / tool,
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        timeout=120,
    )
