"""What every call to a service goes through; one file a policy, the order in `stack.py`."""

from .attempt_timeout import attempt_timeout
from .balance import balance
from .breaker import Breaker, Breakers, BreakerSettings, BreakerState, breaker
from .bulkhead import Bulkhead, BulkheadSettings, bulkhead
from .classify import classify
from .coalesce import Flights, coalesce
from .faults import FaultSettings, faults
from .hedge import HedgeSettings, hedge
from .observe import observe
from .retry import Retry, retry

__all__ = [
    "Breaker",
    "BreakerSettings",
    "BreakerState",
    "Breakers",
    "Bulkhead",
    "BulkheadSettings",
    "FaultSettings",
    "Flights",
    "HedgeSettings",
    "Retry",
    "attempt_timeout",
    "balance",
    "breaker",
    "bulkhead",
    "classify",
    "coalesce",
    "faults",
    "hedge",
    "observe",
    "retry",
]
