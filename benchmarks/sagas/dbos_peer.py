"""The same four steps, written by hand on DBOS: run by the interpreter of an environment of its own, see `peer.py`.

As DBOS's documentation has it: a workflow calls steps, and what was done is undone in `except`; each step's outcome is a durable
write before the next begins. `python dbos_peer.py DIRECTORY SAGAS AT_ONCE [wal]` prints one line of JSON for each way to run
workflows at the same time, in threads and as coroutines; whoever compares takes the faster. `wal`: over a file that was switched
to it before DBOS has it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSConfig, SetWorkflowID

# -- in threads --------------------------------------------------------------------------------------------------------


@DBOS.step()
def reserve(order: str, sku: str) -> str:
    return f"{order}:reservation"


@DBOS.step()
def release(order: str) -> None:
    return None


@DBOS.step()
def authorize(order: str, reservation: str) -> str:
    return f"{order}:authorization"


@DBOS.step()
def void(order: str) -> None:
    return None


@DBOS.step()
def capture(order: str, authorization: str) -> str:
    return f"{order}:capture"


@DBOS.step()
def ship(order: str, captured: str) -> str:
    return f"{order}:shipment"


@DBOS.workflow()
def place_order(order: str, sku: str) -> str:
    reservation = reserve(order, sku)
    try:
        authorization = authorize(order, reservation)
        try:
            captured = capture(order, authorization)
        except Exception:
            void(order)
            raise
    except Exception:
        release(order)
        raise
    shipment: str = ship(order, captured)
    return shipment


def in_threads(sagas: int, at_once: int, prefix: str) -> None:
    def one(number: int) -> None:
        with SetWorkflowID(f"{prefix}-{number}"):  # the client's key
            assert place_order(f"{prefix}-{number}", "kettle") == f"{prefix}-{number}:shipment"

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(sagas)))


# -- as coroutines -----------------------------------------------------------------------------------------------------


@DBOS.step()
async def reserve_async(order: str, sku: str) -> str:
    return f"{order}:reservation"


@DBOS.step()
async def release_async(order: str) -> None:
    return None


@DBOS.step()
async def authorize_async(order: str, reservation: str) -> str:
    return f"{order}:authorization"


@DBOS.step()
async def void_async(order: str) -> None:
    return None


@DBOS.step()
async def capture_async(order: str, authorization: str) -> str:
    return f"{order}:capture"


@DBOS.step()
async def ship_async(order: str, captured: str) -> str:
    return f"{order}:shipment"


@DBOS.workflow()
async def place_order_async(order: str, sku: str) -> str:
    reservation = await reserve_async(order, sku)
    try:
        authorization = await authorize_async(order, reservation)
        try:
            captured = await capture_async(order, authorization)
        except Exception:
            await void_async(order)
            raise
    except Exception:
        await release_async(order)
        raise
    shipment: str = await ship_async(order, captured)
    return shipment


def as_coroutines(sagas: int, at_once: int, prefix: str) -> None:
    async def client(numbers: Any) -> None:
        for number in numbers:
            with SetWorkflowID(f"{prefix}-{number}"):
                assert await place_order_async(f"{prefix}-{number}", "kettle") == f"{prefix}-{number}:shipment"

    async def run() -> None:
        numbers = iter(range(sagas))
        await asyncio.gather(*(client(numbers) for _ in range(at_once)))

    asyncio.run(run())


# -- measuring ---------------------------------------------------------------------------------------------------------


def pragma(dbos: DBOS, statement: str) -> str:
    """What one of DBOS's own connections answers."""
    engine: sqlalchemy.Engine = dbos._sys_db.engine  # noqa: SLF001  (only to say, fairly, what is compared)
    with engine.connect() as connection:
        return str(connection.execute(sqlalchemy.text(f"PRAGMA {statement}")).scalar())


def measured(run: Callable[[int, int, str], None], sagas: int, at_once: int, *, prefix: str) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        run(sagas, at_once, prefix)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"[:300]}
    return {"rate": sagas / (time.perf_counter() - wall), "cpu_ms": (time.process_time() - cpu) / sagas * 1e3}


def main() -> None:
    directory, sagas, at_once, as_it_comes = (
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        sys.argv[4:] != ["wal"],
    )
    file = directory / "dbos.sqlite"
    if not as_it_comes:
        with closing(sqlite3.connect(file)) as connection:  # of the file, so all connections have it from now on
            connection.execute("PRAGMA journal_mode = WAL")
    config: DBOSConfig = {
        "name": "peer",
        "system_database_url": f"sqlite:///{file}",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
    logging.disable(logging.WARNING)
    dbos = DBOS(config=config)
    DBOS.launch()
    for way, run in (("threads", in_threads), ("coroutines", as_coroutines)):
        told = measured(run, sagas, at_once, prefix=way)
        pragmas = {name: pragma(dbos, name) for name in ("synchronous", "journal_mode")}
        print(json.dumps({"way": way, "as_it_comes": as_it_comes, "pragmas": pragmas, **told}), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
