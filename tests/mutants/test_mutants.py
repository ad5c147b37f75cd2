"""The worst faults of each file, each noticed by its tests; `make mutants` has all of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mutants.mutant import ROOT, Mutant, Outdated
from tests.mutants.run import OF_CALLS, selected, table

OF_EACH_FILE = 3


@pytest.mark.parametrize("mutant", OF_CALLS, ids=str)
def test_a_mutant_is_still_one_fault_in_the_code_as_it_is(mutant: Mutant) -> None:
    changed = mutant.applied(mutant.path.read_text(encoding="utf-8"))
    compile(changed, mutant.file, "exec")


def test_a_mutant_that_does_not_apply_any_more_is_an_error() -> None:
    moved_on = Mutant("clock.py", "nothing", "what is not there", "", ())
    with pytest.raises(Outdated, match=r"clock.py: nothing: what it replaces is there 0 times"):
        moved_on.applied("twice twice")
    with pytest.raises(Outdated, match="2 times"):
        Mutant("clock.py", "nothing", "twice", "", ()).applied("twice twice")


def test_every_decision_and_policy_has_its_mutants() -> None:
    counted = {each.file for each in OF_CALLS}
    policies = {f"services/policies/{path.name}" for path in (ROOT / "gateway/services/policies").glob("[a-z]*.py")}
    assert policies <= counted
    assert min(sum(each.file == file for each in OF_CALLS) for file in counted) >= 4


def test_the_page_counts_them() -> None:
    """`python -m tests.mutants.run --table` prints it anew."""
    page = (ROOT / "docs/resilience.md").read_text(encoding="utf-8")
    assert table() in page
    assert f"{len(OF_CALLS)} deliberate faults" in page


def test_the_worst_of_each_file_are_noticed() -> None:
    """In a process of its own, which forks one for each: nothing of this one is changed."""
    command = [sys.executable, "-m", "tests.mutants.run", "--but", "sagas/", "--first", str(OF_EACH_FILE)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(selected(OF_CALLS, first=OF_EACH_FILE))} mutants, 0 not caught" in ran.stdout
