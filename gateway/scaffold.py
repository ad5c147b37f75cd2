"""`sagaql init`: a project of one's own, small and whole: an entity with a join, a saga, a test that needs no network.

Invariant: nothing that exists is overwritten. What is written here is checked by a test as a stranger would use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class AlreadyThere(Exception):
    """Files that `init` would have to overwrite."""

    def __init__(self, files: list[str]) -> None:
        super().__init__(f"there already: {', '.join(files)}; choose an empty folder: sagaql init FOLDER")
        self.files = files


def write_project(folder: Path) -> list[Path]:
    """Write the files into `folder`, which is made if need be. Raises: AlreadyThere before anything is written."""
    taken = [name for name in FILES if (folder / name).exists()]
    if taken:
        raise AlreadyThere(taken)
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip("\n"), encoding="utf-8")
    return [folder / name for name in FILES]


FILES: Mapping[str, str] = {
    "gateway.toml": """
# One graph over the services below. `sagaql check` says what does not fit; `sagaql serve` serves it.

# For this machine only. Where others reach it: SAGAQL_PROFILE=production; `sagaql check --profile production` lists the risks.
profile = "dev"

[graph]
query = "resolvers:Query"
mutation = "mutations:Mutation"

[services.books]
url = "${BOOKS_URL:-http://127.0.0.1:9001}"

[services.lending]
url = "${LENDING_URL:-http://127.0.0.1:9002}"

[sagas]
journal = ".sagaql/journal.sqlite3"
""",
    ".gitignore": """
