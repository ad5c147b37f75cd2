"""Answers by GET that may be kept: for as long as the least fresh of what was read, by whom, and when nobody may."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
import strawberry

from gateway import Ctx, Node, Service, batched, default, entity, field, join, resolver
from gateway.edge.caching import is_known, tag_of
from gateway.edge.compression import GZIP
from gateway.graph import build_graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import Answer, GatewayUnderTest, ScriptedWire, answer, in_virtual_time
from tests.unit.graph.shop import ONCE, TOKENS, values

shelf = Service("shelf")


@entity
class Text:
    """A text."""

    words: str = field("All of it.")


def texts(path: str, **declared: Any) -> Any:
    return shelf.loader(path, keys="ids", key="id", into=Text, **declared)


@entity
class Book(Node):
    """What is read."""

    title: str = field("On its back.")
    blurb: Text | None = join(texts("/blurbs", fresh="20s", shared="public"), on="key")
    note: Text | None = join(texts("/notes", fresh="90s", shared="identity"), on="key")
    house: Text | None = join(texts("/houses", fresh="90s", shared="tenant"), on="key")
    stock: Text | None = join(texts("/stock"), on="key")
    newest: Text | None = join(texts("/newest", fresh="60s", shared="public"), on="key", consistency="strong")
    broken: Text | None = join(texts("/broken", fresh="60s", shared="public"), on="key", otherwise=default(None))
    failing: Text | None = join(texts("/broken", fresh="60s", shared="public"), on="key")

    @resolver
    def shouted(self) -> str:
        """Python that reads nothing."""
        return self.title.upper()

    @resolver
    async def by_hand(self, ctx: Ctx) -> str:
        """Python that calls a service itself."""
        return (await ctx.http(shelf).get("/by-hand")).text

    @batched
    @staticmethod
    async def lent(books: list[Book], ctx: Ctx) -> list[str]:
        """Python that reads for many."""
        return [each.title for each in await ctx.load_many(books_by_key, [book.key for book in books]) if each]


books_by_key = shelf.loader("/books", keys="ids", key="key", into=Book, fresh="60s", shared="public")
all_books = shelf.pages("/all", into=Book, params={"first": "limit", "after": "after"}, fresh="30s", shared="public")


@strawberry.type
class Query:
    @resolver
    async def book(self, ctx: Ctx, key: str) -> Book | None:
        """One."""
        return await ctx.load(books_by_key, key)

    @resolver
    async def books(self, ctx: Ctx) -> list[Book]:
        """All."""
        return list((await ctx.page(all_books, first=2, after=None)).items)

    @resolver
    def whoami(self, ctx: Ctx) -> str:
        """Python that reads nothing."""
        return ctx.identity.subject


graph = build_graph(Query)
CUSTOMER = {"authorization": "Bearer customer"}


def served(request: ServiceRequest) -> ServiceResponse:
    if request.path == "/broken":
        return answer({}, status=500)
    if request.path == "/all":
        return answer({"items": [{"key": "a", "title": "A"}, {"key": "b", "title": "B"}]})
    if request.path == "/books":
        return answer([{"key": key, "title": f"Title {key}"} for key in values(request, "ids")])
    return answer([{"id": key, "words": request.path} for key in values(request, "ids")])


def library(**server: Any) -> GatewayUnderTest:
    services = {"shelf": {"url": "http://shelf.test", **ONCE}}
    settings = Settings.model_validate({"services": services, "identity": {"tokens": TOKENS}, "server": server})
    return GatewayUnderTest(settings, graph, wires={"shelf": ScriptedWire(otherwise=served)})


async def get(gateway: GatewayUnderTest, query: str, **headers: str) -> Answer:
    return await gateway.request(
        "GET",
        "/graphql",
        query={"query": query},
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


@pytest.mark.parametrize(
    ("query", "headers", "kept"),
    [
        ('{ book(key: "a") { id key: title } }', {}, "public, max-age=60"),
        ('{ book(key: "a") { title blurb { words } } }', {}, "public, max-age=20"),
        ("{ books { title blurb { words } } }", {}, "public, max-age=20"),
        ("{ books { title } }", {}, "public, max-age=30"),
        ('{ book(key: "a") { ... on Node { id } __typename } }', {}, "public, max-age=60"),
        ('{ book(key: "a") { title } }', CUSTOMER, "private, max-age=60"),
        ('{ book(key: "a") { note { words } } }', CUSTOMER, "private, max-age=60"),
        ('{ book(key: "a") { house { words } blurb { words } } }', CUSTOMER, "private, max-age=20"),
        ('{ book(key: "a") { note { words } } }', {}, "private, max-age=60"),
        ('{ book(key: "a") { lent } }', {}, "public, max-age=60"),
    ],
)
@in_virtual_time
async def test_an_answer_is_kept_for_as_long_as_the_least_fresh_of_what_was_read(
    query: str, headers: dict[str, str], kept: str
) -> None:
    async with library() as gateway:
        for _ in range(3):  # by graphql-core, by the plan, from the caches
            found = await get(gateway, query, **headers)
            assert (found.status, found.errors) == (200, [])
            assert found.headers["cache-control"] == kept
            assert found.headers["vary"] == "accept, accept-encoding, authorization, cookie"
            assert found.headers["etag"].startswith('"')


@pytest.mark.parametrize(
    "query",
    [
        "{ __typename }",
        "{ __schema { queryType { name } } }",
        "{ whoami }",
        '{ whoami book(key: "a") { title } }',
        '{ book(key: "a") { shouted } }',
        '{ book(key: "a") { title stock { words } } }',
        '{ book(key: "a") { newest { words } } }',
        '{ book(key: "a") { byHand } }',
        '{ book(key: "a") { title broken { words } } }',
        '{ book(key: "a") { title failing { words } } }',
        "{ nothing }",
    ],
)
@in_virtual_time
async def test_what_is_not_known_to_be_fresh_is_kept_by_nobody(query: str) -> None:
    async with library() as gateway:
        for _ in range(3):
            found = await get(gateway, query)
            assert found.headers["cache-control"] == "no-store"
            assert "etag" not in found.headers


@in_virtual_time
async def test_what_was_cached_here_is_kept_for_what_is_left_of_it() -> None:
    async with library() as gateway:
        await get(gateway, '{ book(key: "a") { title } }')
        await asyncio.sleep(12.5)
        assert (await get(gateway, '{ book(key: "a") { title } }')).headers["cache-control"] == "public, max-age=47"
        await asyncio.sleep(47)
        assert (await get(gateway, '{ book(key: "a") { title } }')).headers["cache-control"] == "no-store"


@in_virtual_time
async def test_an_answer_by_post_is_kept_by_nobody() -> None:
    async with library() as gateway:
        found = await gateway.execute('{ book(key: "a") { title } }')
        assert found.headers["cache-control"] == "no-store"


@in_virtual_time
async def test_it_can_be_switched_off() -> None:
    async with library(http_caching=False) as gateway:
        assert (await get(gateway, '{ book(key: "a") { title } }')).headers["cache-control"] == "no-store"


@in_virtual_time
async def test_who_has_the_answer_already_is_told_so() -> None:
    query = '{ book(key: "a") { title } }'
    async with library() as gateway:
        first = await get(gateway, query)
        tag = first.headers["etag"]
        known = await get(gateway, query, if_none_match=f'"other", W/{tag}')
        assert (known.status, known.body) == (304, b"")
        assert {"etag", "cache-control", "vary"} <= known.headers.keys()
        assert "content-length" not in known.headers
        other = await get(gateway, '{ book(key: "b") { title } }', if_none_match=tag)
        assert (other.status, other.headers["etag"] != tag) == (200, True)


@in_virtual_time
async def test_each_representation_has_a_tag_of_its_own() -> None:
    query = '{ book(key: "a") { title } }'
    async with library(compress_above=10) as gateway:
        plain = await get(gateway, query)
        zipped = await get(gateway, query, accept_encoding="gzip")
        newer = await get(gateway, query, accept="application/graphql-response+json")
        assert gzip.decompress(zipped.body) == plain.body == newer.body
        assert len({each.headers["etag"] for each in (plain, zipped, newer)}) == 3
        assert (await get(gateway, query, accept_encoding="gzip", if_none_match=plain.headers["etag"])).status == 200


@pytest.mark.parametrize(
    ("if_none_match", "is_it"),
    [
        (None, False),
        ("", False),
        ("*", True),
        ("{tag}", True),
        ("W/{tag}", True),
        ('"a", {tag} , "b"', True),
        ("abc", False),
    ],
)
def test_tags_are_compared_weakly(if_none_match: str | None, is_it: bool) -> None:
    tag = tag_of(b"body", "application/json", GZIP)
    said = None if if_none_match is None else if_none_match.replace("{tag}", tag.decode())
    assert is_known(tag, said) is is_it
