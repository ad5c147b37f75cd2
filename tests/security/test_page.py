"""`docs/security-tests.md` names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security-tests.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)


def test_every_test_that_the_page_names_is_there() -> None:
    sources = {file: (ROOT / file).read_text(encoding="utf-8") for file, _ in NAMED}
    assert [name for file, name in NAMED if f"def {name}(" not in sources[file]] == []


def test_every_row_of_behaviour_names_a_test() -> None:
    behaviour = PAGE[PAGE.index("## Behaviour") : PAGE.index("## Fuzzing")]
    rows = [line for line in behaviour.splitlines() if line.startswith("| ") and not line.startswith("| attack |")]
    assert len(rows) == len(re.findall(r"`tests/[\w/]+\.py::test_\w+` \|$", behaviour, re.MULTILINE)) > 40
