"""Where a saga's secrets are sealed: a data key of its own, which lives exactly as long as the saga.

Invariants: a seal opens only in the saga, the document and the field that it was made for, because these are authenticated with it;
whoever changes, moves or swaps one is found out. A data key is written only wrapped (`secret_keys.py`).
Source: AES-256-GCM, NIST SP 800-38D; envelope encryption and crypto-shredding as key-management services have them.
"""

from __future__ import annotations

import base64
import binascii
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .codec import SEALED, Path, Place

NONCE_BYTES = 12
KEY_BYTES = 32


class Vault:
    """One saga's data key. Random nonces are safe for 2**32 seals under one key; a saga makes a few dozen."""

    def __init__(self, saga_id: str, data_key: bytes) -> None:
        self._saga_id = saga_id
        self._cipher = AESGCM(data_key)

    def __repr__(self) -> str:
        return f"<Vault of {self._saga_id}>"

    def of_input(self) -> Place:
        return _Sealed(self, "input")

    def of_step(self, step: str) -> Place:
        """Of what the step yields, or its signal brings."""
        return _Sealed(self, f"step {step}")

    def seal(self, document: str, path: Path, plain: bytes) -> str:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, plain, self._bound_to(document, path))
        return SEALED + base64.b64encode(nonce + sealed).decode()

    def unseal(self, document: str, path: Path, stored: str) -> bytes:
        """Raises: ValueError when it was not sealed here, for this place."""
        try:
            data = base64.b64decode(stored.removeprefix(SEALED), validate=True)
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], self._bound_to(document, path))
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise ValueError("a sealed secret is damaged, or stands where it was not put") from error

    def _bound_to(self, document: str, path: Path) -> bytes:
        return msgspec.json.encode(["sagaql secret 1", self._saga_id, document, path])


class _Sealed:
    """A `Place` of one document of the saga."""

    def __init__(self, vault: Vault, document: str) -> None:
        self._vault = vault
        self._document = document

    def seal(self, path: Path, value: object) -> object:
        return self._vault.seal(self._document, path, msgspec.json.encode(value))

    def unseal(self, path: Path, stored: str) -> bytes:
        return self._vault.unseal(self._document, path, stored)
