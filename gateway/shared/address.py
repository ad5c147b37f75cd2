"""Where a shared store is, read from a URL.

Invariants: the password is shown nowhere, in no `repr` and in no error; what a URL says besides user, password, host, port and
database is refused, so that no parameter in it can switch off the verification of a certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_IS_ENCRYPTED: Final = {"redis": False, "rediss": True}
_USUAL_PORT = 6379
_FORM = 'write it as "redis://user:password@host:6379/0", or rediss:// for TLS; user, password, port and database may be left out'


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAddress:
    """One server of Redis or Valkey, and one of its databases."""

    host: str
    port: int = _USUAL_PORT
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    is_encrypted: bool = False

    def __str__(self) -> str:
        """For people and logs: no user, no password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.is_encrypted else 'redis'}://{host}:{self.port}/{self.database}"


def address_of(url: str) -> StoreAddress:
    """Raises: ValueError that says what is wrong and repeats nothing of the URL but its scheme."""
    parts = _split(url)
    if parts.scheme not in _IS_ENCRYPTED:
        raise ValueError(f"its scheme is {parts.scheme!r}: {_FORM}; Valkey speaks the same")
    if parts.query or parts.fragment:
        raise ValueError(f"it has parameters, which nobody reads: {_FORM}")
    host, port = _place(parts)
    return StoreAddress(
        host=host,
        port=port,
        database=_database(parts.path),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        is_encrypted=_IS_ENCRYPTED[parts.scheme],
    )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError(f"it is no URL: {_FORM}") from None  # urlsplit repeats what it was given


def _place(parts: SplitResult) -> tuple[str, int]:
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # which repeats it too: an unescaped "/" makes a port of a password
        raise ValueError(
            f'its port is none: {_FORM}; in a password, "/", "?", "#", "@" and ":" are written as %2F, %3F, %23, %40 and %3A'
        ) from None
    if not host:
        raise ValueError(f"it names no host: {_FORM}")
    return host, _USUAL_PORT if port is None else port


def _database(path: str) -> int:
    number = path.removeprefix("/")
    if number and not (number.isascii() and number.isdigit() and len(number) <= 5):
        raise ValueError(f"its database is no number: {_FORM}")
    return int(number or 0)
