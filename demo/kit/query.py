"""The query string of a read, checked: every getter returns a usable value or refuses with 400 and says why."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from starlette.datastructures import QueryParams

from demo.kit.answers import malformed

# A caller with more keys than this sends two requests.
MAX_KEYS = 1000


class Query:
    def __init__(self, parameters: QueryParams) -> None:
        self._parameters = parameters

    def keys(self, name: str) -> list[str]:
        """The values of a repeated parameter, each once, in the order asked; from 1 to MAX_KEYS of them."""
        keys = list(dict.fromkeys(self._parameters.getlist(name)))
        if not 1 <= len(keys) <= MAX_KEYS:
            raise malformed(f"{name} must be given from 1 to {MAX_KEYS} times, not {len(keys)}")
        return keys

    def text(self, name: str) -> str | None:
        """The value, or None if it is absent or empty."""
        return self._parameters.get(name) or None

    def limit(self, *, default: int, at_most: int) -> int:
        text = self.text("limit")
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= at_most):
            raise malformed(f"limit must be a whole number from 1 to {at_most}, not {text!r}")
        return int(text)

    def after(self, *, parts: int) -> list[str] | None:
        """The position that a cursor stands for, in as many parts as `cursor` was given."""
        text = self.text("after")
        if text is None:
            return None
        try:
            position = urlsafe_b64decode(text.encode("ascii")).decode().split("\n")
        except ValueError as error:
            raise malformed(f"after is not a cursor that this service gave: {text!r}") from error
        if len(position) != parts:
            raise malformed(f"after is not a cursor that this service gave: {text!r}")
        return position


def cursor(*position: str) -> str:
    """An opaque token for a position in a stable order; its parts hold no line feed."""
    return urlsafe_b64encode("\n".join(position).encode()).decode("ascii")
