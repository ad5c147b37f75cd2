"""Who may enter: a permit for an operation, a short wait for one, or a clear refusal."""

from .concurrency import Admission
from .pressure import Pressure
from .rank import Rank

__all__ = ["Admission", "Pressure", "Rank"]
