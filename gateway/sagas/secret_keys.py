"""The keys of the settings: they wrap the data keys of sagas, and key the hashes of inputs that hold secrets.

Invariants: a key's text is in no repr, log line or error. The newest key wraps; older ones only unwrap what they wrapped: a key
is rotated by moving it to the old ones, and dropped once no open saga needs it. Each use has a key of its own, derived by
HMAC-SHA-256.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .vault import KEY_BYTES, NONCE_BYTES, Vault

MAKE_ONE = "`sagaql sagas new-key secret`"
"""What a person types to get a key."""

_ID_BYTES = 8


class SecretKeyUnknown(LookupError):
    """A data key is wrapped under a key that the settings do not have."""


def new_secret_key() -> str:
    """A key for `sagas.secret_key`: 32 random bytes as base64, one line."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


class SecretKey:
    """One key of the settings. `id` names it without telling anything of it."""

    def __init__(self, text: str) -> None:
        """Raises: ValueError that says what a key looks like, never the text."""
        try:
            key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a secret key is {KEY_BYTES} random bytes as base64: make one with {MAKE_ONE}")
        self.id = _derived(key, "id")[:_ID_BYTES]
        self.wrapping = AESGCM(_derived(key, "wrap"))
        self.hashing = _derived(key, "hash")

    def __repr__(self) -> str:
        return f"<SecretKey {self.id.hex()}>"


class KeyRing:
    """The newest key and those before it."""

    def __init__(self, newest: str, *, old: Sequence[str] = ()) -> None:
        """Raises: ValueError for what is no key."""
        self._keys = [SecretKey(text) for text in (newest, *old)]

    def __repr__(self) -> str:
        return f"<KeyRing {', '.join(key.id.hex() for key in self._keys)}>"

    def new_vault(self, saga_id: str) -> tuple[Vault, bytes]:
        """A vault with a fresh data key, and that key as the journal may hold it: wrapped, for this saga only."""
        data_key, nonce, newest = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES), self._keys[0]
        wrapped = newest.wrapping.encrypt(nonce, data_key, _bound_to(saga_id))
        return Vault(saga_id, data_key), newest.id + nonce + wrapped

    def vault(self, saga_id: str, wrapped: bytes) -> Vault:
        """Raises: SecretKeyUnknown; ValueError when it was wrapped for another saga, or is damaged."""
        nonce, sealed = wrapped[_ID_BYTES : _ID_BYTES + NONCE_BYTES], wrapped[_ID_BYTES + NONCE_BYTES :]
        key = next((key for key in self._keys if key.id == wrapped[:_ID_BYTES]), None)
        if key is None:
            raise SecretKeyUnknown(
                f"the saga's secrets are sealed under the key {wrapped[:_ID_BYTES].hex()}, which is neither sagas.secret_key nor "
                "one of sagas.old_secret_keys: add it to the old ones until the saga has ended"
            )
        try:
            return Vault(saga_id, key.wrapping.decrypt(nonce, sealed, _bound_to(saga_id)))
        except InvalidTag as error:
            raise ValueError(f"the data key of saga {saga_id} is damaged") from error

    def knows(self, wrapped: bytes) -> bool:
        return any(key.id == wrapped[:_ID_BYTES] for key in self._keys)

    def fingerprints(self, text: bytes) -> list[str]:
        """A keyed hash of `text` under each key, the newest first: nobody without the keys can try out what it is of."""
        return [hmac.digest(key.hashing, text, "sha256").hex() for key in self._keys]


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, b"sagaql secret key 1: " + purpose.encode(), "sha256")


def _bound_to(saga_id: str) -> bytes:
    return b"sagaql data key 1: " + saga_id.encode()
