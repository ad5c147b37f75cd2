"""Which media type the client gets. Source: RFC 9110 section 12.5.1 and the GraphQL-over-HTTP specification.

Invariant: a client that does not speak of `application/graphql-response+json` gets `application/json`, with status 200 for every
well-formed request, as old clients expect.
"""

from __future__ import annotations

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"


def chosen_media_type(accept: str | None) -> str | None:
    """The media type to answer with, or None where the client takes neither. No header means JSON."""
    if accept is None or not accept.strip():
        return JSON
    return _USUAL[accept] if accept in _USUAL else _chosen(accept)


def _chosen(accept: str) -> str | None:
    qualities = {media_type: _quality(accept, media_type) for media_type in (GRAPHQL_RESPONSE, JSON)}
    if not any(qualities.values()):
        return None
    names_ours = any(_media(part) == GRAPHQL_RESPONSE for part in accept.split(","))
    if names_ours and qualities[GRAPHQL_RESPONSE] >= qualities[JSON]:
        return GRAPHQL_RESPONSE
    return JSON if qualities[JSON] else GRAPHQL_RESPONSE


def _quality(accept: str, media_type: str) -> float:
    """The q-value that the most specific matching range gives, from 0 to 1."""
    best, weight = -1, 0.0
    for part in accept.split(","):
        media = _media(part)
        rank = _specificity(media, media_type)
        if rank > best:
            best, weight = rank, _weight(part)
    return weight


def _specificity(media: str, media_type: str) -> int:
    if media == media_type:
        return 2
    if media == f"{media_type.split('/')[0]}/*":
        return 1
    return 0 if media == "*/*" else -1


def _media(part: str) -> str:
    return part.split(";")[0].strip().lower()


def _weight(part: str) -> float:
    for parameter in part.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


_USUAL = {
    accept: _chosen(accept)
    for accept in (
        "*/*",
        JSON,
        GRAPHQL_RESPONSE,
        f"{GRAPHQL_RESPONSE}, {JSON}",
        f"{GRAPHQL_RESPONSE},{JSON};q=0.9",
        f"{JSON}, {GRAPHQL_RESPONSE}",
        f"{JSON}, multipart/mixed",
        f"{JSON}, text/plain, */*",
    )
}
"""What nearly all clients send: answered by a look-up."""
