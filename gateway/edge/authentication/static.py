"""Static bearer tokens: for demos and machines.

Invariant: tokens are held and compared as sha256 digests, so no `repr` of this object shows one, and a look-up
takes no longer for a near miss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ...errors import Unauthenticated
from ...identity import ANONYMOUS, Identity


class StaticTokens:
    """Knows a fixed set of tokens, given as {hashed(token): identity}."""

    def __init__(self, identities: Mapping[str, Identity]) -> None:
        self._identities = dict(identities)

    async def authenticate(self, headers: Mapping[str, str]) -> Identity:
        """The caller. Raises: Unauthenticated for anything but no header or a known bearer token."""
        header = headers.get("authorization")
        if header is None:
            return ANONYMOUS
        identity = self.find(hashed(token_in(header)))
        if identity is None:
            raise Unauthenticated(NOT_VALID)
        return identity

    def find(self, digest: str) -> Identity | None:
        """Whose token has this digest."""
        return self._identities.get(digest)

    def __repr__(self) -> str:
        return f"<StaticTokens {len(self._identities)} known>"


SHORTEST_TOKEN = 32
"""Characters of a token whose hash is written down: as many hexadecimal ones cannot be found by trying."""

NOT_VALID = "this token is not known, or no longer valid"
"""The same for every reason: what is wrong with a token is nobody's business but its owner's, who gets a new one either way."""


def token_in(header: str) -> str:
    """What an Authorization header shows. Raises: Unauthenticated for anything but a bearer token."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated('the Authorization header must be "Bearer <token>"')
    return token.strip()


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
