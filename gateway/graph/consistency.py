"""How new an answer must be: as new as the loader's declaration says, or the service's own of this moment.

A strong read is served by no cache, shares no call that began before it was asked for, and is not tried at a second instance
meanwhile, which may lag. It has none of the declared degradations: what cannot be known now is null with an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeVar

import strawberry
from strawberry.schema_directive import Location

from ..loading import Loader, Loads, Page, Pages

V = TypeVar("V")

Consistency = Literal["eventual", "strong"]


@strawberry.enum(description="How new a field's answer is.")
class ConsistencyLevel(Enum):
    EVENTUAL = strawberry.enum_value(
        "EVENTUAL", description="It may be as old as caches keep it; what says nothing is this."
    )
    STRONG = strawberry.enum_value(
        "STRONG", description="The service was asked for this answer alone; nothing older or other stands in."
    )


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION], name="consistency", description="How new the field's answer is."
)
class ConsistencyDirective:
    level: ConsistencyLevel


@dataclass(frozen=True, slots=True)
class StrongReads:
    """The reads of a `Ctx`, answered by the services at this moment."""

    loads: Loads

    async def load(self, loader: Loader[V], key: str, **arguments: Any) -> V | None:
        """As `Ctx.load`; keys asked for strongly in the same tick travel together. Raises: GatewayError."""
        return await self.loads.load(loader, key, arguments, is_strong=True)

    async def load_many(self, loader: Loader[V], keys: Sequence[str], **arguments: Any) -> list[V | None]:
        """As `Ctx.load_many`. Raises: GatewayError, the first failure."""
        return await self.loads.load_many(loader, keys, arguments, is_strong=True)

    async def page(self, pages: Pages[V], **arguments: Any) -> Page[V]:
        """As `Ctx.page`. Raises: GatewayError."""
        return await self.loads.page(pages, arguments, is_strong=True)
