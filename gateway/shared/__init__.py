"""A store that several gateways share, and what it may cost: no request, and no more than a short wait. Start with `store.py`."""

from .address import StoreAddress, address_of
from .redis_client import ClientMissing, RedisClient, connect
from .store import Script, SharedStore, StoreClient, StoreUnavailable

__all__ = [
    "ClientMissing",
    "RedisClient",
    "Script",
    "SharedStore",
    "StoreAddress",
    "StoreClient",
    "StoreUnavailable",
    "address_of",
    "connect",
]
