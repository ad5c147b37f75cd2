"""What an attempt says about its service: three outcomes, not two.

Invariant: a local refusal, a cancellation and a timeout that rang late say nothing of the service; only what the service did,
or failed to do in a fair time, counts.
Source: Netflix concurrency-limits (success, dropped, ignored).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from ..clock import Seconds
from ..errors import (
    Blame,
    DeadlineExceeded,
    ServiceBreakerOpen,
    ServiceBulkheadFull,
    ServiceContractBroken,
    ServiceTimeout,
    ServiceUnavailable,
)
from .request import ServiceResponse

FAIR_TIME = Seconds(0.1)
"""A service cut off by its caller's deadline sooner than this has not failed: else a client with tiny deadlines opens
the breaker for everybody. It is the lower clamp of the attempt timeout in the design."""

LATE = Seconds(0.05)
"""A timer that rings later than this, and than a tenth of what was waited for, rang on a late loop: an answer may have lain unread
all that time. 50 ms: more than a turn of a busy loop that still keeps up."""
_LATE_SHARE = 0.1


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


SUCCESS, FAILURE, IGNORED = Outcome
"""By a name of the module's: a member of an enum's costs four times as much to look up, and these are on every call's path."""


class AnsweredUnavailable(ServiceUnavailable):
    """The service answered, with "not now" (5xx, 429): its answer is kept for those who want to read it."""

    def __init__(
        self,
        message: str,
        *,
        service: str,
        response: ServiceResponse,
        retry_after: Seconds | None = None,
        about_caller: bool = False,
    ) -> None:
        super().__init__(message, service=service, http_status=response.status, retry_after=retry_after)
        self.response = response
        self.about_caller = about_caller
        """It refused one caller's quota, which says nothing of how the service is."""


class DeadlineCut(DeadlineExceeded):
    """The operation's deadline cut an attempt that had been sent; nobody here can tell whether it was applied."""

    def __init__(self, message: str, *, service: str, waited: Seconds, is_late: bool = False) -> None:
        super().__init__(message, service=service)
        self.waited = waited
        self.is_late = is_late
        """The gateway noticed it late, and may have left an answer unread."""


class LateTimeout(ServiceTimeout):
    """An attempt's timeout rang late: the gateway was busy, and may have left an answer unread. For a client it is a timeout."""

    blame: ClassVar[Blame] = Blame.GATEWAY


def rang_late(elapsed: Seconds, *, waited: Seconds) -> bool:
    """Whether a timer that was to ring after `waited`, and did after `elapsed`, tells of our loop and not of the service."""
    return elapsed - waited > max(LATE, _LATE_SHARE * waited)


def is_our_lateness(error: BaseException) -> bool:
    """Whether nobody may learn from the error, nor from the time that it took."""
    return isinstance(error, LateTimeout) or (isinstance(error, DeadlineCut) and error.is_late)


def outcome_of(error: BaseException) -> Outcome:
    """FAILURE: no answer, or "not now". SUCCESS: an answer, though one we cannot use. IGNORED: everything else."""
    match error:
        case AnsweredUnavailable(about_caller=True) | LateTimeout() | DeadlineCut(is_late=True):
            return Outcome.IGNORED
        case ServiceUnavailable() | ServiceTimeout():
            return Outcome.FAILURE
        case DeadlineCut(waited=waited) if waited >= FAIR_TIME:
            return Outcome.FAILURE
        case ServiceContractBroken():
            return Outcome.SUCCESS
        case _:
            return Outcome.IGNORED


def is_local_refusal(error: BaseException) -> bool:
    """Whether we refused by ourselves, before anything was sent."""
    return isinstance(error, ServiceBreakerOpen | ServiceBulkheadFull)
