"""One attempt over HTTP: a request out, a GraphQL answer in, or an error that says whether to try again.

Source: the GraphQL-over-HTTP specification (draft); RFC 9110 for Retry-After.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import httpx

from .errors import GraphError, NoAnswer, SagaQLError, graph_error

ACCEPT = "application/graphql-response+json, application/json;q=0.9"
TRY_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses with which something between us and the gateway says "not now"."""

OURS = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.TooManyRedirects)
"""Failures that another attempt would only repeat."""

TRAVEL = 0.2
"""Seconds of an attempt that are kept for the way back, so that what the gateway has by its deadline is read by ours."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A GraphQL answer with data."""

    data: Mapping[str, Any]
    errors: tuple[GraphError, ...]
    extensions: Mapping[str, Any]


class Transport:
    """Sends operations to one gateway."""

    def __init__(self, url: str, *, headers: Mapping[str, str], http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http
        self._headers = {**headers, "accept": ACCEPT, "content-type": "application/json"}

    async def send(self, body: bytes, *, headers: Mapping[str, str], timeout: float) -> Answer:  # noqa: ASYNC109 - of one attempt
        """Raises: GraphError, NoAnswer. Cancelled: the connection closes, and the gateway stops a query."""
        sent = {**self._headers, **headers, "x-request-timeout-ms": str(_left_for_gateway(timeout))}
        try:
            async with asyncio.timeout(timeout):
                response = await self._http.post(self._url, content=body, headers=sent, timeout=None)
        except TimeoutError as error:
            raise NoAnswer(f"the gateway did not answer within {timeout:.1f} s") from error
        except httpx.RequestError as error:
            told = f"the gateway cannot be reached: {type(error).__name__}: {error}"
            raise NoAnswer(told, retryable=not isinstance(error, OURS)) from error
        return read(response.status_code, response.content, retry_after=response.headers.get("retry-after"))


def read(status: int, content: bytes, *, retry_after: str | None) -> Answer:
    """The answer. Raises: GraphError for one without data, NoAnswer for what is none."""
    answer = _graphql(content)
    if answer is not None and isinstance(answer.get("data"), dict):
        errors = tuple(graph_error(each) for each in answer.get("errors") or ())
        return Answer(answer["data"], errors, answer.get("extensions") or {})
    error: SagaQLError
    if answer is not None and answer.get("errors"):
        error = graph_error(answer["errors"][0])
    else:
        error = NoAnswer(f"what answered {status} is no GraphQL", status=status, retryable=status in TRY_AGAIN)
    error.retry_after = max(error.retry_after, seconds_of(retry_after, now=time()))
    raise error


def seconds_of(retry_after: str | None, *, now: float) -> float:
    """The header, of seconds or a date; 0 for one that is missing or neither. `now`: seconds since 1970."""
    if retry_after is None:
        return 0.0
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _graphql(content: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and ("data" in answer or "errors" in answer) else None


def _left_for_gateway(timeout: float) -> int:
    return max(1, int((timeout - min(TRAVEL, timeout / 10)) * 1000))
