"""Generated source: what enters it, and what it does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gateway.execution.rows import reader

HOSTILE = [
    "__import__('os').system('true')",
    "a'}] + [exit()] + [{'b",
    'a"\n    raise SystemExit\n#',
    "\\",
    "\\'",
    "{0}",
    "v0",
    "c0",
    "count",
    "objects",
    "\u2028",
    "'''",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_attribute_that_is_no_plain_name_is_looked_up_by_its_text(name: str) -> None:
    there = SimpleNamespace(**{name: 7})
    assert reader([name])([there]) == ([7],)


def test_an_attribute_whose_name_python_would_fold_into_another_is_looked_up_by_its_text() -> None:
    there = SimpleNamespace()
    for value, name in enumerate(("ﬁ", "fi", "class")):
        setattr(there, name, value)
    assert reader(["ﬁ", "fi", "class"])([there]) == ([0], [1], [2])


def test_generated_source_reaches_nothing_but_what_it_needs() -> None:
    globals_of = reader(["a"]).__globals__
    assert set(globals_of) == {"__builtins__"}
    assert set(globals_of["__builtins__"]) == {"getattr"}
