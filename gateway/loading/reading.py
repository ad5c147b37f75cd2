"""On whose behalf and until when something is read; and with whom its answer may therefore be shared.

Invariant: whatever can change an answer is in its scope: who asks, as far as the loader's sharing says, and every header that
goes with the call.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

from ..clock import Clock, Deadline, Seconds
from ..identity import Identity
from ..services import HttpClient, OnBehalf, Priority, ServiceClient, ServiceConfig, Sharing, told
from .recording import Recording
from .spent import Spent

REFRESH_WITHIN = Seconds(10.0)
"""Seconds that a refresh of a cached answer may take: nobody waits for it, so it may take as long as a query by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """On whose behalf and until when something is read."""

    identity: Identity
    deadline: Deadline
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Client headers that may be forwarded; never sent where the answer is shared as public."""
    may_retry: bool = True
    """False where whoever reads repeats by itself, as a saga's step does; or where nobody waits."""
    may_hedge: bool = True
    """False where the answer must be the service's newest, or where nobody waits."""
    skip_fresh: bool = False
    """After a write of this request, or where only the newest will do: ask the service even where an answer is cached."""
    priority: Priority = Priority.NORMAL
    faults: str | None = None
    """Faults of a game day, verified: what is read with them is neither shared nor cached."""
    recording: Recording | None = None
    """Where reads are written down, if the operation is explained or its answer may be kept."""
    spent: Spent = field(default_factory=Spent, compare=False)
    """Where calls are counted."""

    @property
    def asks_anew(self) -> bool:
        """Whether nothing that was read for somebody else, or before, will do."""
        return self.skip_fresh or self.faults is not None

    def http(self, client: ServiceClient) -> HttpClient:
        """For calls that no loader makes, on the same behalf; written down if the operation is explained."""
        on_behalf = OnBehalf(
            deadline=self.deadline,
            priority=self.priority,
            headers=sent_with(self, Sharing.IDENTITY, to=client.config),
            faults=self.faults,
        )
        call = client.call if self.recording is None else self.recording.calls_of(client)
        return client.http_of(on_behalf, call=self.spent.counting(call))

    def strongly(self) -> Reading:
        """The same for whom only what the service says now will do: nothing cached or shared, no second attempt elsewhere."""
        return replace(self, skip_fresh=True, may_hedge=False)

    def refreshing(self, clock: Clock) -> Reading:
        """The same on the same behalf, when nobody waits for the answer any more: dropped first, tried once, its own deadline."""
        deadline = Deadline.after(REFRESH_WITHIN, clock=clock)
        return replace(
            self,
            deadline=deadline,
            priority=Priority.SHEDDABLE,
            may_retry=False,
            may_hedge=False,
            recording=None,
            spent=Spent(),
        )


def scope_of(reading: Reading, sharing: Sharing, *, sent: tuple[tuple[str, str], ...]) -> Hashable:
    """With whom an answer may be shared, as part of its cache key: whatever was `sent` may have changed the answer."""
    if sharing is Sharing.PUBLIC:
        return None
    if sharing is Sharing.TENANT:
        return (reading.identity.tenant, sent)
    return (reading.identity.tenant, reading.identity.subject, reading.identity.scopes, sent)


def on_behalf_of(
    reading: Reading, sharing: Sharing, *, sent: tuple[tuple[str, str], ...], generation: int
) -> dict[str, Any]:
    """What a request says of who asks: and with whom its answer may be shared while it is under way."""
    return {
        "headers": sent,
        "is_personal": bool(sent),
        "deadline": reading.deadline,
        "may_retry": reading.may_retry,
        "may_hedge": reading.may_hedge,
        "priority": reading.priority,
        "faults": reading.faults,
        "share": None if reading.asks_anew else (sharing, scope_of(reading, sharing, sent=sent), generation),
    }


def sent_with(reading: Reading, sharing: Sharing, *, to: ServiceConfig) -> tuple[tuple[str, str], ...]:
    """What goes with a call of its caller: the client headers that the service declares, and what it is told of who that is.

    Nothing where the answer is public, and no more than the tenant beside the headers where it is a tenant's, so that sharing it is
    safe by construction. A client's header in the place of one that tells who is calling is dropped.
    """
    if sharing is Sharing.PUBLIC:
        return ()
    forwards, telling = to.forwards, to.identity_headers
    if not telling:
        return tuple((name, value) for name, value in reading.headers if forwards(name.lower()))
    taken = {each.name for each in telling}
    given = ((name, value) for name, value in reading.headers if forwards(name.lower()) and name.lower() not in taken)
    return (*given, *told(reading.identity, telling, sharing))
