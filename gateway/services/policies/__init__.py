"""What every call to a service goes through; one file a policy, the order in `stack.py`."""

from .attempt_timeout import attempt_timeout
from .breaker import Breaker, BreakerSettings, BreakerState, breaker
from .bulkhead import Bulkhead, BulkheadSettings, bulkhead
from .classify import classify
from .observe import observe
from .retry import Retry, retry

__all__ = [
    "Breaker",
    "BreakerSettings",
    "BreakerState",
    "Bulkhead",
    "BulkheadSettings",
    "Retry",
    "attempt_timeout",
    "breaker",
    "bulkhead",
    "classify",
    "observe",
    "retry",
]
