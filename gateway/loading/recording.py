"""What was read for one operation, written down while it runs: for a client that asked to have its answer explained, and for caches
on the way of an answer by GET.

Invariant: bounded; nothing of a payload or a key is in it. State: of one request. Other operations have none, and pay nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from ..clock import NEVER, Clock, Instant, Seconds
from ..errors import GatewayError
from ..services import Handler, ServiceClient, ServiceRequest, ServiceResponse, Sharing
from .loader import Loader, Pages

MAX_READS = 1_000
"""Reads that are written down; of further ones there is a number."""

ReadKind = Literal["loader", "listing", "http"]
"""A batch of a loader, a page of a listing, a call that a resolver makes by `ctx.http`."""


@dataclass(slots=True, kw_only=True)
class Read:
    """One batch of a loader, one page of a listing, or one call by hand."""

    kind: ReadKind
    service: str
    endpoint: str
    """ "GET /stock", never with an id in it."""
    keys: int = 1
    """That were asked for in this batch."""
    began: Instant
    fresh: Seconds = NEVER
    """For how long an answer is declared to be fresh; 0 where only the service's newest will do."""
    sharing: Sharing = Sharing.IDENTITY
    oldest: Seconds = Seconds(0.0)
    """Age of the oldest of what was served without asking."""
    cached: int = 0
    """Of these, served without asking."""
    asked: int = 0
    """Of these, asked for in the call; 0: no call was made."""
    tried: list[str] = field(default_factory=list[str])
    """Addresses that the call was sent to, hedges and retries included. None though it was answered: an identical call of somebody
    else's was shared."""
    waited: list[Seconds] = field(default_factory=list[Seconds])
    """How long its attempts waited for permits, of those that had to."""
    outcome: str = "under way"
    """Then "ok", "cancelled", or the code of the failure."""
    took: Seconds = Seconds(0.0)


class Recording:
    """The reads of an operation, in the order in which they began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.began = clock.now()
        self.reads: list[Read] = []
        self.beyond = 0

    def __repr__(self) -> str:
        return f"<Recording of {len(self.reads)} reads>"

    def read(
        self, declared: Loader[Any] | Pages[Any], keys: int, *, asks_anew: bool = False
    ) -> AbstractContextManager[Read]:
        """A read that begins with the body and ends with it."""
        return self._lasting(
            Read(
                kind="loader" if isinstance(declared, Loader) else "listing",
                service=declared.service,
                endpoint=declared.endpoint,
                keys=keys,
                began=self._clock.now(),
                fresh=NEVER if asks_anew else declared.fresh,
                sharing=declared.sharing,
            )
        )

    def calls_of(self, client: ServiceClient) -> Handler:
        """The same as `client.call`, each call written down."""

        async def call(request: ServiceRequest) -> ServiceResponse:
            read = Read(kind="http", service=client.name, endpoint=request.endpoint, asked=1, began=self._clock.now())
            with self._lasting(read):
                return await client.call(request, tried=read.tried, waited=read.waited)

        return call

    def elapsed(self) -> Seconds:
        """Since the operation began."""
        return Seconds(self._clock.now() - self.began)

    @contextmanager
    def _lasting(self, read: Read) -> Generator[Read]:
        if len(self.reads) < MAX_READS:
            self.reads.append(read)
        else:
            self.beyond += 1
        ended = "cancelled"
        try:
            yield read
            ended = "ok"
        except GatewayError as error:
            ended = error.code
            raise
        finally:
            read.took = Seconds(self._clock.now() - read.began)
            if read.outcome == "under way":  # else a failure that is told key by key
                read.outcome = ended
