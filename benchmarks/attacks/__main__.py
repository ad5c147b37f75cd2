"""`python -m benchmarks.attacks`: CPU and memory of a served gateway for each attack, beside an honest page in the same run.

An attack is refused cheaply where it costs at most twice an honest page that is new, or 5 ms of CPU. What is as large as is allowed
is compared with an honest request as large: that is what the bounds grant to anybody.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator
from itertools import count
from statistics import median

from benchmarks.attacks import limits, tokens
from benchmarks.attacks.frames import CLOSE, handshake
from benchmarks.attacks.serving import processor_time, served
from benchmarks.attacks.table import ATTACKS, honest, of_a_size, of_many_bytes, of_many_values
from benchmarks.attacks.wire import ON_THE_WIRE, OnTheWire
from benchmarks.figures import Figure, at_most, run
from benchmarks.streams.crowd import resident

ROUNDS, TURN = 7, 6
TICK = 1 / os.sysconf("SC_CLK_TCK")
CHEAP = 0.005
"""Seconds of CPU that nobody need care for."""
CLOSING = bytes([0x80 | CLOSE])
Ask = Callable[[int], None]
PAGE, LARGE, MANY, LONG = "a new page", "a document as large", "as many values", "a body as long"
BASES = {PAGE: honest, LARGE: of_a_size, MANY: of_many_values, LONG: of_many_bytes}
"""Honest requests, each new."""
LIKE = {
    LARGE: {
        "a string that never ends",
        "one field 1,900 times",
        "unknown fields",
        "one field with 130 arguments",
        "a long list in the document",
    },
    MANY: {"9,000 members and one twice"},
    LONG: {
        "a MiB of comments",
        "350,000 empty lists",
        "a WebSocket's message of 300,000 lists",
        "a WebSocket's message of more than a MiB in fragments",
        "a WebSocket's compressed bomb of 100 MB",
    },
}
_numbers = count()


def figures() -> Iterator[Figure]:
    with served() as (port, pid):
        for _ in range(20):
            _spent(pid, _posting(port, honest))
        bases = {what: _median(pid, _posting(port, body)) for what, body in BASES.items()}
        for what, base in bases.items():
            print(f"  {what:<40} {base * 1000:8.2f} ms of CPU", flush=True)
        before = resident(pid)
        for attack in ATTACKS:
            what = next((what for what, names in LIKE.items() if attack.name in names), PAGE)
            yield _figure(attack.name, _median(pid, _posting(port, attack.body)), what=what, base=bases[what])
        for on_the_wire in ON_THE_WIRE:
            what = next((what for what, names in LIKE.items() if on_the_wire.name in names), PAGE)
            yield _figure(on_the_wire.name, _median(pid, _writing(port, on_the_wire)), what=what, base=bases[what])
        yield at_most("memory that all of them leave behind", 128, (resident(pid) - before) / 1e6, unit=" MB")


def _figure(name: str, spent: float, *, what: str, base: float) -> Figure:
    print(f"  {name:<50} {spent * 1000:8.2f} ms of CPU", flush=True)
    told = f"CPU of {name}, against {what}"
    if spent <= CHEAP:
        return Figure(told, "<= 2 x or 5 ms", f"{spent / base:.3g} x", True)
    return at_most(told, 2, spent / base, unit=" x")


def _median(pid: int, ask: Ask) -> float:
    return median(_spent(pid, ask) for _ in range(ROUNDS))


def _spent(pid: int, ask: Ask) -> float:
    """Seconds of CPU of one request: turns are as long as the clock of processes needs."""
    before, asked = processor_time(pid), 0
    while asked < TURN or (processor_time(pid) - before < 5 * TICK and asked < 40):
        ask(next(_numbers))
        asked += 1
    return (processor_time(pid) - before) / asked


def _posting(port: int, body: Callable[[int], bytes]) -> Ask:
    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"content-type": "application/json", "accept": "application/graphql-response+json"}
        try:
            connection.request("POST", "/graphql", body=body(number), headers=headers)
            connection.getresponse().read()
        except (BrokenPipeError, ConnectionResetError):
            pass  # a body that is too large is not read to its end
        finally:
            connection.close()

    return ask


def _writing(port: int, attack: OnTheWire) -> Ask:
    sent = attack.sent()

    def ask(_: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            if attack.is_socket:
                connection.sendall(handshake(*attack.headers))
                connection.recv(4096)
            connection.sendall(sent)
            if attack.then:
                time.sleep(0.01)  # as a packet of its own, and nothing tells a client when the first was read
                connection.sendall(attack.then)
            try:
                while (got := connection.recv(65536)) and not (attack.is_socket and CLOSING in got):
                    pass  # of a WebSocket to its close frame: the server would wait for ours
            except ConnectionResetError:
                pass  # not all of it was read

    return ask


if __name__ == "__main__":
    measured = {"refusing": figures, "tokens": tokens.figures, "limits": limits.figures}
    raise SystemExit(run("attacks", measured))
