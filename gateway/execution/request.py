"""What the edge hands to execution: a GraphQL request with the caller, the deadline and the trace it belongs to.

A msgspec Struct: a frozen dataclass of so many fields takes ten times as long to build (4 µs).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal

import msgspec

from ..clock import Seconds
from ..identity import ANONYMOUS, Identity
from ..services import Priority
from .on_error import OnError

Dialect = Literal["v0.2", "20220824"]
"""How parts of an answer are written: as today's proposal of incremental delivery has it, or as that of 2022."""


class GraphQLRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Text is untrusted; identity is not."""

    text: str
    operation_name: str | None = None
    variables: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    identity: Identity = ANONYMOUS
    client: Hashable = ""
    """Who takes turns with other clients when operations have to wait: a known caller, or where an anonymous one calls from."""
    timeout: Seconds | None = None
    """What the client asked for; clamped by the settings."""
    idempotency_key: str | None = None
    priority: Priority = Priority.NORMAL
    """Who is dropped first when a service has too much; travels with every call of the operation."""
    faults: str | None = None
    """Faults of a game day for the operation's reads, already verified. The steps of a saga never meet them."""
    headers: tuple[tuple[str, str], ...] = ()
    """Client headers that may be forwarded to services."""
    trace: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """W3C headers of the caller's span."""
    introspects: bool = False
    """Who asks may ask for the schema, also where nobody else may."""
    is_explained: bool = False
    """The answer says in `extensions.explain` how it came about; who asks for it may know."""
    tells_cost: bool = False
    """The answer says in `extensions.cost` what it was estimated to cost."""
    on_error: OnError = OnError.PROPAGATE
    tells_freshness: bool = False
    """The answer says for how long it may be kept."""
    last_event_id: str | None = None
    """The last event that the client has seen of a subscription that it begins anew."""
    only_queries: bool = False
    """A GET: anything but a query is refused."""
    incremental: Dialect | None = None
    """How the client reads an answer that comes in parts; None: it has not said, and gets the newest."""

    def __repr__(self) -> str:
        """Nothing of what it carries: text, variables and headers may hold secrets."""
        return f"<GraphQLRequest of {self.identity.tenant}/{self.identity.subject}, {len(self.text)} characters>"
