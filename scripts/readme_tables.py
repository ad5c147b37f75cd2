"""The README's table of errors, generated from the taxonomy: `python scripts/readme_tables.py [--check]`.

Invariant: only the lines between the markers are ours; everything else of the README stays as a person wrote it.
Exit codes: 0 the table is right, or was written; 1 `--check` and it differs; 2 the markers are not there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

if __package__ in {None, ""}:  # run as a file: the checkout's gateway, installed or not
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.errors import GatewayError, taxonomy

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- errors: begin (scripts/readme_tables.py writes this) -->"
END = "<!-- errors: end -->"
HEAD = ("code", "blame", "retryable", "HTTP", "meaning")
_BAR = r"\|"


class MarkersMissing(ValueError):
    """The text has no place for the table."""


def main(arguments: list[str]) -> int:
    """Write the table, or compare it. Returns the exit code."""
    written = README.read_text(encoding="utf-8")
    try:
        right = with_table(written)
    except MarkersMissing as error:
        return _say(f"README.md: {error}", exit_code=2)
    if written == right:
        return 0
    if "--check" in arguments:
        return _say("README.md: the table of errors is not the taxonomy's: run scripts/readme_tables.py", exit_code=1)
    README.write_text(right, encoding="utf-8")
    return 0


def with_table(text: str) -> str:
    """`text` with today's table between its markers. Raises: MarkersMissing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise MarkersMissing(f"it has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{error_table(taxonomy())}\n{END}{after}"


def error_table(errors: Iterable[type[GatewayError]]) -> str:
    """One row for each class that carries a code of its own, in the order of the taxonomy."""
    return "\n".join([_row(HEAD), _row("---" for _ in HEAD), *(_row(_cells(error)) for error in errors)])


def _cells(error: type[GatewayError]) -> tuple[str, ...]:
    return (f"`{error.code}`", error.blame.value, "yes" if error.retryable else "no", str(error.status), error.meaning)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def _say(problem: str, *, exit_code: int) -> int:
    sys.stderr.write(f"{problem}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
