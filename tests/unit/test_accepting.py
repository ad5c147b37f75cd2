"""How fast connections are accepted: who arrives with hundreds of others is seen within a few turns of the event loop."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, closing

import uvloop

from gateway.server import accepting, hold_port

WAITING = 64


class Counted(asyncio.Protocol):
    """A connection that is counted, and over."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Counted.made += 1
        transport.close()


async def turns_of(listening: list[socket.socket]) -> int:
    """How many turns of the loop it takes until all that wait are accepted."""
    loop, Counted.made = asyncio.get_running_loop(), 0
    servers = [await loop.create_server(Counted, sock=each) for each in listening]
    turns = 0
    while Counted.made < WAITING:
        await asyncio.sleep(0)  # one turn
        turns += 1
    for server in servers:
        server.close()
        await server.wait_closed()
    return turns


def test_sixteen_are_accepted_in_a_turn_of_the_loop() -> None:
    with ExitStack() as ends:
        held = ends.enter_context(hold_port("127.0.0.1", 0))
        for _ in range(WAITING):
            ends.enter_context(closing(socket.create_connection(held.getsockname())))
        assert uvloop.run(turns_of(accepting(held, ends))) <= WAITING / 16 + 4


def test_when_all_are_closed_nobody_listens_any_more() -> None:
    with ExitStack() as ends:
        held = ends.enter_context(hold_port("127.0.0.1", 0))
        address = held.getsockname()
        accepting(held, ends)
    with closing(socket.socket()) as late:
        assert late.connect_ex(address) != 0
