"""What a benchmark says: figures beside their targets, on the screen and in a file.

Invariant: a figure is a ratio within one run or a count; absolute times are printed for diagnosis only, since machines differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `target` is as it is read by people: ">= 40 x"."""

    name: str
    target: str
    measured: str
    ok: bool


def at_most(name: str, limit: float, measured: float, *, unit: str = "") -> Figure:
    return Figure(name, f"<= {limit:g}{unit}", f"{measured:.4g}{unit}", measured <= limit)


def at_least(name: str, limit: float, measured: float, *, unit: str = "") -> Figure:
    return Figure(name, f">= {limit:g}{unit}", f"{measured:.6g}{unit}", measured >= limit)


def tell(figures: list[Figure]) -> str:
    """The table, as text."""
    wide = max(len(figure.name) for figure in figures)
    return "\n".join(
        f"{'ok  ' if figure.ok else 'MISS'} {figure.name:<{wide}}  target {figure.target:<10}  measured {figure.measured}"
        for figure in figures
    )


def write(name: str, figures: list[Figure]) -> Path:
    """`results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"figures": [asdict(figure) for figure in figures]}, indent=2) + "\n", encoding="utf-8")
    return path


def run(name: str, parts: Mapping[str, Callable[[], Iterable[Figure]]]) -> int:
    """The parts that the command line names, or all; each figure is told as soon as it is there. Returns: the exit code.

    Only a whole run is written to `results/NAME.json`.
    """
    chosen = sys.argv[1:] or [*parts]
    unknown = [part for part in chosen if part not in parts]
    if unknown:
        print(f"there is no part {unknown[0]!r}: choose from {', '.join(parts)}")
        return 2
    figures: list[Figure] = []
    for part in chosen:
        print(f"{part}:", flush=True)
        for figure in parts[part]():
            figures.append(figure)
            print(tell([figure]), flush=True)
    print("\n" + tell(figures))
    if not sys.argv[1:]:
        print(f"written to {write(name, figures)}")
    return 0 if all(figure.ok for figure in figures) else 1
