"""Classify: which answers mean "not now".

Invariant: above this line a response is an answer (below 500 and not 429), and "not now" is an error that the other
policies see. `applied` stays None even with a Retry-After: a proxy may say 503 after the service has done the work.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

from ...clock import Clock, Seconds, utc
from ..outcome import AnsweredUnavailable
from ..request import Handler, Policy, ServiceRequest, ServiceResponse

_TOO_MANY_REQUESTS = 429
_DELAY_SECONDS = re.compile(r"[0-9]{1,9}")


def classify(service: str, clock: Clock) -> Policy:
    """5xx and 429 are raised as ServiceUnavailable, with their answer; everything else passes."""

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            response = await attempt(request)
            if response.status < 500 and response.status != _TOO_MANY_REQUESTS:
                return response
            raise AnsweredUnavailable(
                f"{service} answered {response.status}",
                service=service,
                response=response,
                about_caller=request.is_personal and response.status == _TOO_MANY_REQUESTS,
                retry_after=retry_after(response.headers.get("retry-after"), now=utc(clock.wall())),
            )

        return handle

    return policy


def retry_after(value: str | None, *, now: datetime) -> Seconds | None:
    """Seconds of a Retry-After header, given as a number or as an HTTP date; None if absent or neither."""
    if value is None:
        return None
    text = value.strip()
    if _DELAY_SECONDS.fullmatch(text):
        return Seconds(float(text))
    try:
        return Seconds(max(0.0, (parsedate_to_datetime(text) - now).total_seconds()))
    except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone, which HTTP does not allow
        return None
