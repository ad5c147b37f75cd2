"""The settings of one service, as plain values: whoever reads files and environments builds these.

Invariant: a value that exists is a value that can work; impossible ones fail when built, naming the field and the
number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import SplitResult, urlsplit

from ..clock import Seconds
from .budget import BudgetSettings
from .headers import SetHeader, names_in, require_forwardable, require_settable
from .health import HealthSettings
from .identity_headers import IdentityHeader, require_tellable
from .instances import BalanceSettings
from .policies.breaker import BreakerSettings
from .policies.bulkhead import BulkheadSettings
from .policies.faults import FaultSettings
from .policies.hedge import HedgeSettings
from .policies.retry import Retry

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """How one service is called."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    instances: tuple[str, ...]
    """Where it is: scheme, host, port and perhaps a path that all its endpoints share. Credentials and queries are
    refused."""
    fallback: tuple[str, ...] = ()
    """Instances of another region: used when all others were tried, or too few of them are well."""
    coalesce: bool = True
    """Whether identical reads under way are one call."""
    retry: Retry = field(default_factory=Retry)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    hedge: HedgeSettings = field(default_factory=HedgeSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    bulkhead: BulkheadSettings = field(default_factory=BulkheadSettings)
    balance: BalanceSettings = field(default_factory=BalanceSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    faults: FaultSettings = field(default_factory=FaultSettings)
    attempt_timeout: Seconds = Seconds(2.0)
    """Seconds that one attempt may take at most, connecting included."""
    attempt_timeout_floor: Seconds = Seconds(0.25)
    """Reads are cut after three times their endpoint's p99, but not sooner than this. 0.25 s: a connection may take as
    long. The same as `attempt_timeout`, or more: nothing is learnt."""
    connect_timeout: Seconds = Seconds(0.25)
    """Seconds for name, TCP and TLS. 0.25 s: ten round trips across a continent; a host that needs more is not
    there."""
    ca_file: str | None = None
    """Certificates (PEM) that an https address is verified against; None: the system's. There is no way to verify nothing."""
    max_response: int = 8 * MEBIBYTE
    """Bytes of a decompressed body beyond which an answer is given up. 8 MiB: a batch of 200 keys at 40 KiB each."""
    send_headers: tuple[str, ...] = ()
    """Client headers that are forwarded to this service, in lower case: names, or beginnings as `x-tenant-*`. None: what is not
    declared is not leaked. `headers.py` has the rules."""
    set_headers: tuple[SetHeader, ...] = ()
    """Constants that go with every attempt, health checks included: the gateway's own key to the service, for example."""
    identity_headers: tuple[IdentityHeader, ...] = ()
    """Headers that tell the service who is calling. None: what is not declared is not told. `identity_headers.py` has the rules."""

    def __post_init__(self) -> None:
        if not self.instances:
            raise ValueError("instances is empty: name at least one address, as http://host:port")
        for address in (*self.instances, *self.fallback):
            _require_http(address)
        if len({*self.instances, *self.fallback}) != len(self.instances) + len(self.fallback):
            raise ValueError("instances and fallback name an address twice: each is there once")
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise ValueError(f"ca_file is {self.ca_file!r}: there is no such file")
        require_forwardable(self.send_headers)
        require_settable(self.set_headers, forwarded=self.send_headers)
        constant = [each.name for each in self.set_headers]
        require_tellable(self.identity_headers, forwarded=self.send_headers, constant=constant)
        for name in ("attempt_timeout", "connect_timeout", "max_response"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be more than 0")

    @property
    def forwards(self) -> Callable[[str], bool]:
        """Whether the client's header of a name, in lower case, goes to this service."""
        return names_in(self.send_headers)


def changes(service: str, old: ServiceConfig, new: ServiceConfig) -> list[str]:
    """What differs, a sentence each: "catalog: bulkhead.limit 64 → 32". Values of `set_headers` are never shown."""
    return [
        f"{service}: {name} {_difference(before, after)}"
        for (name, before), (_, after) in zip(_leaves(old), _leaves(new), strict=True)
        if before != after
    ]


def _leaves(table: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for each in fields(table):
        value = getattr(table, each.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{each.name}.")
        else:
            yield f"{prefix}{each.name}", value


def _difference(before: object, after: object) -> str:
    if (shown := _shown(before)) == _shown(after):  # a secret's: its text is not for logs
        return f"{shown}: another value"
    return f"{shown} → {_shown(after)}"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _require_http(url: str) -> None:
    parts = _parts(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("url is not an address of a service: write it as http://host:port")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(
            "url holds other than plain characters: write a host in punycode (xn--...), a path percent-encoded"
        )
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("url holds credentials, a query or a fragment: it may hold scheme, host, port and path only")


def _parts(url: str) -> SplitResult | None:
    """The url taken apart; None where its brackets, its port or a label of its host cannot be."""
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0
    except ValueError:
        return None
    return parts if has_port and all(len(label) < 64 for label in (parts.hostname or "").split(".")) else None
