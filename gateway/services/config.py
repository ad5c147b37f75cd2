"""The settings of one service, as plain values: whoever reads files and environments builds these.

Invariant: a value that exists is a value that can work; impossible ones fail when built, naming the field and the
number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from ..clock import Seconds
from .policies.breaker import BreakerSettings
from .policies.bulkhead import BulkheadSettings
from .policies.retry import Retry

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """How one service is called."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    url: str
    """Where it is: scheme, host, port and perhaps a path that all its endpoints share. Credentials and queries are
    refused."""
    retry: Retry = field(default_factory=Retry)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    bulkhead: BulkheadSettings = field(default_factory=BulkheadSettings)
    attempt_timeout: Seconds = Seconds(2.0)
    """Seconds that one attempt may take, connecting included. 2 s: the upper clamp of three times a p99."""
    connect_timeout: Seconds = Seconds(0.25)
    """Seconds for name, TCP and TLS. 0.25 s: ten round trips across a continent; a host that needs more is not
    there."""
    max_response: int = 8 * MEBIBYTE
    """Bytes of a decompressed body beyond which an answer is given up. 8 MiB: a batch of 200 keys at 40 KiB each."""
    send_headers: tuple[str, ...] = ()
    """Names of client headers that are forwarded to this service. None: what is not declared is not leaked."""

    def __post_init__(self) -> None:
        _require_http(self.url)
        for name in ("attempt_timeout", "connect_timeout", "max_response"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be more than 0")


def _require_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("url is not an address of a service: write it as http://host:port")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("url holds credentials, a query or a fragment: it may hold scheme, host, port and path only")
