"""A request's headers, decoded once: what is asked of them a dozen times a request is a look-up.

Invariant: names are in lower case, as ASGI gives them, and must be asked for so.
"""

from __future__ import annotations

from collections.abc import Iterable


class ClientHeaders(dict[str, str]):
    """The first value of each name. `pairs`: all of them, in the order in which they came; `raw`: the same as bytes."""

    __slots__ = ("pairs", "raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self.raw = list(raw)
        self.pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw]
        super().__init__(reversed(self.pairs))

    def all_of(self, name: str) -> list[str]:
        """Every value of a name that may come several times."""
        return [value for each, value in self.pairs if each == name] if name in self else []
