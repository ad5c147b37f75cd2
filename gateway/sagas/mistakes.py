"""How mistakes in a saga class are told: by class, step and remedy."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Any, get_args


class SagaDefinitionError(TypeError):
    """A saga class that cannot run. The message names the class, the step and the remedy."""


def shown(hint: Any) -> str:
    """An annotation as an author would write it."""
    if hint is None or hint is inspect.Parameter.empty:
        return "not annotated"
    if hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """What the author may have meant."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return found[0] if found else None
