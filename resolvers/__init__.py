"""The reference graph, read side: one file per entity. Start with `product.py`; `query.py` is the root."""

from .query import Query
from .subscription import Subscription

__all__ = ["Query", "Subscription"]
