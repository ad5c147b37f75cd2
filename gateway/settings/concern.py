"""How one concern is written: frozen, strict about names, with units in durations and sizes.

Invariant: what is read is a plain value in one unit (seconds, bytes); what is wrong is refused when the concern is built.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema
from pydantic_settings import NoDecode

from ..clock import Seconds, duration
from .sources import python_name, size, words, written

Duration: TypeAlias = Annotated[
    Seconds, BeforeValidator(written(duration, (str, int, float))), Field(allow_inf_nan=False)
]
"""Seconds, written as "250ms", "2s", "15m", "1h" or "7d"; a number is taken as seconds."""

Size: TypeAlias = Annotated[int, BeforeValidator(size), Field(gt=0)]
"""Bytes, written as a number or as "64KiB", "1MiB"."""

LongerThanZero: TypeAlias = Annotated[Duration, Field(gt=0)]
OptionalPath: TypeAlias = Annotated[Path | None, BeforeValidator(lambda text: None if text == "" else text)]
Words: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)]
"""A list; or one string with commas, because environment variables have no lists."""

Positive: TypeAlias = Annotated[int, Field(ge=1)]
Scope: TypeAlias = Annotated[str, Field(pattern=r"^[^\s,]+$")]
OptionalScope: TypeAlias = Annotated[Scope | None, BeforeValidator(lambda text: None if text == "" else text)]

Name: TypeAlias = Annotated[str, AfterValidator(python_name)]
"""Where something is in Python: "package.module:name"."""


class Concern(BaseModel):
    """What all models here share: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class AsWritten:
    """Marks a settings dataclass of a lower floor: its durations may be written with units, unknown names are refused.

    So the knobs of a policy, with their defaults, meanings and rules, stand once: beside the policy.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        hints = get_type_hints(source)
        knobs: dict[str, Any] = {
            each.name: (Duration if hints[each.name] is Seconds else hints[each.name], each.default)
            for each in fields(source)
        }
        table = handler.generate_schema(create_model(source.__name__, __base__=Concern, **knobs))
        return core_schema.no_info_before_validator_function(
            lambda value: asdict(value) if isinstance(value, source) else value,
            core_schema.no_info_after_validator_function(lambda checked: source(**dict(checked)), table),
            serialization=core_schema.plain_serializer_function_ser_schema(asdict),
        )
