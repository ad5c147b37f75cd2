"""Who may enter: a permit for an operation, a short wait for one, or a clear refusal."""

from .client_classes import ClientClass, ClientClasses, Named
from .clients import WITHOUT_LIMITS, Clients, LimitedClients, Visit
from .concurrency import Admission
from .memory_rates import MemoryRates
from .pressure import Pressure
from .rank import Rank
from .rate import RateLimit
from .shared_rates import SharedRates, WhenUnreachable

__all__ = [
    "WITHOUT_LIMITS",
    "Admission",
    "ClientClass",
    "ClientClasses",
    "Clients",
    "LimitedClients",
    "MemoryRates",
    "Named",
    "Pressure",
    "Rank",
    "RateLimit",
    "SharedRates",
    "Visit",
    "WhenUnreachable",
]
