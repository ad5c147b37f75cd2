"""Static bearer tokens: for demos and machines. Others come beside it; all keep the `Authenticator` protocol.

Invariant: tokens are held and compared as sha256 digests, so no `repr` of this object shows one, and a look-up
takes no longer for a near miss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ..errors import Unauthenticated
from ..identity import ANONYMOUS, Identity


class StaticTokens:
    """Knows a fixed set of tokens, given as {hashed(token): identity}."""

    def __init__(self, identities: Mapping[str, Identity]) -> None:
        self._identities = dict(identities)

    async def authenticate(self, headers: Mapping[str, str]) -> Identity:
        """The caller. Raises: Unauthenticated for anything but no header or a known bearer token."""
        header = headers.get("authorization")
        if header is None:
            return ANONYMOUS
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated('the Authorization header must be "Bearer <token>"')
        identity = self._identities.get(hashed(token.strip()))
        if identity is None:
            raise Unauthenticated("this token is not known, or no longer valid")
        return identity

    def __repr__(self) -> str:
        return f"<StaticTokens {len(self._identities)} known>"


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
