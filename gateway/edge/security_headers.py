"""What browsers are told not to do with our answers.

Invariant: every answer says something about each of these; who knows better (the page, a GraphQL answer that may be kept) has the
last word. Sources: the OWASP HTTP Headers and REST Security cheat sheets; CSP Level 3; RFC 6797 (HSTS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import Message, Send

from ..clock import Seconds

SHOWN_BY_NOBODY: Final = "default-src 'none'; frame-ancestors 'none'"
"""The policy of what is no page: should a browser be talked into showing it as one, nothing in it runs or is loaded."""

ANSWERS: Final[Mapping[bytes, bytes]] = {
    b"cache-control": b"no-store",
    b"content-security-policy": SHOWN_BY_NOBODY.encode(),
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
"""Of whatever does not say it by itself. CORS is not touched: a page of a listed origin asks in a mode that CORP does not judge."""

_UNUSED: Final = (
    "accelerometer, camera, clipboard-read, display-capture, geolocation, gyroscope, hid, magnetometer, microphone, midi, payment, "
    "publickey-credentials-get, screen-wake-lock, serial, usb, xr-spatial-tracking"
)

PERMISSIONS: Final = ", ".join(f"{feature}=()" for feature in _UNUSED.split(", "))
"""Nothing of a browser's powers is used by a page of ours, but that it writes to the clipboard when somebody says "copy". Only what
browsers know is named: of anything else they complain."""


def with_defaults(send: Send) -> Send:
    """`send`, with whatever of `ANSWERS` an answer does not say by itself."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"]]
            said = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in ANSWERS.items() if name not in said]
            message = {**message, "headers": headers}
        await send(message)

    return told


def strict_transport(lasts: Seconds) -> list[tuple[str, str]]:
    """The header that keeps browsers from coming back without TLS. Only for who serves TLS."""
    return [("strict-transport-security", f"max-age={lasts:.0f}")] if lasts else []
