"""Every mutant in a process of its own, over the tests that must notice it.

One process imports everything once; for each mutant it forks, and the child imports the gateway anew with the fault in it: an
interpreter's start would cost ten times what most tests do. Nothing on disk is touched.

Ctrl-C ends it. Exit code 1: a mutant has survived (a test is missing), or does not apply any more.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.util
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.of_decisions import DECISIONS
from tests.mutants.of_policies import POLICIES
from tests.mutants.of_sagas import SAGAS
from tests.mutants.of_the_wire import THE_WIRE

OF_CALLS = [*POLICIES, *DECISIONS, *THE_WIRE]
MUTANTS = [*OF_CALLS, *SAGAS]

LONGEST = 20
"""Seconds after which a mutant's tests count as hanging, which is a way of failing. The longest without a mutant take three."""

_OF_CALLS = re.compile(r"gateway\.(services|loading)(\..+)?|gateway\.testing(\.wire)?").fullmatch
_OF_SAGAS = re.compile(r"gateway\.(services|loading|sagas)(\..+)?|gateway\.testing(\.(wire|journal))?").fullmatch
"""Modules that every child imports anew: those that a mutant may be in, and what tests use of them. Two, because the tests of the
wire stand beside a graph, which knows the sagas that were there first."""

_OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:unraisableexception"),
    *("-p", "pytest_asyncio.plugin"),  # and no other plugin: finding them takes longer than most tests
    "--assert=plain",
    *("-k", "not uvloop"),  # one loop is enough to notice
    *("-W", "ignore:Module already imported"),  # pytest would rewrite a plugin's assertions; none of its own are ours
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--first", type=int, help="only so many of each file")
    parser.add_argument("--of", default="", help="only files whose name contains this")
    parser.add_argument("--but", help="no files whose name contains this")
    parser.add_argument("--unharmed", action="store_true", help="first see the tests pass without any mutant")
    parser.add_argument("--table", action="store_true", help="only print what docs/resilience.md shows of them")
    asked = parser.parse_args()
    if asked.table:
        print(table())
        return 0
    wanted = [each for each in MUTANTS if asked.of in each.file and not (asked.but and asked.but in each.file)]
    chosen = selected(wanted, first=asked.first)
    for each in chosen:
        each.applied(each.path.read_text(encoding="utf-8"))
    _warm_up(with_sagas=any(each.file.startswith("sagas/") for each in chosen))
    if asked.unharmed and (unharmed := _run_in_child(None, sorted({test for each in chosen for test in each.tests}))):
        print(f"the tests fail without any mutant (exit code {unharmed})")
        return 1
    return hunt(chosen)


def selected(mutants: Sequence[Mutant], *, first: int | None) -> list[Mutant]:
    """All, or the first ones of each file: the worst faults stand first in their tables."""
    seen, chosen = Counter[str](), list[Mutant]()
    for each in mutants:
        seen[each.file] += 1
        if first is None or seen[each.file] <= first:
            chosen.append(each)
    return chosen


def table() -> str:
    """Of each file how many there are, and the first, as Markdown."""
    counted = Counter(each.file for each in OF_CALLS)
    rows = [f"| `{each.file}` | {counted[each.file]} | {each.fault} |" for each in selected(OF_CALLS, first=1)]
    return "\n".join(["| file | faults | for example |", "|---|---|---|", *rows])


def hunt(mutants: Sequence[Mutant]) -> int:
    """Run all, as many at once as there are cores. Returns the exit code."""
    began, waiting, running, survivors = time.monotonic(), [*reversed(mutants)], dict[int, Mutant](), list[str]()
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                mutant = waiting.pop()
                running[_start(mutant, mutant.tests)] = mutant
            child, status = os.wait()
            mutant = running.pop(child)
            if (said := _verdict(status)) is not None:
                survivors.append(f"{mutant}: {said}")
                print(f"✗ {survivors[-1]}", flush=True)
    except KeyboardInterrupt:
        for child in running:
            os.kill(child, signal.SIGKILL)
        raise
    print(f"{len(mutants)} mutants, {len(survivors)} not caught, {time.monotonic() - began:.0f} s")
    return 1 if survivors else 0


def _verdict(status: int) -> str | None:
    """What is wrong with how a mutant's tests ended; None: they noticed it."""
    if os.WIFSIGNALED(status):
        return (
            None if os.WTERMSIG(status) == signal.SIGALRM else f"its tests were killed by signal {os.WTERMSIG(status)}"
        )
    match os.WEXITSTATUS(status):
        case 1:
            return None
        case 0:
            return "survived"
        case other:
            return f"its tests could not be run (exit code {other}): it is no fault that one could make"


def _run_in_child(mutant: Mutant | None, tests: Sequence[str]) -> int:
    _, status = os.waitpid(_start(mutant, tests), 0)
    return os.waitstatus_to_exitcode(status)


def _start(mutant: Mutant | None, tests: Sequence[str]) -> int:
    """The id of a process in which `tests` meet `mutant`."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        if mutant is not None:
            signal.alarm(LONGEST)
        os._exit(_meet(mutant, tests))
    except BaseException:
        sys.__excepthook__(*sys.exc_info())
        os._exit(70)


def _meet(mutant: Mutant | None, tests: Sequence[str]) -> int:
    with tempfile.TemporaryFile() as said:  # a mutant's failures are what we want: nobody reads them
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        if mutant is not None:
            sys.meta_path.insert(0, _Mutating(mutant))
        return int(pytest.main([*_OPTIONS, *(str(ROOT / test) for test in tests)]))


def _warm_up(*, with_sagas: bool) -> None:
    """Import what the tests will, so that no child has to; then forget what a mutant may be in: each child imports that anew.

    What stands above it is kept as it is, and still knows the old: no test of these asks for it.
    """
    for name in (
        "gateway.testing",
        "gateway.loading",
        "gateway.services",
        "gateway.sagas",
        "uvloop",
        "pytest_asyncio.plugin",
        "hypothesis.stateful",
    ):
        importlib.import_module(name)
    is_forgotten = _OF_SAGAS if with_sagas else _OF_CALLS
    for name in [name for name in sys.modules if is_forgotten(name)]:
        del sys.modules[name]
    phases = [
        hypothesis.Phase.explicit,
        hypothesis.Phase.generate,
    ]  # what fails need not be made small: nobody reads it
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, phases=phases)
    hypothesis.settings.load_profile("mutants")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"


class _Mutating(importlib.abc.MetaPathFinder):
    """Finds the mutant's module, and nothing else."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        file = str(self._mutant.path)
        return importlib.util.spec_from_file_location(fullname, file, loader=_Mutated(fullname, file, self._mutant))


class _Mutated(SourceFileLoader):
    """The module's source with the fault; compiled code of it is neither read nor written."""

    def __init__(self, fullname: str, path: str, mutant: Mutant) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_data(self, path: str) -> bytes:
        return self._mutant.applied(Path(path).read_text(encoding="utf-8")).encode()

    def path_stats(self, path: str) -> dict[str, float]:
        raise OSError("no compiled code")


if __name__ == "__main__":
    raise SystemExit(main())
