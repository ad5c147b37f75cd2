"""Runs one service in this process: python -m demo.serve NAME --port N --data DIR [--lifeline]

Invariant: SIGTERM finishes the running requests, within GRACE, and exits 0. With --lifeline the process ends at once
when its standard input does, so it cannot outlive the parent that holds the other end, not even one that was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from demo import addresses, catalog, customers, inventory, orders, payments, reviews, shipping
from demo.kit.application import application
from demo.kit.connection import AbortableProtocol
from demo.kit.service import Service

# In seconds: how long running requests may take to finish, and how long an idle connection stays open. The latter is
# longer than any caller's pool keeps one, so that it is the caller who closes it.
GRACE = 2
KEEP_ALIVE = 90

SERVICES: dict[str, Service] = {
    module.SERVICE.name: module.SERVICE
    for module in (catalog, customers, inventory, orders, payments, reviews, shipping)
}


def main() -> None:
    arguments = _arguments()
    if arguments.lifeline:
        threading.Thread(target=_end_with_stdin, name="lifeline", daemon=True).start()
    port = addresses.port(arguments.name) if arguments.port is None else arguments.port
    serve(SERVICES[arguments.name], port=port, data=arguments.data or addresses.data_dir())


def serve(service: Service, *, port: int, data: Path) -> None:
    """Answers on the port until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        application(service, data=data),
        host=addresses.HOST,
        port=port,
        http=AbortableProtocol,
        ws="none",
        loop="uvloop",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=KEEP_ALIVE,
    )
    _Server(config).run()


class _Server(uvicorn.Server):
    """A server for which a signal is a request to leave: uvicorn's own dies of the signal once it has left."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        yield

    def _leave(self) -> None:
        self.should_exit = True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.serve", description="Run one service of the demo shop.")
    parser.add_argument("name", choices=addresses.NAMES)
    parser.add_argument("--port", type=int, help=f"default: counted from {addresses.PORT_BASE_VARIABLE}")
    parser.add_argument("--data", type=Path, help=f"default: {addresses.DATA_VARIABLE}, or {addresses.DEFAULT_DATA}")
    parser.add_argument("--lifeline", action="store_true", help="exit when standard input ends")
    return parser.parse_args()


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    # No farewell: committed effects are durable already, and the parent is gone.
    os._exit(0)


if __name__ == "__main__":
    main()
