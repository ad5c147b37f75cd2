"""Relay's connections: pages of a longer list, with opaque cursors. Source: the GraphQL Cursor Connections specification.

Services give one cursor a page, clients are owed one an edge. So a cursor is the service's cursor of the page that the edge stood
on and how many edges of that page to skip: resuming in the middle of a page asks for that page again, `skip` items longer.
Invariant: a cursor that this gateway did not give out is refused, never guessed at.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import strawberry

from ..errors import BadUserInput, Violation
from ..loading import Page

T = TypeVar("T")
N_co = TypeVar("N_co", covariant=True)
"""What stands in a page. The nodes of a `Connection[Letter | None]` may be null, as where a caller may not read each of them."""


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is something before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first edge.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last edge: pass it as `after` to go on.")


@strawberry.type(description="A place in a page.")
class Edge(Generic[N_co]):
    cursor: str = strawberry.field(description="Pass it as `after` to get what follows this place.")
    node: N_co = strawberry.field(description="What stands there.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[N_co]):
    edges: list[Edge[N_co]] = strawberry.field(description="The places of this page, in the list's order.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    total_count: int | None = strawberry.field(description="Length of the whole list, where the service tells it.")


class Cursor(msgspec.Struct, array_like=True, frozen=True):
    """A place: `skip` items into the page that the service's cursor `page` begins."""

    page: str | None
    skip: int


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that a client asks for."""

    first: int
    cursor: Cursor
    longest: int
    """Items that the service gives at once. So whoever resumes in the middle of a page may get fewer than `first`; the last edge
    of that page begins the next one."""

    @property
    def limit(self) -> int:
        """What to ask of the service: the wanted items and those to be skipped."""
        return min(self.first + self.cursor.skip, self.longest)


START = Cursor(None, 0)


def window(first: int, after: str | None, *, longest: int) -> Window:
    """`longest`: what the service gives at once. Raises: BadUserInput for a cursor that is not ours."""
    return Window(first, START if after is None else _decode(after, longest=longest), longest)


def connection(page: Page[T], asked: Window) -> Connection[T]:
    """The service's answer to `asked` in the shape that clients know."""
    skip, begin = asked.cursor.skip, asked.cursor.page
    items = page.items[skip:]
    cursors = [_encode(Cursor(begin, skip + index + 1)) for index in range(len(items))]
    begins_next = None if page.next is None else _encode(Cursor(page.next, 0))
    if cursors and begins_next is not None:
        cursors[-1] = begins_next
    return Connection(
        edges=[Edge(cursor=cursor, node=item) for cursor, item in zip(cursors, items, strict=True)],
        page_info=PageInfo(
            has_next_page=page.next is not None,
            has_previous_page=asked.cursor != START,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else begins_next,
        ),
        total_count=page.total,
    )


def _encode(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _decode(text: str, *, longest: int) -> Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise _not_a_cursor() from error
    if not 0 <= cursor.skip <= longest:  # a page that is full and the last has `longest` items to skip; more was forged
        raise _not_a_cursor()
    return cursor


def _not_a_cursor() -> BadUserInput:
    problem = "is not a cursor of this list"
    return BadUserInput(f"after {problem}", violations=[Violation(("after",), problem, "cursor")])
