"""What a graph author declares of an endpoint that is read: `Loader` (many keys) and `Pages` (a listing).

Both are frozen and know nothing of a running application; `Loaders` binds them. What they say is what `sagaql explain` prints.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ..clock import NEVER, Seconds
from ..services import Sharing

V_co = TypeVar("V_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[V_co]):
    """Part of a longer list. `total` counts the whole list where the service says so; `next` is the service's own cursor."""

    items: Sequence[V_co]
    next: str | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """How one record of a payload becomes a value of the graph.

    Either `into` alone (a Struct is derived from its plain fields, camelCase on the wire, exceptions in `fields`), or `record`
    and `to` where the translation is more than renaming.
    """

    into: type[Any]
    record: type[Any] | None = None
    to: Callable[[Any], Any] | None = None
    fields: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if (self.record is None) != (self.to is None):
            raise TypeError(f"{self.into.__name__}: `record` and `to` belong together; give both or neither")
        if self.record is not None and self.fields:
            raise TypeError(
                f"{self.into.__name__}: `fields` renames a derived record; with `record` name the fields there"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Loader(Generic[V_co]):
    """A batch endpoint: keys in, one answer per key. Made by `Service.loader`; hashable by identity.

    Value per key: the record or None ("there is none"); with `many` a list, with `page` a `Page`. A failure is an exception,
    never one of these.
    """

    service: str
    path: str
    shape: Shape
    keys: str
    """Name of the query parameter (GET, repeated) or body member (POST, a list) that carries the keys."""
    key: str
    """Name of the payload's field that says which key a record answers."""
    method: str = "GET"
    many: bool = False
    page: bool = False
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    """Arguments that the endpoint takes besides keys: name in the graph -> name on the wire."""
    envelope: str | None = None
    """Member of the payload that holds the list, where it is not the payload itself."""
    max_batch: int = 100
    max_page: int = 1_000
    """With `page`: items that the service gives of one key at once."""
    max_entries: int = 10_000
    fresh: Seconds = NEVER
    """Up to this age an answer is served again without asking."""
    revalidate: Seconds = NEVER
    """For this long after `fresh` it is served at once and asked for anew meanwhile."""
    sharing: Sharing = Sharing.IDENTITY

    @property
    def name(self) -> str:
        """Stable and readable: a metric label, a line of `explain`."""
        return f"{self.service} {self.path}"

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def absent(self) -> Any:
        """What a key has when the service answered and did not mention it."""
        if self.page:
            return Page(items=())
        return [] if self.many else None

    @property
    def yielded(self) -> str:
        """What a key has, in words: "Stock", "list[Review]", "Page[Order]"."""
        name = self.shape.into.__name__
        return f"Page[{name}]" if self.page else f"list[{name}]" if self.many else name

    def yields(self) -> V_co:
        """For type checkers: says what a key has. Nobody calls it."""
        raise TypeError(f"{self!r} is a declaration: ask for a key with ctx.load(...)")

    def __repr__(self) -> str:
        return f"<Loader {self.name}>"


@dataclass(frozen=True, slots=True, eq=False)
class Pages(Generic[V_co]):
    """A listing endpoint: filters and a cursor in, one page out. Made by `Service.pages`."""

    service: str
    path: str
    shape: Shape
    params: Mapping[str, str]
    items: str = "items"
    cursor: str = "nextCursor"
    total: str = "total"
    max_page: int = 1_000
    """Items that the service gives at once."""
    fresh: Seconds = NEVER
    revalidate: Seconds = NEVER
    """As of a Loader."""
    sharing: Sharing = Sharing.IDENTITY
    max_entries: int = 1_000

    @property
    def name(self) -> str:
        return f"{self.service} {self.path}"

    @property
    def endpoint(self) -> str:
        return f"GET {self.path}"

    def __repr__(self) -> str:
        return f"<Pages {self.name}>"


@dataclass(frozen=True, slots=True)
class LazyLoader:
    """A loader named before its module can be imported: the back edge of a cycle between two entities' files."""

    reference: str

    def resolve(self) -> Loader[Any]:
        """Raises: LookupError that names the reference when it is not there or not a loader."""
        module_name, _, name = self.reference.partition(":")
        found = getattr(importlib.import_module(module_name), name, None)
        if not isinstance(found, Loader):
            raise LookupError(f"lazy_loader({self.reference!r}): {module_name} has no loader named {name!r}")
        return found


def resolved(declared: Loader[Any] | LazyLoader) -> Loader[Any]:
    """The loader itself. Raises: as `LazyLoader.resolve`."""
    return declared.resolve() if isinstance(declared, LazyLoader) else declared


def lazy_loader(reference: str) -> Any:
    """Name a loader as "package.module:name" where importing it would close a cycle; use a direct name elsewhere."""
    if ":" not in reference:
        raise ValueError(f'lazy_loader({reference!r}): write "package.module:name"')
    return LazyLoader(reference)
