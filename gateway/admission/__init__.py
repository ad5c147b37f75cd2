"""Who may enter: a permit for an operation, or a clear refusal. Rate, priority and cost come beside it."""

from .concurrency import Admission

__all__ = ["Admission"]
