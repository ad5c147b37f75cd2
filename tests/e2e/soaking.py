"""Orders under fire: SIGKILL in a loop, lost replies and late effects; in the end the services' ledgers are read.

Every client is honest: it sends the same key until it has an answer. What must hold in the end is read from the services, not from
us: every saga has ended (0 stuck), a completed one has each effect once (0 lost, 0 doubled), and a compensated one has undone all
that it did.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import ANSWER_WITHIN, GATEWAY, Demo, wait_until
from tests.e2e.ordering import AS_CUSTOMER, PLACE_ORDER, SAGA, assert_balanced, order_input
from tests.processes import lives

WRITES = (
    ("inventory", "/reservations"),
    ("inventory", "/reservations/release"),
    ("payments", "/authorizations"),
    ("payments", "/authorizations/void"),
    ("payments", "/captures"),
    ("orders", "/orders"),
    ("orders", "/orders/cancel"),
    ("orders", "/orders/confirm"),
    ("shipping", "/shipments"),
)
CLIENTS = 12
LATEST = 2.0
"""Seconds after which the last late effect has tried to happen."""


@dataclass
class Soak:
    """One run: what is asked for, and what was seen."""

    demo: Demo
    sagas: int
    kills: int
    seed: int
    begun: dict[str, str] = field(default_factory=dict[str, str])
    """Saga id -> how it ended."""
    killed: Counter[str] = field(default_factory=Counter[str])
    faults: int = 0
    _is_over: threading.Event = field(default_factory=threading.Event)
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=ANSWER_WITHIN, headers=AS_CUSTOMER))

    def run(self) -> Counter[str]:
        """How many sagas ended how. Raises: AssertionError that names the saga and the service that disagree."""
        numbers = itertools.count()
        with self._http:
            with ThreadPoolExecutor(CLIENTS) as clients:
                working = [clients.submit(self._client, numbers) for _ in range(CLIENTS)]
                try:
                    self._kill_in_a_loop()
                finally:
                    self._is_over.set()
                for client in working:
                    client.result()
            return self._reckon()

    def _reckon(self) -> Counter[str]:
        self._heal()
        for saga_id in self.begun:
            self.begun[saga_id] = self._settled(saga_id)
        time.sleep(LATEST)
        ended = Counter(self.begun.values())
        stuck = {saga_id: how for saga_id, how in self.begun.items() if how not in ("COMPLETED", "COMPENSATED")}
        assert not stuck, f"{len(stuck)} stuck: {stuck}"
        assert_balanced(self.demo, self.begun)
        return ended

    # -- clients -------------------------------------------------------------------------------------------------------

    def _client(self, numbers: itertools.count[int]) -> None:
        """Order after order, until there were enough and nobody is killed any more."""
        for number in numbers:
            if number >= self.sagas and self._is_over.is_set():
                return
            dice = random.Random(f"{self.seed}:{number}")
            payload = self._persist(dice)
            self.begun[payload["sagaId"]] = ""
            if number >= self.sagas:
                time.sleep(dice.uniform(0.0, 0.5))  # only to keep the house busy until the last kill

    def _persist(self, dice: random.Random) -> dict[str, Any]:
        """What a client's SDK does: the same key until there is an answer."""
        token = "tok_declined" if dice.random() < 0.1 else "tok_ok"
        lines = [(f"SKU-{dice.randint(1, 40):04}", dice.randint(1, 2))]
        key, body = str(uuid.UUID(int=dice.getrandbits(128))), order_input(lines=lines, token=token)
        for _ in range(600):
            with suppress(httpx.TransportError, ValueError):  # gone, or cut off in the middle of its answer
                answer = self._graphql(PLACE_ORDER, {"input": body, "key": key})
                payload: dict[str, Any] | None = (answer.get("data") or {}).get("placeOrder")
                if payload is not None:
                    return payload
            time.sleep(0.1)
        raise AssertionError(f"no answer to {key} in a minute")

    def _settled(self, saga_id: str) -> str:
        """How it ended; or how it stands after a minute."""
        status = ""

        def has_ended() -> bool:
            nonlocal status
            with suppress(httpx.TransportError):
                status = self._graphql(SAGA, {"id": saga_id})["data"]["saga"]["status"]
            return status in {"COMPLETED", "COMPENSATED", "NEEDS_ATTENTION"}

        with suppress(AssertionError):  # what is stuck is counted
            wait_until(has_ended, saying=f"saga {saga_id} ends", within=60)
        return status

    def _graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """By one client: a new one for each request would cost more than its answer."""
        body = {"query": query, "variables": dict(variables)}
        answer: dict[str, Any] = self._http.post(f"{self.demo.url}/graphql", json=body).json()
        return answer

    # -- trouble -------------------------------------------------------------------------------------------------------

    def _kill_in_a_loop(self) -> None:
        dice = random.Random(self.seed)
        for _ in range(self.kills):
            self._break_something(dice)
            time.sleep(dice.uniform(0.2, 1.2))
            self._kill(dice)

    def _break_something(self, dice: random.Random) -> None:
        """Two services lose answers, or do their work late; one of them fails now and then."""
        for service, path in dice.sample(WRITES, k=2):
            fault: Mapping[str, Any] = dice.choice(
                [
                    {"applyThenDrop": True, "times": dice.randint(1, 4)},
                    {"applyLate": dice.uniform(0.2, LATEST), "times": dice.randint(1, 3)},
                    {"errorRate": 0.3, "status": 503},
                ]
            )
            self.demo.service(service).fault({**fault, "path": path})
            self.faults += 1

    def _kill(self, dice: random.Random) -> None:
        """SIGKILL to any one of the gateway's processes; whoever was started by us, we start again."""
        root = self.demo._supervisors[GATEWAY].pids()[GATEWAY]
        victim = dice.choice([root, *descendants(root)])
        if victim != root:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            self.killed["worker"] += 1
            return
        workers = descendants(root)
        self.demo.kill_gateway()
        self.killed["gateway"] += 1
        # They answer what they have accepted, and until then hold the port that the next gateway needs.
        wait_until(lambda: not any(map(lives, workers)), saying="the workers of a killed gateway end", within=30)
        self.demo.start_gateway()

    def _heal(self) -> None:
        for service, _ in WRITES:
            self.demo.service(service).heal()


class Serving(Demo):
    """The demo with a number of workers."""

    workers = 1

    def _serve(self) -> list[str]:
        more = ["--workers", str(self.workers)] if self.workers > 1 else []
        return [*super()._serve(), *more]


def descendants(pid: int) -> list[int]:
    """Processes below `pid`, that a SIGKILL may hit as well."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [child for child, parent in parents.items() if parent == pid]
    return [*found, *(below for child in found for below in descendants(child))]
