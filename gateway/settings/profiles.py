"""The two ways a gateway is run: by who develops, on one machine; and where others reach it.

Invariants: a profile says what nobody has said, and never overrides what somebody has; every setting that one profile gives, the
other gives too, so that a profile can be read in one column. What a profile forbids stands in the tree's own rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

from pydantic import BaseModel

from .sources import Tree

Profile: TypeAlias = Literal["dev", "production"]

DEV: Profile = "dev"
PRODUCTION: Profile = "production"

PROFILES: Mapping[Profile, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        DEV: {
            "server": {"graphiql": True},
            "operation": {"introspection": True, "suggestions": True, "explain_scope": None},
        },
        PRODUCTION: {
            "server": {"graphiql": False},
            "operation": {"introspection": False, "suggestions": False, "explain_scope": "explain"},
        },
    }
)
"""What each says, by section."""


def completed(given: Mapping[str, Any]) -> Tree:
    """The tree `given`, with what its profile says where it says nothing. A profile that there is not completes nothing."""
    sections = PROFILES.get(given.get("profile", DEV), {})
    return {**given, **{name: _completed(given.get(name), usual) for name, usual in sections.items()}}


def _completed(section: object, usual: Mapping[str, Any]) -> object:
    match section:
        case None:
            return dict(usual)
        case Mapping():
            return {**usual, **cast("Mapping[str, Any]", section)}
        case BaseModel():
            unsaid = {name: value for name, value in usual.items() if name not in section.model_fields_set}
            return section.model_copy(update=unsaid)
        case _:
            return section  # what it is, is told by whoever checks the tree
