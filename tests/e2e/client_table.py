"""docs/clients.md: which client can do what with us, as the tests have seen it.

Invariant: a cell says yes only if its test passed in this session; the page is compared, or written, only when all of them ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .client_features import Feature
from .clients import Client, Driver
from .conftest import ROOT

PAGE = ROOT / "docs" / "clients.md"
WRITE = "SAGAQL_WRITE_CLIENTS"
"""The environment variable with which the page is written."""
YES, NO = "✓", "–"
HEAD = """# Clients

<!-- Written by `make clients` from what tests/e2e/test_clients.py saw: change the tests, or the clients in tests/clients/. -->

Other people's clients, as their own documentation sets them up, against the running demo: a gateway, and seven services that are
made to fail, to hang and to vanish. ✓: a test asserts what the client's user sees. –: the client cannot; the note says why.

"""


@dataclass(slots=True)
class Outcomes:
    """Cells of this session, each a client and a feature by their names."""

    cannot: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    passed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def lacks(self, clients: Sequence[Client], features: Sequence[Feature]) -> bool:
        """Whether some were not run, failed, or were skipped for want of something."""
        return len(self.cannot) + len(self.passed) < len(clients) * len(features)


def page(features: Sequence[Feature], drivers: Sequence[Driver], outcomes: Outcomes) -> str:
    notes = _Notes()
    clients = [driver.client for driver in drivers]
    lines = [
        _row(["", *(f"{client.title} {client.version}" for client in clients)]),
        _row(["---"] * (1 + len(clients))),
        *(_row([each.title, *(_cell(each, driver, outcomes, notes) for driver in drivers)]) for each in features),
        "",
        *notes.lines(),
    ]
    return HEAD + "\n".join(lines) + "\n"


class _Notes:
    """Each text has one number, however often it is referred to."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, text: str | None) -> str:
        return "" if text is None else f"[^{self._numbers.setdefault(text, len(self._numbers) + 1)}]"

    def lines(self) -> list[str]:
        return [f"[^{number}]: {text}." for text, number in self._numbers.items()]


def _cell(feature: Feature, driver: Driver, outcomes: Outcomes, notes: _Notes) -> str:
    if why := driver.reason(feature.name, feature.verb):
        return NO + notes.mark(why)
    assert (driver.client.name, feature.name) in outcomes.passed, (
        f"{feature.title}: {driver.client.title} has not passed"
    )
    return YES + notes.mark(driver.notes.get(feature.name))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
