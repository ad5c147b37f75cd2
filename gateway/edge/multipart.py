"""Answers as parts of `multipart/mixed`, in two dialects: subscriptions as Apollo's clients know them, each answer in a payload of
its own (`subscriptionSpec=1.0`); and answers as they are, for results that come in increments (`deferSpec`, `incrementalSpec`).

Invariants: each part ends with the next part's delimiter, since clients take a part only when they have seen where it ends; that of
a subscription, whose next part may be long in coming, says its length, since Python's gql looks for the next part otherwise.
Source: Apollo's "Multipart HTTP protocol for GraphQL subscriptions"; GraphQL over HTTP's incremental delivery RFC; RFC 2046 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ..execution import GraphQLResult
from ..execution.request import Dialect
from .negotiation import MULTIPART, Range

SUBSCRIPTION_SPEC = "1.0"
_DIALECTS = ("deferspec", "incrementalspec")
_WRITTEN = {"deferspec": "deferSpec", "incrementalspec": "incrementalSpec"}
_KNOWN = {"deferspec": ("20220824",), "incrementalspec": ("v0.2",)}
_TYPE = b"\r\ncontent-type: application/json; charset=utf-8\r\n"


def is_for_subscriptions(dialect: Range) -> bool:
    """Whether it is Apollo's for subscriptions: such a client takes other answers in one piece."""
    return "subscriptionspec" in dialect.parameters


def incremental_dialect(dialect: Range | None) -> Dialect | None:
    """In which words the client wants what comes in parts; None: it does not say."""
    said = {} if dialect is None else dialect.parameters
    if said.get("deferspec") == "20220824":
        return "20220824"
    return "v0.2" if said.get("incrementalspec") == "v0.2" else None


class Payloads:
    """A `Framing`: every answer is a part `{"payload": {...}}`, and an empty one is a heartbeat."""

    transport = "multipart"
    media_type = f"{MULTIPART};boundary=graphql;subscriptionSpec={SUBSCRIPTION_SPEC}".encode()
    """Without quotes: Python's gql looks for it so."""
    opening = b"\r\n--graphql"
    heartbeat = _TYPE + b"content-length: 2\r\n\r\n{}\r\n--graphql"
    end = b"--\r\n"

    def answer(self, result: GraphQLResult) -> bytes:
        """Raises: Unwritable."""
        return _measured(b'{"payload":%s}' % result.encoded())

    def broken_off(self, result: GraphQLResult) -> bytes:
        """Outside the payload: it is the stream that failed, not the operation."""
        said: Mapping[str, Any] = {"payload": None, "errors": list(result.errors)}
        return _measured(orjson.dumps(said)) + self.end

    def restarting(self, result: GraphQLResult) -> bytes:
        """The error says that it may be tried again."""
        return self.broken_off(result)


def _measured(body: bytes) -> bytes:
    return b"%scontent-length: %d\r\n\r\n%s\r\n--graphql" % (_TYPE, len(body), body)


class Parts:
    """A `Framing`: every answer is a part as it is. There is no heartbeat: clients take each part for an answer."""

    transport = "multipart"
    opening = b"\r\n---"
    heartbeat = b""
    end = b"--\r\n"

    def __init__(self, dialect: Mapping[str, str]) -> None:
        """`dialect`: the parameters of the client's range; what we know of them is said back."""
        told = "".join(f";{_WRITTEN[name]}={dialect[name]}" for name in _DIALECTS if dialect.get(name) in _KNOWN[name])
        self.media_type = f'{MULTIPART};boundary="-"{told}'.encode()

    def answer(self, result: GraphQLResult) -> bytes:
        """Raises: Unwritable."""
        return b"%s\r\n%s\r\n---" % (_TYPE, result.encoded())

    def broken_off(self, result: GraphQLResult) -> bytes:
        return self.answer(result) + self.end

    def restarting(self, result: GraphQLResult) -> bytes:
        return self.broken_off(result)
