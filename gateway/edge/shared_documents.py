"""Documents that clients have kept, for all gateways of a fleet: what one was sent, the others know.

Invariants: a text from the store is believed only if it has the hash that was asked for; one that has not is counted, deleted and
never served. Whatever becomes of the store, a request goes on: its client is told that the hash is not known, and sends the text.
State: in the store, under `<prefix>apq:<hash>`, for `keep` since a gateway last asked for it there.
"""

from __future__ import annotations

from hashlib import sha256

from ..clock import Seconds
from ..shared import SharedStore, StoreUnavailable
from ..telemetry import Telemetry

MAX_SHARED = 256 * 1024
"""Bytes of a text in the store. 256 KiB: four each of the 65 536 characters above which no parsed document is kept either."""


class SharedDocuments:
    """Texts by their SHA-256, in the store."""

    def __init__(self, store: SharedStore, *, keep: Seconds, telemetry: Telemetry) -> None:
        """`keep`: how long a text stays that nobody asks for."""
        self._store = store
        self._keep = keep
        self._log = telemetry.log
        self._count = telemetry.metrics.shared_documents

    def __repr__(self) -> str:
        return f"<SharedDocuments in {self._store!r}>"

    async def find(self, digest: str) -> str | None:
        """The text, which stays for another `keep`; None where there is none that can be had, or believed."""
        key = self._key(digest)
        try:
            found = await self._store.ask("get", lambda to: to.get(key, at_most=MAX_SHARED + 1, keep=self._keep))
        except StoreUnavailable:
            self._count.labels("failed").inc()
            return None
        if found is None:
            self._count.labels("miss").inc()
            return None
        text = _verified(found, digest)
        if text is None:
            self._refuse(key, digest)
            return None
        self._count.labels("hit").inc()
        return text

    def keep(self, digest: str, text: str) -> None:
        """Have it known to the others. Nobody waits: where it is not, its next client sends it once more."""
        key, written = self._key(digest), text.encode("utf-8", "surrogatepass")
        if 0 < len(written) <= MAX_SHARED:
            self._store.later("set", lambda to: to.set(key, written, keep=self._keep))

    def _refuse(self, key: str, digest: str) -> None:
        self._count.labels("refused").inc()
        self._log.error("a text in the shared store is not that of its hash, and is deleted", sha256=digest)
        self._store.later("delete", lambda to: to.delete(key))

    def _key(self, digest: str) -> str:
        return f"{self._store.prefix}apq:{digest}"


def _verified(found: bytes, digest: str) -> str | None:
    if sha256(found).hexdigest() != digest:
        return None
    try:
        return found.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
