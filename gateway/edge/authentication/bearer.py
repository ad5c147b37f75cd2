"""Bearer tokens of every kind: a static one is looked up, any other is a JWT of one of the issuers, or nobody's.

Invariants: credentials that are shown and not valid are never taken for none; each refusal reads the same, and its reason goes to
the metric `sagaql_authentications_total`; a token is verified once and then known by its digest, for as long as it is valid and its
key is listed; no text, no `repr` and no label holds a token or a claim.
State: tokens that were verified, by digest: at most `MAX_VERIFIED`, the least recently shown leave first. Per worker process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import NamedTuple, Self

from cachetools import LRUCache

from ...clock import Clock
from ...errors import AuthenticationUnavailable, Unauthenticated
from ...identity import ANONYMOUS, Identity
from ...telemetry import Children, Telemetry
from .jwt import TokenRefused, Verified, Why, ensure_acceptable, read, verified
from .key_sets import KeySet
from .keys import Key
from .static import NOT_VALID, StaticTokens, hashed, token_in

MAX_VERIFIED = 10_000
"""Tokens that are known without looking at their signature again: 9.06 MB, by `python -m benchmarks.attacks tokens`."""

LONGEST_TOKEN = 8 * 1024
"""Characters of a token. 8 KiB: what proxies allow a header line."""


class _Known(NamedTuple):
    verified: Verified
    key: Key
    keys: KeySet


class BearerTokens:
    """Whoever shows a static token, or a JWT of an issuer whose keys are in `key_sets`. Its `async with` keeps keys renewed."""

    def __init__(
        self,
        static: StaticTokens,
        key_sets: Sequence[KeySet] = (),
        *,
        clock: Clock,
        telemetry: Telemetry,
        longest: int = LONGEST_TOKEN,
    ) -> None:
        self._static = static
        self._key_sets = {each.issuer.issuer: each for each in key_sets}
        self._longest = longest
        self._clock = clock
        self._log = telemetry.log
        self._count = Children(telemetry.metrics.authentications)
        self._known: LRUCache[str, _Known] = LRUCache(MAX_VERIFIED)
        self._life = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<BearerTokens {self._static!r}, {len(self._key_sets)} issuers, {len(self._known)} verified>"

    @property
    def key_sets(self) -> Mapping[str, KeySet]:
        """By the names of their issuers."""
        return self._key_sets

    async def authenticate(self, headers: Mapping[str, str]) -> Identity:
        """The caller. Raises: Unauthenticated, AuthenticationUnavailable."""
        header = headers.get("authorization")
        if header is None:
            return ANONYMOUS
        token = token_in(header)
        try:
            return await self._caller(token)
        except TokenRefused as refused:
            self._count[f"refused_{refused.why}",].inc()
            self._log.debug("token refused", why=refused.why.value)
            raise Unauthenticated(NOT_VALID) from None
        except AuthenticationUnavailable:
            self._count["unavailable",].inc()
            raise

    async def _caller(self, token: str) -> Identity:
        """Raises: TokenRefused, AuthenticationUnavailable."""
        if len(token) > self._longest:
            raise TokenRefused(Why.TOO_LONG)
        digest = hashed(token)
        if (identity := self._static.find(digest)) is not None:
            self._count["static",].inc()
            return identity
        if not self._key_sets:
            raise TokenRefused(Why.UNKNOWN)
        if (known := self._known_as(digest)) is not None:
            self._count["known",].inc()
            return known
        found = await self._verified(token)
        self._known[digest] = found
        self._count["verified",].inc()
        return found.verified.identity

    def _known_as(self, digest: str) -> Identity | None:
        """Who showed it before, if it still counts."""
        known = self._known.get(digest)
        if known is None:
            return None
        if known.verified.since <= self._clock.wall() < known.verified.until and known.keys.holds(known.key):
            return known.verified.identity
        del self._known[digest]
        return None

    async def _verified(self, token: str) -> _Known:
        """Cheap questions first, so that a forged token costs less than a good one. Raises: as above."""
        unverified = read(token)
        keys = self._key_sets.get(unverified.issuer or "")
        if keys is None:
            raise TokenRefused(Why.ISSUER)
        ensure_acceptable(unverified, keys.issuer, now=self._clock.wall())
        key = await keys.find(unverified.kid, unverified.algorithm)
        if key is None:
            raise TokenRefused(Why.KEY)
        return _Known(verified(unverified, keys.issuer, key), key, keys)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as entered:
            for each in self._key_sets.values():
                await entered.enter_async_context(each)
            self._life = entered.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._life.aclose()
