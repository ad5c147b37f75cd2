"""Who is calling: the one value that authentication yields and every rule, cache scope and saga is told.

Invariant: an `Identity` is made at the edge only, by an authenticator, and never changes during a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .clock import Epoch


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. `subject` is unique within `tenant`; `scopes` is what the caller may do beyond the public."""

    tenant: str
    subject: str
    scopes: frozenset[str] = frozenset()
    is_anonymous: bool = False
    expires_at: Epoch | None = field(default=None, compare=False)
    """When the credentials are no longer valid: then a stream ends that was begun with them. None: they do not expire. No part of
    who it is: a caller with a new token is the same caller."""

    def has(self, scope: str) -> bool:
        return scope in self.scopes


ANONYMOUS = Identity(tenant="public", subject="anonymous", is_anonymous=True)

LONGEST_NAME = 255
"""Characters of a tenant or a subject: they are stored with every saga."""


def known(
    tenant: str, subject: str, scopes: frozenset[str] = frozenset(), *, expires_at: Epoch | None = None
) -> Identity:
    """A caller whom an authenticator knows. Raises: ValueError for names that nobody may have, without repeating them.

    Nobody is called what the anonymous caller is called: whose sagas are whose is told by tenant and subject alone.
    """
    for what, name in (("tenant", tenant), ("subject", subject)):
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise ValueError(f"the {what} must be 1 to {LONGEST_NAME} printable characters")
    if (tenant, subject) == (ANONYMOUS.tenant, ANONYMOUS.subject):
        raise ValueError(f"{ANONYMOUS.subject!r} in the tenant {ANONYMOUS.tenant!r} is the caller without credentials")
    return Identity(tenant, subject, scopes, expires_at=expires_at)


class Authenticator(Protocol):
    """Turns the headers of a request (names in lower case) into an identity.

    Raises: Unauthenticated for credentials that are present and not valid. Absent credentials are `ANONYMOUS`: what an
    anonymous caller may do is decided by rules, not here.
    """

    async def authenticate(self, headers: Mapping[str, str]) -> Identity: ...
