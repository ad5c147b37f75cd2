"""Keys that sign checkpoints and prunings: Ed25519, written as one line of text each.

Invariant: a secret key is never part of a repr, a log line or an error. What is signed is a 32-byte hash that says what it is of
(`chain.digest`), so a signature of one thing is none of another.
Source: RFC 8032.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_SECRET, _PUBLIC = "ed25519-secret:", "ed25519-public:"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a verifier holds; it need not be kept secret, only true."""

    key: Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Raises: ValueError naming the form."""
        return cls(Ed25519PublicKey.from_public_bytes(_decoded(text, _PUBLIC)))

    def __str__(self) -> str:
        return _encoded(_PUBLIC, self.key.public_bytes_raw())

    @property
    def id(self) -> str:
        """Sixteen hex digits by which a signature names its key."""
        return hashlib.sha256(self.key.public_bytes_raw()).hexdigest()[:16]

    def signed(self, signature: bytes, hashed: bytes) -> bool:
        try:
            self.key.verify(signature, hashed)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """What the gateway holds, in `sagas.signing_key`."""

    key: Ed25519PrivateKey

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Raises: ValueError naming the form and how a key is made, never the text."""
        return cls(Ed25519PrivateKey.from_private_bytes(_decoded(text, _SECRET)))

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    def __repr__(self) -> str:
        return f"<SigningKey {self.public.id}>"

    def text(self) -> str:
        """The line for the settings. Secret."""
        return _encoded(_SECRET, self.key.private_bytes_raw())

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key.public_key())

    def sign(self, hashed: bytes) -> bytes:
        """64 bytes. Cost: about 50 µs."""
        return self.key.sign(hashed)


def new_signing_key() -> tuple[str, str]:
    """A secret line for `sagas.signing_key`, and the public line that verifiers are given."""
    key = SigningKey.generate()
    return key.text(), str(key.public)


def _encoded(prefix: str, raw: bytes) -> str:
    return prefix + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str, prefix: str) -> bytes:
    body = text.strip().removeprefix(prefix)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if not text.strip().startswith(prefix) or len(raw) != 32:
        raise ValueError(
            f'not a key: it is one line, "{prefix}" and 43 letters, as `sagaql sagas new-key signing` makes it'
        )
    return raw
