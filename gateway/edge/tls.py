"""TLS at the door: our certificate, and whose certificates we verify. What a peer is called is told by its certificate alone.

Invariant: a peer without a certificate may come in where none is required, and has no name; one whose certificate is not signed by
`client_ca`, or not for clients, does not get through the handshake.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clock import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files, PEM each."""

    certificate: Path
    """Ours, with the chain above it."""
    key: Path
    client_ca: Path | None = None
    """Who signs certificates of clients; None: nobody is asked for one."""
    is_client_required: bool = False
    hsts: Seconds = Seconds(0.0)
    """For how long browsers that came by TLS come by it only; 0 says nothing."""

    def context(self) -> ssl.SSLContext:
        """Raises: ValueError for files that are not there, or do not fit."""
        for file in (self.certificate, self.key, self.client_ca):
            if file is not None and not file.is_file():
                raise ValueError(f"there is no file {file}")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED if self.is_client_required else ssl.CERT_OPTIONAL
        except (ssl.SSLError, OSError) as error:
            raise ValueError(
                "tls_certificate, tls_key and tls_client_ca do not fit together, or are not PEM "
                f"({getattr(error, 'reason', None) or type(error).__name__})"
            ) from error
        return context


def names_of(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """What a verified certificate, as `getpeercert` gives it, calls its holder: its alternative names, or, where it has none, its
    common name. Source: RFC 9525 (alternative names decide where there are any)."""
    if not certificate:
        return frozenset()
    alternatives = {
        value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "URI", "IP Address"}
    }
    common = {value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"}
    return frozenset(alternatives or common)
