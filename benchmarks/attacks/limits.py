"""What limits of clients cost: a request that is refused for them, and the check that an honest one passes.

Two gateways take turns, one with limits and one without. All requests are one page, by a caller with a token, over a connection
that stays: the cheapest that there is, so that what a check adds shows most.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from statistics import median

from benchmarks.attacks.gateway import GREEDY, MODEST
from benchmarks.attacks.serving import processor_time, served
from benchmarks.attacks.table import honest
from benchmarks.figures import Figure, at_most

ROUNDS, TURN = 15, 300
BODY = honest(0)


class Caller:
    """One client of one gateway."""

    def __init__(self, port: int, pid: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._pid = pid
        self._headers = {
            "content-type": "application/json",
            "accept": "application/graphql-response+json",
            "authorization": f"Bearer {token}",
        }

    def ask(self) -> int:
        """The status of the answer."""
        self._connection.request("POST", "/graphql", body=BODY, headers=self._headers)
        response = self._connection.getresponse()
        response.read()
        return response.status

    def spent(self, status: int) -> float:
        """Seconds of CPU of one request, over a turn. Raises: RuntimeError where one is answered otherwise."""
        before = processor_time(self._pid)
        for _ in range(TURN):
            if (answered := self.ask()) != status:
                raise RuntimeError(f"answered {answered}, not {status}")
        return (processor_time(self._pid) - before) / TURN


def figures() -> Iterator[Figure]:
    with served("limited") as limited, served() as free:
        passing, refused, unlimited = Caller(*limited, MODEST), Caller(*limited, GREEDY), Caller(*free, MODEST)
        refused.ask()
        rounds = [(passing.spent(200), unlimited.spent(200), refused.spent(429)) for _ in range(ROUNDS)]
        for what, each in zip(("with limits", "without", "refused"), zip(*rounds, strict=True), strict=True):
            print(f"  a page, {what:<12} {median(each) * 1e6:8.1f} µs of CPU", flush=True)
        yield at_most(
            "CPU of a request refused for its client's rate, against the page that it asks for",
            0.5,
            median(no / yes for yes, _, no in rounds),
            unit=" x",
        )
        yield at_most(
            "CPU of a page by a client with limits, against one without",
            1.1,
            median(yes / without for yes, without, _ in rounds),
            unit=" x",
        )
