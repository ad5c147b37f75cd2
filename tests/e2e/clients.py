"""Other people's clients, each as a process that is asked in lines, and the table of what they can do with us.

A client is a module in `tests/clients/` (Node, by `drive.mjs`) or any program that speaks the same lines (`drive.mjs` describes
them). It says itself what it can do (`does`), what it cannot and why (`cannot`, by verb or by feature), and what its users must
know (`notes`). Invariant: a cell of the table says yes only if its test ran in this session, and passed.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Self

import pytest

from .conftest import ROOT

FOLDER = ROOT / "tests" / "clients"
PATIENCE = 30.0
Json = Any

needs_clients = pytest.mark.skipif(  # in CI clients that nobody installed are a broken build: the test runs, and fails
    not (FOLDER / "node_modules").is_dir() and os.environ.get("CI") != "true",
    reason="the clients are not installed: with Node 20.19 or newer and npm, run `make .stamps/clients`",
)


@dataclass(frozen=True, slots=True)
class Client:
    """One column of the table."""

    name: str
    """Of its module, and of its process."""
    title: str
    package: str
    """Of which the table tells the version."""
    command: tuple[str, ...] = ()
    """What is run in `tests/clients`; () drives the Node module `name`."""

    @property
    def version(self) -> str:
        """As it is pinned for npm, or else installed for Python."""
        pinned: dict[str, str] = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
        return pinned.get(self.package) or metadata.version(self.package)


@dataclass(slots=True)
class Asked:
    """Something that a client does at this moment."""

    driver: Driver
    number: int
    parts: list[Json] = field(default_factory=list[Json])
    """What its user has seen so far."""
    _ended: queue.SimpleQueue[Json] = field(default_factory=queue.SimpleQueue[Json])

    def abort(self) -> None:
        """Its user loses interest."""
        self.driver.send({"id": 0, "do": "abort", "with": {"id": self.number}})

    def answer(self) -> Json:
        """What its user has seen in the end. Raises: AssertionError, if the client broke, or says nothing."""
        try:
            line = self._ended.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"{self.driver.client.title} says nothing; it has seen {self.parts}") from None
        assert "answer" in line, f"{self.driver.client.title}: {line['broken']}"
        return line["answer"]

    def heard(self, line: Json) -> None:
        if "part" in line:
            self.parts.append(line["part"])
        else:
            self._ended.put(line)


class Driver:
    """One client's process."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._asked: dict[int, Asked] = {}
        command = client.command or ("node", "drive.mjs", client.name)
        self._process = subprocess.Popen(
            command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        said = self._read()
        assert said is not None, f"{client.title} does not start: `{' '.join(command)}` in {FOLDER} says why"
        self.does: Sequence[str] = said["does"]
        self.cannot: Mapping[str, str] = said["cannot"]
        self.notes: Mapping[str, str] = said["notes"]
        self._listening = threading.Thread(target=self._listen, name=client.name, daemon=True)
        self._listening.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):
            stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5.0)
        self._listening.join(5.0)
        stdout.close()

    def reason(self, feature: str, verb: str) -> str | None:
        """Why it cannot; None: it can."""
        why = self.cannot.get(feature) or self.cannot.get(verb)
        assert why or verb in self.does, f"{self.client.title} neither does {verb!r}, nor says why it cannot"
        return why

    def start(self, verb: str, **given: Json) -> Asked:
        asked = Asked(self, len(self._asked) + 1)
        self._asked[asked.number] = asked
        self.send({"id": asked.number, "do": verb, "with": given})
        return asked

    def ask(self, verb: str, **given: Json) -> Json:
        return self.start(verb, **given).answer()

    def send(self, question: Json) -> None:
        assert self._process.stdin is not None
        assert self._process.poll() is None, f"{self.client.title}: its process has ended"
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        while (line := self._read()) is not None:
            self._asked[line["id"]].heard(line)
        for asked in self._asked.values():
            asked.heard({"broken": "its process has ended"})

    def _read(self) -> Json | None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None
