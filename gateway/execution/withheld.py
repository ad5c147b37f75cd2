"""Objects that a caller may not read whatever they hold, found among others that the caller may: of a union or an interface.

Nothing about the refusal depends on the object, so it is told once at the field where they stand, and not for each of them.
"""

from __future__ import annotations

from graphql import GraphQLError

from ..errors import Forbidden, RequestError, Unauthenticated
from ..graph.access import refusal
from ..identity import Identity


class Withheld(RequestError):
    """A refusal that is told at the field, however many of its objects it nulls."""


class _WithheldUntilSignedIn(Withheld, Unauthenticated):
    pass


class _WithheldAnyway(Withheld, Forbidden):
    pass


def withheld(identity: Identity) -> Withheld:
    """What the caller is told."""
    said = refusal(identity, "object").message
    return _WithheldUntilSignedIn(said) if identity.is_anonymous else _WithheldAnyway(said)


class ToldOnce:
    """Which fields have had their refusal. State: bounded by the fields of the answer."""

    def __init__(self) -> None:
        self._told: set[tuple[str | int, ...]] = set()

    def keep(self, errors: list[GraphQLError]) -> None:
        """Forget the last of the errors, if its field has told the same before."""
        path = tuple(errors[-1].path or ())
        if path in self._told:
            errors.pop()
        self._told.add(path)
