"""Pages of other origins: which may speak to this gateway, what their browsers are told, and what is refused as forged.

Invariants: an origin that is not listed gets no CORS header, opens no WebSocket, and has no query executed by a browser that did
not ask first; cookies are never of use to a page because everybody ("*") is let in. Source: the Fetch standard (CORS protocol),
Fetch Metadata Request Headers, RFC 6454; docs/decisions/0025 says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers as RawHeaders
from starlette.types import Message, Send

from ..errors import RequestError
from .negotiation import JSON

Headers = Mapping[str, str]

EVERYBODY = "*"
MAX_AGE = 7200
"""Seconds for which a browser need not ask again. 7 200: the longest that Chromium keeps it."""

PREFLIGHT_HEADERS = ("x-requested-by", "apollo-require-preflight", "graphql-require-preflight")
"""Any of them, with any value, says that a browser has asked before it sent this: it sends none of them elsewhere unasked."""

_SENT = (
    "accept",
    "apollo-require-preflight",
    "apollographql-client-name",
    "apollographql-client-version",
    "authorization",
    "content-type",
    "graphql-require-preflight",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "x-request-priority",
    "x-request-timeout-ms",
    "x-requested-by",
    "x-requested-with",
)
"""What a page may send, besides the headers that are forwarded to services."""

_READ = "allow, etag, ratelimit, ratelimit-policy, retry-after, www-authenticate"
"""What a page may read, besides what every page may."""


class CrossSite(RequestError):
    """A browser sends it for a page of another origin, and did not ask first."""

    status = 403


class Origins:
    """Those that are let in besides our own."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(allowed)
        self.are_all = EVERYBODY in self._allowed

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def __repr__(self) -> str:
        return f"<Origins {', '.join(sorted(self._allowed)) or 'our own'}>"

    def lists(self, origin: str | None) -> bool:
        return origin is not None and (self.are_all or origin in self._allowed)

    def permit(self, headers: Headers) -> bool:
        """Whether whoever sends these may: no page, one of ours, or one of a listed origin. With cookies "*" lists nobody."""
        origin = headers.get("origin")
        if origin is None or urlsplit(origin).netloc == headers.get("host") or origin in self._allowed:
            return True
        return self.are_all and "cookie" not in headers


class Cors:
    """What browsers are told about the answers. An application without listed origins has none."""

    def __init__(self, origins: Origins, *, forwards: Callable[[str], bool]) -> None:
        """`forwards`: whether a header, named in lower case, is one that services are sent."""
        self._origins = origins
        self._forwards = forwards

    def telling(self, headers: Headers, send: Send) -> Send:
        """`send`, with what a browser has to know for this request."""
        told = self._told(headers.get("origin"))

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *told]}
            await send(message)

        return send_told

    def preflight(self, headers: RawHeaders) -> dict[str, str]:
        """What is told to a browser that asks before it sends; nothing to one that asks for an origin that is not listed."""
        if "access-control-request-method" not in headers or not self._origins.lists(headers.get("origin")):
            return {}
        asked = headers.get("access-control-request-headers", "").lower().split(",")
        own = [name for name in map(str.strip, asked) if name not in _SENT and self._forwards(name)]
        return {
            "access-control-allow-methods": "GET, HEAD, POST",
            "access-control-allow-headers": ", ".join((*_SENT, *own)),
            "access-control-max-age": str(MAX_AGE),
            "vary": "access-control-request-headers",
        }

    def _told(self, origin: str | None) -> list[tuple[bytes, bytes]]:
        if self._origins.are_all:
            return [] if origin is None else [(b"access-control-allow-origin", b"*"), _EXPOSED]
        if origin is None or not self._origins.lists(origin):
            return [_BY_ORIGIN]
        allowed = (b"access-control-allow-origin", origin.encode("latin-1"))
        return [_BY_ORIGIN, allowed, (b"access-control-allow-credentials", b"true"), _EXPOSED]


def ensure_wanted(headers: Headers, origins: Origins) -> None:
    """Raises: CrossSite for a GET that a browser sends for a page elsewhere without having asked first.

    A POST needs no such look: its Content-Type is JSON, for which browsers ask first.
    """
    if any(headers.get(name) for name in PREFLIGHT_HEADERS) or headers.get("content-type", "").startswith(JSON):
        return
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):  # none: somebody typed it, or chose a bookmark
        return
    if origin is not None and origins.permit(headers):
        return
    if (
        origin is None and site is None and "cookie" not in headers
    ):  # no browser, or one that cannot say more than a stranger
        return
    raise CrossSite(
        "a page of another origin sends this: send it by POST as application/json, or with the header "
        f"{PREFLIGHT_HEADERS[0]}, and list the origin in server.cors_origins"
    )


_BY_ORIGIN = (b"vary", b"origin")
_EXPOSED = (b"access-control-expose-headers", _READ.encode())
