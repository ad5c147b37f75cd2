"""Redis or Valkey, through redis-py: an optional extra, imported only where a store is named. The only module that speaks it.

Invariants: at most `MAX_CONNECTIONS` connections; nothing is opened before the first command; nothing is repeated here (the
guard in `store.py` decides). Values are bytes. Works with Redis from 2.6, scripts that write by the server's clock from 5, and with
every Valkey.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..clock import Seconds
from .address import StoreAddress
from .store import GIVEN_UP_AFTER, Script

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_CONNECTIONS = 8
"""Connections of one process. 8: each carries a command at a time, some 2 000 a second; a hundred workers have 800 of the 10 000
that a server takes unless told otherwise."""


class ClientMissing(Exception):
    """The extra is not installed."""


def connect(address: StoreAddress, *, ca_file: str | None = None) -> RedisClient:
    """A client that has not connected yet. Raises: ClientMissing; OSError for certificates that cannot be read."""
    try:
        from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import NoScriptError
    except ImportError as error:
        raise ClientMissing("its client is not installed: pip install 'sagaql[redis]'") from error
    encryption: dict[str, Any] = {}
    if address.is_encrypted:
        ssl.create_default_context(cafile=ca_file)  # to find out now, not with the first command
        encryption = {"ssl_ca_certs": ca_file, "ssl_check_hostname": True}
    pool = BlockingConnectionPool(
        max_connections=MAX_CONNECTIONS,
        timeout=GIVEN_UP_AFTER,
        connection_class=SSLConnection if address.is_encrypted else Connection,
        host=address.host,
        port=address.port,
        db=address.database,
        username=address.user,
        password=address.password,
        protocol=2,  # no HELLO, which older servers and proxies do not know
        driver_info=None,  # nor a question more for each connection
        socket_timeout=GIVEN_UP_AFTER,
        socket_connect_timeout=GIVEN_UP_AFTER,
        retry=Retry(NoBackoff(), 0),
        **encryption,
    )
    return RedisClient(Redis.from_pool(pool), address, unknown=NoScriptError)


class RedisClient:
    """A `StoreClient`."""

    def __init__(self, redis: Redis, address: StoreAddress, *, unknown: type[Exception]) -> None:
        """`unknown`: what is raised for a script that the server does not know."""
        self._redis = redis
        self._address = address
        self._unknown = unknown

    def __repr__(self) -> str:
        return f"<RedisClient {self._address}>"

    async def ping(self) -> None:
        await self._redis.ping()

    async def get(self, key: str, *, at_most: int, keep: Seconds) -> bytes | None:
        """One round trip: GETRANGE brings no more than is asked for, whatever is there; what is not there is empty."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.getrange(key, 0, at_most - 1)
            pipeline.pexpire(key, _milliseconds(keep))
            value, _ = await pipeline.execute()
        return value or None

    async def set(self, key: str, value: bytes, *, keep: Seconds) -> None:
        await self._redis.set(key, value, px=_milliseconds(keep))

    async def delete(self, key: str) -> None:
        await self._redis.delete(key)

    async def run(self, script: Script, key: str, *arguments: str) -> Sequence[int | bytes]:
        """One round trip; two where the server does not know the script yet, or has forgotten it with a restart."""
        try:
            returned: Sequence[int | bytes] = await self._redis.evalsha(script.sha1, 1, key, *arguments)
        except self._unknown:
            returned = await self._redis.eval(script.text, 1, key, *arguments)
        return returned

    async def close(self) -> None:
        await self._redis.aclose()


def _milliseconds(seconds: Seconds) -> int:
    return max(1, round(seconds * 1000))
