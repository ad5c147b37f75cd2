"""Which media type the client gets. Source: RFC 9110 section 12.5.1, the GraphQL-over-HTTP specification, and what clients send.

Invariants: a client that does not speak of `application/graphql-response+json` gets `application/json`, with status 200 for every
well-formed request, as old clients expect; nobody is sent a stream unless it names one, whatever its wildcards say; a type that is
given the weight 0 is never chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
MULTIPART = "multipart/mixed"


class Range(NamedTuple):
    """One part of an Accept header."""

    media: str
    """In lower case, perhaps with wildcards."""
    parameters: Mapping[str, str]
    """Without the weight; names in lower case, values without quotes."""
    weight: float
    """0 to 1."""


class Accepted(NamedTuple):
    """What a client takes."""

    whole: str | None
    """The media type of an answer in one piece."""
    stream: Range | None
    """Of an answer that comes by and by; its parameters say in which dialect."""


def accepted(accept: str | None) -> Accepted:
    """What the header says. No header means JSON."""
    if accept is None or not accept.strip():
        return _UNSAID
    return _USUAL[accept] if accept in _USUAL else _accepted(accept)


def ranges_of(accept: str) -> list[Range]:
    """The parts of the header, in its order."""
    return [_range(part) for part in _split(accept, ",") if part.strip()]


def _accepted(accept: str) -> Accepted:
    ranges = ranges_of(accept)
    return Accepted(_whole(ranges), _stream(ranges))


def _whole(ranges: Iterable[Range]) -> str | None:
    weights = {media: _weight_of(ranges, media) for media in (GRAPHQL_RESPONSE, JSON)}
    if not any(weights.values()):
        return None
    names_ours = any(each.media == GRAPHQL_RESPONSE for each in ranges)
    if names_ours and weights[GRAPHQL_RESPONSE] >= weights[JSON]:
        return GRAPHQL_RESPONSE
    return JSON if weights[JSON] else GRAPHQL_RESPONSE


def _stream(ranges: Iterable[Range]) -> Range | None:
    """The heaviest that is named; of equal ones the first."""
    named = [each for each in ranges if each.media in (EVENT_STREAM, MULTIPART) and each.weight > 0]
    return max(named, key=lambda each: each.weight, default=None)


def _weight_of(ranges: Iterable[Range], media: str) -> float:
    """The weight that the most specific matching range gives."""
    best, weight = -1, 0.0
    for each in ranges:
        rank = _specificity(each.media, media)
        if rank > best:
            best, weight = rank, each.weight
    return weight


def _specificity(pattern: str, media: str) -> int:
    if pattern == media:
        return 2
    if pattern == f"{media.split('/')[0]}/*":
        return 1
    return 0 if pattern == "*/*" else -1


def _range(part: str) -> Range:
    media, *rest = _split(part, ";")
    parameters: dict[str, str] = {}
    for each in rest:
        name, _, value = each.partition("=")
        parameters.setdefault(name.strip().lower(), _unquoted(value.strip()))
    return Range(media.strip().lower(), parameters, _weight(parameters.pop("q", "1")))


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _unquoted(value: str) -> str:
    return (
        value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if len(value) > 1 and value[0] == value[-1] == '"'
        else value
    )


def _split(text: str, separator: str) -> list[str]:
    """At separators that stand in no quoted string."""
    if '"' not in text:
        return text.split(separator)
    parts, begin, is_quoted, is_escaped = list[str](), 0, False, False
    for at, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif is_quoted:
            is_escaped, is_quoted = character == "\\", character != '"'
        elif character == '"':
            is_quoted = True
        elif character == separator:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]]


_UNSAID = Accepted(JSON, None)
_USUAL = {
    accept: _accepted(accept)
    for accept in (
        "*/*",
        JSON,
        GRAPHQL_RESPONSE,
        f"{GRAPHQL_RESPONSE}, {JSON}",
        f"{GRAPHQL_RESPONSE},{JSON};q=0.9",
        f"{JSON}, {GRAPHQL_RESPONSE}",
        f"{JSON}, multipart/mixed",
        f"{JSON}, text/plain, */*",
        f"{GRAPHQL_RESPONSE}, application/graphql+json, {JSON}, {EVENT_STREAM}, {MULTIPART}",
    )
}
"""What nearly all clients send: answered by a look-up."""