.sagaql/
__pycache__/
""",
    "resolvers/__init__.py": '''
"""The read side: one file per entity."""

from .query import Query

__all__ = ["Query"]
''',
    "resolvers/services.py": '''
"""The services that this graph is made of, by name; gateway.toml says where they are."""

from gateway import Service

books = Service("books")
lending = Service("lending")
''',
    "resolvers/book.py": '''
"""Books: the title from one service, whether it can be borrowed from another."""

from gateway import Node, entity, field, join, stale

from .services import books, lending


@entity
class Availability:
    """Whether a book can be borrowed."""

    copies: int = field("Copies on the shelf.")


# GET /availability?books=1&books=2 -> [{"bookId": "1", "copies": 3}, ...]
availability_by_book = lending.loader(
    "/availability", keys="books", key="bookId", into=Availability, fresh="2s", shared="public"
)


@entity
class Book(Node):
    """A book of the library."""

    title: str = field("As it stands on the cover.")
    availability: Availability | None = join(
        availability_by_book, on="key", otherwise=stale("15m"), description="Null while nobody can tell."
    )


# GET /books?ids=1&ids=2 -> [{"id": "1", "title": "Emma"}, ...]
books_by_key = books.loader(
    "/books", keys="ids", key="id", into=Book, fields={"key": "id"}, fresh="1m", shared="public"
)
''',
    "resolvers/query.py": '''
"""The root of queries."""

import strawberry
from gateway import Ctx, Node, entity, parse_id, resolver

from .book import Book, books_by_key


@entity
class Query:
    """Whatever can be read."""

    @resolver
    async def node(self, ctx: Ctx, id: strawberry.ID) -> Node | None:
        """Anything by its id; null if it is not there."""
        type_name, key = parse_id(id)
        return await ctx.load(books_by_key, key) if type_name == "Book" else None

    @resolver
    async def book(self, ctx: Ctx, number: str) -> Book | None:
        """A book by the number on its back."""
        return await ctx.load(books_by_key, number)

''',
    "mutations/__init__.py": '''
"""The write side: one file per saga, named by its verb."""

import strawberry
from gateway import saga_field

from .borrow_book import BorrowBook


@strawberry.type(description="Whatever can be changed. Each field is a saga: it ends, done or undone.")
class Mutation:
    borrow_book = saga_field(BorrowBook)


__all__ = ["Mutation"]
''',
    "mutations/borrow_book.py": '''
"""`borrowBook`: a copy is held, then lent; or neither."""

from typing import Annotated

import msgspec
from gateway import (
    Done,
    IdOf,
    Length,
    Saga,
    StepCtx,
    Unknown,
    entity,
    field,
    input_type,
    key_of,
    step,
)

from resolvers.book import Book, availability_by_book
from resolvers.services import lending


@input_type
class BorrowBookInput:
    """Which book, and who borrows it."""

    book_id: Annotated[str, IdOf("Book")] = field("The book.")
    card: Annotated[str, Length(4, 20)] = field("Number of the library card.")


@entity
class Loan:
    """A book that somebody took home."""

    number: str = field("Of the loan.")


class Hold(msgspec.Struct, rename="camel"):
    hold_id: str


class Lent(msgspec.Struct, rename="camel"):
    loan_id: str


class Nothing(msgspec.Struct):
    """What a service answers that has nothing to say."""


# A service keeps its part of the promise by honouring `Idempotency-Key`, and an undo by refusing, from then on, the request whose
# key it names (a tombstone).
hold_copy = lending.command("POST", "/holds", into=Hold, rejects={"NO_COPY": "All copies are lent."})
drop_hold = lending.command("POST", "/holds/drop", into=Nothing)
lend_copy = lending.command("POST", "/loans", into=Lent, rejects={"CARD_BLOCKED": "The card is blocked."})


class BorrowBook(Saga[BorrowBookInput, Loan], version=1, deadline="30s", key="required"):
    """Borrow a copy of a book."""

    @step(invalidates=[availability_by_book], overtaken="tombstone")
    async def hold(self, ctx: StepCtx, borrow: BorrowBookInput) -> Hold:
        return await ctx.send(hold_copy, {"bookId": key_of(borrow.book_id, Book)})

    @hold.undo
    async def drop(self, ctx: StepCtx, hold: Done[Hold] | Unknown) -> None:
        await ctx.send(drop_hold, {"forwardKey": ctx.forward_key})

    @step(pivot=True)
    async def loan(self, ctx: StepCtx, borrow: BorrowBookInput, hold: Hold) -> Lent:
        return await ctx.send(lend_copy, {"holdId": hold.hold_id, "card": borrow.card})

    def result(self, loan: Lent) -> Loan:
        return Loan(number=loan.loan_id)
''',
    "tests/test_graph.py": '''
"""The graph without its services: each is a script, so every case can be had at will."""

import asyncio
from pathlib import Path

from gateway.app import load_graph
from gateway.errors import ServiceUnavailable
from gateway.settings import load_settings
from gateway.testing import GatewayUnderTest, MemoryJournal, ScriptedWire, answer

PROJECT = Path(__file__).resolve().parents[1]
BOOK = '{ book(number: "1") { title availability { copies } } }'


def ask(query: str, **wires: ScriptedWire):
    settings = load_settings(PROJECT / "gateway.toml")

    async def run():
        async with GatewayUnderTest(settings, load_graph(settings), wires=wires, journal=MemoryJournal()) as gateway:
            return await gateway.execute(query)

    return asyncio.run(run())


def test_a_book_is_joined_with_its_availability():
    books = ScriptedWire(answer([{"id": "1", "title": "Emma"}]))
    lending = ScriptedWire(answer([{"bookId": "1", "copies": 3}]))

    found = ask(BOOK, books=books, lending=lending)

    assert found.data == {"book": {"title": "Emma", "availability": {"copies": 3}}}


def test_a_dead_service_leaves_the_rest_of_the_answer_standing():
    books = ScriptedWire(answer([{"id": "1", "title": "Emma"}]))
    lending = ScriptedWire(otherwise=lambda _: ServiceUnavailable("lending is down", service="lending"))

    found = ask(BOOK, books=books, lending=lending)

    assert found.data == {"book": {"title": "Emma", "availability": None}}
    assert found.codes == ["SERVICE_UNAVAILABLE"]
''',
}
