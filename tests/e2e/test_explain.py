"""`sagaql explain` as it is typed: the README's operations, pipes that close early, tools that read JSON. No service is running."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SAGAQL = f"{sys.executable} -m gateway explain"
README = re.findall(
    r"^```graphql\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def shell(command: str, *, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=60
    )


def test_the_readme_has_a_query_and_a_mutation() -> None:
    assert [text.split()[0] for text in README] == ["{", "mutation"]


@pytest.mark.parametrize("document", README, ids=["query", "mutation"])
def test_the_readme_s_operations_are_explained(document: str) -> None:
    said = shell(f"{SAGAQL} -", stdin=document)

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines()[0].endswith(("answered within 10 s", "answered within 15 s"))


def test_the_readme_s_query_costs_four_services_one_call_each() -> None:
    told = json.loads(shell(f"{SAGAQL} - --json", stdin=README[0]).stdout)

    assert told["summary"]["services"] == ["catalog", "inventory", "reviews", "customers"]
    assert (told["summary"]["calls"], told["summary"]["callsAtMost"], told["summary"]["layers"]) == (4, 4, 3)


def test_a_reader_that_goes_away_is_no_mistake() -> None:
    said = shell(f"{SAGAQL} - --json | head -n 1", stdin=README[1])

    assert (said.returncode, said.stdout, said.stderr) == (0, "{\n", "")


def test_a_reader_that_was_gone_before_anything_was_written_is_no_mistake() -> None:
    said = shell(f"{SAGAQL} - | true", stdin=README[1])

    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_other_programs_read_its_json() -> None:
    said = shell(f"{SAGAQL} - --json | {sys.executable} -m json.tool", stdin=README[1])

    assert (said.returncode, said.stderr) == (0, "")
    assert json.loads(said.stdout)["operation"] == "mutation"


def test_an_output_that_cannot_hold_every_character_is_written_all_the_same() -> None:
    said = shell(f"PYTHONIOENCODING=ascii {SAGAQL} -", stdin=README[0])

    assert (said.returncode, said.stderr) == (0, "")
    assert "products(first: 2)" in said.stdout


def test_a_mistake_ends_with_exit_code_two() -> None:
    said = shell(f"{SAGAQL} -", stdin="{ nothing }")

    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "✗ standard input:1:3: Cannot query field 'nothing' on type 'Query'.\n"
