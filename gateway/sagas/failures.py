"""What an exception of a step says about the world: `Failure`, the border where foreign exceptions become ours.

Invariant: only `ServiceError.applied is False` is taken for "certainly not applied"; whatever we do not know is unknown.
"""

from __future__ import annotations

from ..errors import GatewayError, InternalError, ServiceError, ServiceTimeout
from .core import Failure
from .known import Reject

TIMED_OUT = Failure(ServiceTimeout.code)
"""The attempt's own timeout cut it."""


def failure_of(error: Exception) -> Failure:
    """A rejection counts here only for an undo, which nobody may reject."""
    match error:
        case Reject():
            return Failure(error.code, applied_unknown=False)
        case ServiceError():
            return Failure(error.code, applied_unknown=error.applied is not False, is_retryable=error.retryable)
        case GatewayError():
            return Failure(error.code, is_retryable=error.retryable)
        case _:
            return Failure(InternalError.code)
