"""Who a trusted proxy says is calling: the proxy shows a certificate, and its headers are believed because of it.

Invariants: headers of these names reach nothing behind the front door, whoever sent them: believed, they have become an `Identity`
beside the request; else they are dropped as if not there. So no other reader can take them for true, and no service is sent them.
Whether the peer is a proxy is told by TLS alone, for the connection that the request came by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from ...errors import GatewayError, RequestError, Unauthenticated
from ...identity import Authenticator, Identity, known
from ...services.headers import require_usable
from ...telemetry import Metrics
from ..client_headers import ClientHeaders

PEER = "sagaql.peer"
"""Under this name in the `extensions` of an ASGI scope: the names of the verified certificate that the peer has shown."""

_INTRODUCED = "sagaql.introduced"
"""Under this name, ours: the identity that a proxy tells, or the error that its headers are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxy:
    """Whose word is taken, and for what."""

    names: frozenset[str]
    """Of certificates: one of those that the peer's certificate has must be here, as it is written there."""
    subject_header: str
    tenant_header: str | None = None
    scopes_header: str | None = None
    tenant: str = "public"
    """Without a tenant's header."""
    metrics: Metrics | None = field(default=None, compare=False, repr=False)
    headers: frozenset[bytes] = field(init=False)
    """The names that are taken from nobody else, in lower case."""

    def __post_init__(self) -> None:
        named = [each for each in (self.subject_header, self.tenant_header, self.scopes_header) if each is not None]
        if not self.names or not all(self.names):
            raise ValueError("names is empty: name the certificates of the proxies, else nobody is believed")
        if len(set(named)) < len(named):
            raise ValueError("two of the headers have one name: each says one thing")
        for name in named:
            require_usable(name)
        object.__setattr__(self, "headers", frozenset(name.encode("latin-1") for name in named))

    def introduced(self, scope: Scope) -> Scope:
        """The same request without the headers; with the identity that they tell, where the peer is a proxy."""
        told = [each for each in scope["headers"] if each[0].lower() in self.headers]
        if not told:
            return scope
        kept = [each for each in scope["headers"] if each[0].lower() not in self.headers]
        extensions: dict[str, Any] = {**(scope.get("extensions") or {})}
        if self.names.intersection(extensions.get(PEER, ())):
            extensions[_INTRODUCED] = self._identity(told)
        return {**scope, "headers": kept, "extensions": extensions}

    def _identity(self, told: Sequence[tuple[bytes, bytes]]) -> Identity | GatewayError | None:
        """None: the proxy says that it does not know the caller."""
        try:
            values = self._values(told)
            if not (subject := values.get(self.subject_header)):
                return None
            tenant = values.get(self.tenant_header or "") or self.tenant
            scopes = values.get(self.scopes_header or "", "").replace(",", " ").split()
            identity = known(tenant, subject, frozenset(scopes))
        except ValueError:
            self._count("refused_proxy")
            return Unauthenticated("the proxy in front of the gateway says who is calling in a way that cannot be read")
        self._count("proxy")
        return identity

    def _values(self, told: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
        """Raises: ValueError for what is no UTF-8, and for a header that is there twice: one of them may be the client's."""
        values = {name.decode("latin-1").lower(): value.decode().strip() for name, value in told}
        if len(values) < len(told):
            raise ValueError("a header is there twice")
        return values

    def _count(self, outcome: str) -> None:
        if self.metrics is not None:
            self.metrics.authentications.labels(outcome).inc()


async def caller_of(scope: Scope, headers: Mapping[str, str], authenticator: Authenticator) -> Identity:
    """Who is calling: whom a trusted proxy introduces, else whose credentials stand in `headers`.

    Raises: Unauthenticated, AuthenticationUnavailable; RequestError for two Authorization headers: whoever comes behind us might
    take the other one.
    """
    introduced: Identity | GatewayError | None = (scope.get("extensions") or {}).get(_INTRODUCED)
    if isinstance(introduced, GatewayError):
        raise introduced
    if introduced is not None:
        return introduced
    if "authorization" in headers and len(ClientHeaders(scope["headers"]).all_of("authorization")) > 1:
        raise RequestError("there are two Authorization headers: send one")
    return await authenticator.authenticate(headers)
