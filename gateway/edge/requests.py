"""What a client asks for, whatever the transport: parameters and headers become a `GraphQLRequest`.

Invariant: nothing that the client wrote goes on unless it is declared and a header may hold it; a priority above normal needs a
scope, so does an explanation; faults are verified or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from starlette.types import Scope

from ..clock import Seconds
from ..errors import Forbidden, PersistedQueryNotFound, RequestError, Unauthenticated
from ..execution import GraphQLRequest, OnError
from ..identity import Identity
from ..services import Priority
from ..services.headers import is_sendable, named_by_connection
from .client_headers import ClientHeaders
from .documents import KnownDocuments
from .game_day import HEADER, FaultsHeader

DEADLINE_HEADER = "x-request-timeout-ms"
"""How long the client will wait; the same header tells services what is left."""

PRIORITY_HEADER = "x-request-priority"
"""How important the operation is to the client; the same header tells services."""

_TRACE_HEADERS = ("traceparent", "tracestate")
_FAULTS_HEADER = HEADER.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Reads requests for one application."""

    forwards: Callable[[str], bool] = frozenset[str]().__contains__
    """Whether a client header, named in lower case, may go to a service."""
    critical_scope: str = "critical"
    explain_scope: str | None = "explain"
    introspection_scope: str | None = None
    faults: FaultsHeader | None = None
    documents: KnownDocuments = KnownDocuments()
    http_caching: bool = True
    """Whether answers by GET say for how long they may be kept."""

    def read(
        self,
        parameters: Mapping[str, Any],
        headers: ClientHeaders,
        *,
        identity: Identity,
        peer: str = "",
        only_queries: bool = False,
    ) -> GraphQLRequest:
        """`peer`: where it comes from.

        Raises: RequestError for what is no request, NoGameDay and FaultsRefused for faults that are not to be had.
        """
        extensions = optional(parameters, "extensions", dict, "an object") or {}
        may_be_critical = identity.has(self.critical_scope)
        return GraphQLRequest(
            text=self.documents.text(parameters, extensions),
            operation_name=optional(parameters, "operationName", str, "a string"),
            variables=optional(parameters, "variables", dict, "an object") or {},
            identity=identity,
            client=client_of(identity, peer),
            timeout=asked_timeout(headers.get(DEADLINE_HEADER)),
            idempotency_key=headers.get("idempotency-key"),
            priority=allowed_priority(headers.get(PRIORITY_HEADER), may_be_critical=may_be_critical),
            faults=self._plan(headers, identity),
            headers=self._forwardable(headers),
            trace={name: headers[name] for name in _TRACE_HEADERS if name in headers},
            tells_cost=bool(optional(extensions, "cost", bool, "true or false")),
            on_error=_on_error(parameters),
            introspects=self.introspection_scope is not None and identity.has(self.introspection_scope),
            is_explained=self._is_explained(extensions, identity),
            tells_freshness=only_queries and self.http_caching,
            last_event_id=headers.get("last-event-id"),
            only_queries=only_queries,
        )

    async def read_learnt(
        self,
        unknown: PersistedQueryNotFound,
        parameters: Mapping[str, Any],
        headers: ClientHeaders,
        *,
        identity: Identity,
        peer: str = "",
        only_queries: bool = False,
    ) -> GraphQLRequest:
        """`read` once more, after it raised `unknown`, with what other gateways know. Raises: that, and as `read` does.

        Apart from it, so that a request whose text is known here waits for nothing.
        """
        if not await self.documents.learn(optional(parameters, "extensions", dict, "an object") or {}):
            raise unknown
        return self.read(parameters, headers, identity=identity, peer=peer, only_queries=only_queries)

    def _is_explained(self, extensions: Mapping[str, Any], identity: Identity) -> bool:
        """Raises: RequestError, Unauthenticated, Forbidden."""
        if not optional(extensions, "explain", bool, "true or false"):
            return False
        if self.explain_scope is None or identity.has(self.explain_scope):
            return True
        if identity.is_anonymous:
            raise Unauthenticated(
                f"to have an answer explained, send a token that has the scope {self.explain_scope!r}"
            )
        raise Forbidden(f"to have an answer explained needs the scope {self.explain_scope!r}")

    def _plan(self, headers: ClientHeaders, identity: Identity) -> str | None:
        """The faults that were asked for, verified."""
        return None if self.faults is None else self.faults.plan(headers.all_of(_FAULTS_HEADER), tenant=identity.tenant)

    def _forwardable(self, headers: ClientHeaders) -> tuple[tuple[str, str], ...]:
        """What may go on. Raises: RequestError for a value that would break a service's request apart."""
        wanted = [each for each in headers.pairs if self.forwards(each[0])]
        if not wanted:
            return ()
        of_this_connection = named_by_connection(headers.all_of("connection"))
        kept = [each for each in wanted if each[0] not in of_this_connection]
        for name, value in kept:
            if not is_sendable(name, value):
                raise RequestError(f"the header {name} holds a character that no header may hold")
        return tuple(kept)


def peer_of(scope: Scope) -> str:
    """The address that a request comes from; a proxy's, behind one."""
    client = scope.get("client")
    return client[0] if client else ""


def client_of(identity: Identity, peer: str) -> Hashable:
    """Who takes turns with others, and has limits: a known caller, or the place that an anonymous one calls from.

    Of an IPv6 address the first half: the rest is whatever its owner likes.
    """
    if not identity.is_anonymous:
        return identity.tenant, identity.subject
    if ":" not in peer:
        return peer
    try:
        address = IPv6Address(peer)
    except ValueError:
        return peer
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))


def asked_timeout(header: str | None) -> Seconds | None:
    """Seconds of the deadline header, given in milliseconds. Raises: RequestError for anything but a positive number."""
    if header is None:
        return None
    if not is_number(header) or len(header) > 9 or int(header) == 0:
        raise RequestError(f"{DEADLINE_HEADER} must be a number of milliseconds above zero")
    return Seconds(int(header) / 1000)


def allowed_priority(header: str | None, *, may_be_critical: bool) -> Priority:
    """What the client asks for; one that may not be critical is treated as normal, so that it may send the same to every gateway.

    Raises: RequestError for a word that is none.
    """
    if header is None:
        return Priority.NORMAL
    asked = next((each for each in Priority if each.word == header.strip().lower()), None)
    if asked is None:
        raise RequestError(f"{PRIORITY_HEADER} must be one of {', '.join(each.word for each in Priority)}")
    return asked if may_be_critical or asked is not Priority.CRITICAL else Priority.NORMAL


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _on_error(parameters: Mapping[str, Any]) -> OnError:
    word = parameters.get("onError")
    if word is None:
        return OnError.PROPAGATE
    if word not in _WORDS:
        raise RequestError(f"onError must be one of {', '.join(OnError)}")
    return OnError(word)


def optional(parameters: Mapping[str, Any], name: str, kind: type[Any], what: str) -> Any:
    value = parameters.get(name)
    if value is not None and not isinstance(value, kind):
        raise RequestError(f"{name} must be {what}")
    return value or None


_WORDS = tuple(OnError)
"""A tuple: a client may send what has no hash."""
