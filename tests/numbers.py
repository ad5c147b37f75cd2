"""The page that says in numbers how this is tested is kept by the tests: each suite counts, and compares.

Base case: a row that is not there is a failure that says what to write.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "testing-in-numbers.md"


def assert_told(what: str, count: int) -> None:
    """`what`: the first cell of a row of the page, whose second cell must be `count`. Raises: AssertionError with the remedy."""
    print(f"{what}: {count:,}")
    row = re.search(rf"^\| {re.escape(what)} \| ([\d,]+) \|", PAGE.read_text(), re.MULTILINE)
    told = None if row is None else int(row[1].replace(",", ""))
    assert told == count, (
        f"{PAGE.name} says {told} of {what!r}; if the change is meant, write | {what} | {count:,} | there"
    )
