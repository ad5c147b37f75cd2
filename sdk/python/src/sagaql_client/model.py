"""What generated types are made of: a pydantic model, and the mark of an argument that was not given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic.alias_generators import to_camel


class BaseModel(pydantic.BaseModel):
    """Sent and read by the graph's names, `customerId`; written by Python's, `customer_id`."""

    model_config = pydantic.ConfigDict(alias_generator=to_camel, populate_by_name=True, protected_namespaces=())


class UnsetType:
    """Of one value, `UNSET`: not sent at all, which in GraphQL is something else than null."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET = UnsetType()


def as_json(variables: Mapping[str, object]) -> dict[str, Any]:
    """Variables as they are sent, by the graph's names; what was not given is left out."""
    given = {name: value for name, value in variables.items() if not isinstance(value, UnsetType)}
    sent: dict[str, Any] = _ANYTHING.dump_python(given, mode="json", by_alias=True, exclude_unset=True)
    return sent


_ANYTHING: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Any)
