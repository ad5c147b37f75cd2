"""Generated source: what enters it, and what it does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gateway.execution.rows import copier, reader

from .hostile import HOSTILE


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "__class__"])  # that one is always a class
def test_an_attribute_that_is_no_plain_name_is_looked_up_by_its_text(name: str) -> None:
    there = SimpleNamespace(**{name: 7})
    assert reader([name])([there]) == ([7],)
    assert copier(lambda *values: values, [name, None], constant="T")([there]) == [(7, "T")]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_constant_is_handed_over_and_not_written_into_the_source(name: str) -> None:
    assert copier(lambda *values: values, [None, None], constant=name)([object()]) == [(name, name)]


def test_an_attribute_whose_name_python_would_fold_into_another_is_looked_up_by_its_text() -> None:
    there = SimpleNamespace()
    for value, name in enumerate(("ﬁ", "fi", "class")):
        setattr(there, name, value)
    assert reader(["ﬁ", "fi", "class"])([there]) == ([0], [1], [2])


def test_generated_source_reaches_nothing_but_what_it_needs() -> None:
    for function, known in ((reader(["a"]), set()), (copier(tuple, ["a"], constant="T"), {"make", "constant"})):
        globals_of = function.__globals__
        assert set(globals_of) == {"__builtins__", *known}
        assert set(globals_of["__builtins__"]) == {"getattr"}
