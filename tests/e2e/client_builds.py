"""What clients with a build step make of the documents in `client_features.py`: Relay's artifacts, graphql-codegen's types.

Invariant: one build a session, from the project's own schema; a build that fails is a failed test, and says what the tool said.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
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
        ended = build(tool, folder, *DOCUMENTS)
        assert ended.returncode == 0, f"{tool} cannot build the documents:\n{ended.stderr}"
        texts |= json.loads((folder / path).read_text(encoding="utf-8"))
    return texts


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
