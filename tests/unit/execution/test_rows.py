"""Generated source: what enters it, and what it does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gateway.execution.rows import reader, writer

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
def test_a_name_is_text_whatever_it_says(name: str) -> None:
    assert writer([name, "x"], constants={})(1, [1], [2]) == [{name: 1, "x": 2}]
    assert writer(["x", name], constants={name: name})(1, [2]) == [{"x": 2, name: name}]


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
    assert set(globals_of["__builtins__"]) == {"getattr", "range", "zip"}


def test_members_stand_in_the_order_that_was_asked_for() -> None:
    write = writer(["z", "a", "m"], constants={"a": None})
    assert [list(row.items()) for row in write(2, [1, 2], [3, 4])] == [
        [("z", 1), ("a", None), ("m", 3)],
        [("z", 2), ("a", None), ("m", 4)],
    ]


def test_objects_without_any_column_are_still_written_one_for_each() -> None:
    assert writer([], constants={})(2) == [{}, {}]
    assert writer(["t"], constants={"t": "T"})(2) == [{"t": "T"}, {"t": "T"}]
    assert writer(["t"], constants={"t": None})(0) == []
