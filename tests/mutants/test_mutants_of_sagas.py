"""The worst fault of each file of the sagas is noticed on every run; `python -m tests.mutants.run --of sagas/` hunts all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.of_sagas import SAGAS
from tests.numbers import assert_told


@pytest.mark.parametrize("mutant", SAGAS, ids=str)
def test_a_mutant_is_the_fault_that_it_says(mutant: Mutant) -> None:
    text = mutant.path.read_text(encoding="utf-8")
    assert mutant.applied(text) != text
    for test in mutant.tests:
        assert (ROOT / test).exists()


def test_the_first_fault_of_each_file_is_noticed() -> None:
    hunt = [sys.executable, "-m", "tests.mutants.run", "--of", "sagas/", "--first", "1"]
    said = subprocess.run(hunt, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert " 0 not caught" in said.stdout
    assert_told("Mutants of sagas", len(SAGAS))
    assert_told("Of these hunted on every run", len({mutant.file for mutant in SAGAS}))
