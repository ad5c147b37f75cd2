"""What a request calls its document: by its text, by the id of a trusted document, or by a hash under which it was sent before.

Sources: GraphQL over HTTP, appendix "Persisted Documents"; Apollo's automatic persisted queries (`extensions.persistedQuery`).
Invariants: what an id stands for never changes while the gateway runs; a text is kept only under its own SHA-256; where only
trusted documents are served, no other text is parsed. A text that is here is found without waiting for anything.
State: texts that clients had kept, of one process and bounded, and of all gateways where they share a store; a client that is told
that its hash is not known sends the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cachetools import LRUCache

from ..errors import (
    DocumentNotTrusted,
    PersistedDocumentNotFound,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
    RequestError,
)
from .shared_documents import SharedDocuments

_HASH = re.compile(r"[0-9a-f]{64}").fullmatch

MAX_ID = 256
"""Characters of a document's id."""


def document_id(text: str) -> str:
    """The id that every document has: "sha256:" and the hash of its text in UTF-8."""
    return f"sha256:{_hash_of(text)}"


class KnownDocuments:
    """Documents that need not be sent."""

    def __init__(
        self,
        trusted: Mapping[str, str] | None = None,
        *,
        only_trusted: bool = False,
        persisted: int | None = None,
        shared: SharedDocuments | None = None,
    ) -> None:
        """`trusted`: texts by id. `persisted`: characters of text that clients may have kept for them; None: none.

        `shared`: what other gateways were sent, if they share it.
        """
        self._trusted = trusted or {}
        self._only = frozenset(self._trusted.values()) if only_trusted else None
        self._persisted: LRUCache[str, str] | None = None if persisted is None else LRUCache(persisted, getsizeof=len)
        self._shared = None if persisted is None else shared

    def __repr__(self) -> str:
        persisted = "" if self._persisted is None else f", {len(self._persisted)} persisted"
        return f"<KnownDocuments {len(self._trusted)} ids{persisted}>"

    def text(self, parameters: Mapping[str, Any], extensions: Mapping[str, Any]) -> str:
        """The text of the document that a request asks for. An empty one is none: some clients must send it beside an id.

        Raises: RequestError.
        """
        named = parameters.get("documentId")
        given = None if parameters.get("query") == "" else parameters.get("query")
        if named is not None:
            return self._by_id(named, given)
        if "persistedQuery" in extensions:
            text = self._persisted_text(extensions["persistedQuery"], given)
        elif isinstance(given, str) and given.strip():
            text = given
        else:
            raise RequestError(
                "the request has no query: send the document as the string member query, or its id as documentId"
            )
        if self._only is not None and text not in self._only:
            raise DocumentNotTrusted("this gateway serves trusted documents only: have yours added to them")
        return text

    async def learn(self, extensions: Mapping[str, Any]) -> bool:
        """Ask the other gateways for the text whose hash was not known. Returns: whether `text` may find it now."""
        if self._shared is None:
            return False
        digest = _digest_of(extensions.get("persistedQuery"))
        text = await self._shared.find(digest)
        if text is not None:
            self._keep(digest, text)
        return text is not None

    def _by_id(self, named: object, given: object) -> str:
        if given is not None:
            raise RequestError("query and documentId are both there: send one of them")
        if not isinstance(named, str) or not named or len(named) > MAX_ID:
            raise RequestError(f"documentId must be a string of 1 to {MAX_ID} characters, such as sha256:…")
        text = self._trusted.get(named)
        if text is None:
            raise PersistedDocumentNotFound(
                "no trusted document has this id: was it added before the client was released?"
            )
        return text

    def _persisted_text(self, said: object, given: object) -> str:
        """By Apollo's protocol: the hash alone at first, with the text where it is not known."""
        digest = _digest_of(said)
        trusted = self._trusted.get(f"sha256:{digest}")
        if trusted is not None and given is None:
            return trusted
        if self._persisted is None:
            raise PersistedQueryNotSupported("PersistedQueryNotSupported")
        if given is None:
            known = self._persisted.get(digest)
            if known is None:
                raise PersistedQueryNotFound("PersistedQueryNotFound")
            return known
        if not isinstance(given, str) or _hash_of(given) != digest:
            raise RequestError("extensions.persistedQuery.sha256Hash is not the SHA-256 of query")
        if self._persisted.get(digest) is None and self._keep(digest, given) and self._shared is not None:
            self._shared.keep(digest, given)
        return given

    def _keep(self, digest: str, text: str) -> bool:
        """Whether it is kept now."""
        kept = self._persisted
        if kept is None or len(text) > kept.maxsize or (self._only is not None and text not in self._only):
            return False
        kept[digest] = text
        return True


def _digest_of(said: object) -> str:
    digest = said.get("sha256Hash") if isinstance(said, dict) and said.get("version") == 1 else None
    if not isinstance(digest, str) or not _HASH(digest):
        raise RequestError(
            "extensions.persistedQuery must be {version: 1, sha256Hash: 64 digits in lower-case hexadecimal}"
        )
    return digest


def _hash_of(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
