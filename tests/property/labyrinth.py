"""A graph that has everything a compiler of operations can get wrong, and in which anything may go wrong, by a seed.

Invariant: what a field is depends on the seed, its coordinate, the key of its parent and its arguments, and on nothing else: not on
the order in which fields are executed, nor on what travels together. So two executions may be compared.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, TypeVar, cast

import msgspec
import strawberry
from strawberry.scalars import JSON

from gateway import (
    Between,
    Connection,
    Ctx,
    Node,
    Service,
    alternative,
    authenticated,
    batched,
    default,
    entity,
    field,
    input_type,
    join,
    lazy_loader,
    newest,
    own,
    resolver,
    scope,
    stale,
)
from gateway.errors import BadUserInput, ServiceUnavailable
from gateway.graph import build_graph
from gateway.identity import Identity
from gateway.services import ServiceRequest, ServiceResponse
from gateway.testing import answer

T = TypeVar("T")

KEYS = ("ann", "bob", "cyd", "dee")
SERVICES = ("people", "robots", "places")


@dataclass(frozen=True)
class Moods:
    """What goes wrong, and how often."""

    seed: int = 0
    rate: float = 0.0

    def number(self, *about: object) -> int:
        """A number that is always the same for the same question."""
        return zlib.crc32(repr((self.seed, *about)).encode())

    def fault(self, *about: object) -> int | None:
        """None where all is well; else a number that says which way it is not."""
        found = self.number(*about)
        return found // 1_000 if (found % 1_000) < self.rate * 1_000 else None


MOODS: ContextVar[Moods] = ContextVar("MOODS", default=Moods())  # noqa: B039 - it is frozen


class Wrong:
    """A value of no type of the graph."""

    def __repr__(self) -> str:
        return "<wrong>"


def twisted(good: T, *about: object) -> T:
    """`good`, or what a careless author might have put there, with the same type on paper."""
    fault = MOODS.get().fault("value", *about)
    if fault is None:
        return good
    wrong: list[Any] = [None, RuntimeError(f"no {about[0]}"), Wrong(), None, True, -(2**40), "text", float("nan")]
    return cast("T", [*wrong, [], ["a", None]][fault % 10])


def fails(*about: object) -> None:
    """Raises: what a resolver may raise, now and then."""
    fault = MOODS.get().fault("raise", *about)
    if fault is not None:
        raise (
            RuntimeError(f"broken {about[0]}"),
            ServiceUnavailable(f"down {about[0]}", service="people"),
            BadUserInput(f"bad {about[0]}"),
            LookupError(f"lost {about[0]}"),
        )[fault % 4]


async def takes_a_while(*about: object) -> None:
    """Some are there at once, some in the next tick, some a second later."""
    number = MOODS.get().number("time", *about)
    if number % 3:
        await asyncio.sleep((0, 0, 0.25, 1.0)[number // 3 % 4])


def keys_of(*about: object, most: int = 3) -> list[str]:
    """Some of the keys that there are, and sometimes one that there is not."""
    number = MOODS.get().number("keys", *about)
    return [(*KEYS, "nobody")[(number >> 3 * index) % 5] for index in range(number % (most + 1))]


def one_of(*about: object) -> str | None:
    """One of these keys, or none."""
    return next(iter(keys_of(*about, most=1)), None)


def may_see(parent: Any, identity: Identity) -> bool:
    """A guard that refuses some, and breaks now and then."""
    fails("guard", parent.key)
    return MOODS.get().fault("guarded", parent.key) is None


# -- types -------------------------------------------------------------------------------------------------------------


@strawberry.enum
class Colour(Enum):
    RED = "r"
    GREEN = "g"
    BLUE = strawberry.enum_value("b", name="AZURE")


people, robots, places = map(Service, SERVICES)
LAZY = "tests.property.labyrinth"
people_by_key = lazy_loader(f"{LAZY}:people_loader")
robots_by_owner = lazy_loader(f"{LAZY}:robots_loader")


@entity
class Place:
    """Where somebody is."""

    key: str = field()
    name: str = field()
    height: float | None = field(cost=2)
    opened: datetime = field()
    closed: datetime | None = field()
    data: JSON | None = field()

    @resolver
    def label(self) -> str:
        """In capitals."""
        fails("Place.label", self.key)
        return twisted(self.key.upper(), "Place.label", self.key)


@strawberry.interface
class Being(Node):
    name: str
    colour: Colour | None


@input_type
class Wish:
    """What is asked for."""

    words: list[str] = field()
    times: Annotated[int, Between(1, 3)] = field(default=1)
    colour: Colour | None = field(default=None)


@entity
class Robot(Being):
    """A being that was made."""

    owner_key: strawberry.Private[str | None]
    parts: list[int] = field()
    serial: int | None = field()
    owner: Annotated["Person", strawberry.lazy(LAZY)] | None = join(people_by_key, on="owner_key")


@strawberry.type
class Rock:
    """It has no interface, and is told by its class."""

    key: strawberry.Private[str]
    weight: float


@entity(allow=scope("nobody") | own(may_see))
class Diary(Being):
    """A being that only its owner may read."""

    pages: int = field()
    owner_key: strawberry.Private[str | None]
    owner: Annotated["Person", strawberry.lazy(LAZY)] | None = join(people_by_key, on="owner_key")

    @resolver(allow=scope("nobody"))
    def seal(self) -> str:
        """Must be there, and is refused."""
        return self.key


@entity(allow=scope("nobody"))
class Vault:
    """Nobody may read it."""

    key: strawberry.Private[str]
    gold: int = field()


Thing = Annotated["Person | Robot | Rock | Diary | Vault", strawberry.union("Thing")]


class KeyRecord(msgspec.Struct):
    """Whatever a service says of something: its key. All else is made of that."""

    key: str


class OwnedRecord(msgspec.Struct):
    key: str
    owner: str


places_by_key = places.loader(
    "/places", keys="ids", key="key", into=Place, record=KeyRecord, to=lambda it: place(it.key)
)
new_places_by_key = robots.loader(
    "/new", keys="ids", key="key", into=Place, record=KeyRecord, to=lambda it: place(it.key)
)


@entity
class Person(Being):
    """A being with everything."""

    nick: str | None = field()
    age: int = field()
    score: float = field()
    is_tall: bool | None = field()
    born: datetime | None = field()
    mood: Colour = field()
    tags: list[str | None] = field()
    grid: list[list[int]] = field()
    maybe_grid: list[list[int | None] | None] | None = field()
    data: JSON | None = field()
    home: Place = field()
    second_home: Place | None = field()
    visited: list[Place | None] = field()
    own_age: int | None = field(default=7, allow=own(may_see))
    own_home: Place | None = field(default=None, allow=own(may_see))
    boss_key: strawberry.Private[str | None]
    place_key: strawberry.Private[str | None]

    boss: Annotated["Person", strawberry.lazy(LAZY)] | None = join(people_by_key, on="boss_key", cost=3)
    servants: list[Robot] = join(
        robots_by_owner, on="key", otherwise=default([]), most=(Annotated[int, Between(0, 3)], 2)
    )
    place: Place | None = join(places_by_key, on="place_key", otherwise=(alternative(new_places_by_key), stale("15m")))
    newest_place: Place | None = join(
        [places_by_key, new_places_by_key], on="place_key", reconcile=newest("opened"), cost=5
    )
    now_at: Place | None = join(places_by_key, on="place_key", consistency="strong")
    secret_place: Place | None = join(places_by_key, on="place_key", allow=may_see)
    open_place: Place | None = join(places_by_key, on="place_key", allow=authenticated)
    closed_place: Place | None = join(places_by_key, on="place_key", allow=scope("nobody") & own(may_see))
    own_place: Place | None = join(places_by_key, on="place_key", allow=scope("nobody") | own(may_see))
    fleet: Connection[Robot] | None = join(
        lazy_loader(f"{LAZY}:fleets"), on="key", first=(int, 2), after=(str | None, None)
    )

    @resolver
    def shout(self, times: Annotated[int, Between(1, 5)] = 1, wish: Wish | None = None) -> str:
        """Has arguments."""
        fails("Person.shout", self.key, times)
        words = [] if wish is None else [*wish.words, str(wish.times), str(wish.colour)]
        return twisted(" ".join([self.key * times, *words]), "Person.shout", self.key)

    @resolver
    def whisper(self) -> str | None:
        """Needs only its parent."""
        fails("Person.whisper", self.key)
        return twisted(self.key, "Person.whisper", self.key)

    @resolver(allow=may_see, cost=7)
    def secret(self, ctx: Ctx) -> str | None:
        """Is guarded, and told the request."""
        fails("Person.secret", self.key)
        return f"{ctx.identity.subject} of {self.key}"

    @resolver(allow=authenticated & own(may_see))
    def own_secret(self) -> str | None:
        """Is guarded by a rule."""
        return self.key

    diary: Diary | None = join(lazy_loader(f"{LAZY}:diaries_by_key"), on="key")
    vault: Vault | None = field(default=None)
    vaults: list[Vault | None] | None = join(lazy_loader(f"{LAZY}:vaults_by_owner"), on="key")
    chest: "Chest | None" = field(default=None)

    @resolver(allow=scope("nobody"))
    def refused(self) -> str | None:
        """Is refused to everybody."""
        fails("Person.refused", self.key)
        return self.key

    @resolver
    async def must_diary(self) -> Diary:
        """Without it there is no person."""
        await takes_a_while("Person.mustDiary", self.key)
        return twisted(diary(self.key), "Person.mustDiary", self.key)

    @resolver
    def grid_of_diaries(self) -> list[list[Diary] | None]:
        """Those of several."""
        return [list(map(diary, keys_of("gridOfDiaries", self.key, row))) for row in range(2)]

    @batched.guarded(scope("nobody") | own(may_see))
    @staticmethod
    async def own_luck(persons: list["Person"]) -> list[int | None]:
        """One call for those whose it is."""
        await takes_a_while("Person.ownLuck")
        return [len(each.key) for each in persons]

    @resolver
    async def slow_word(self) -> str:
        """Takes a while."""
        await takes_a_while("Person.slowWord", self.key)
        fails("Person.slowWord", self.key)
        return twisted(self.key, "Person.slowWord", self.key)

    @resolver
    async def partner(self) -> Annotated["Person", strawberry.lazy(LAZY)] | None:
        """Objects that come one by one."""
        await takes_a_while("Person.partner", self.key)
        fails("Person.partner", self.key)
        found = one_of("Person.partner", self.key)
        return twisted(None if found is None else person(found), "Person.partner", self.key)

    @strawberry.field
    async def must_partner(self, info: strawberry.Info) -> Annotated["Person", strawberry.lazy(LAZY)]:
        await takes_a_while("Person.mustPartner", self.key)
        fails("Person.mustPartner", self.key)
        named = f"{info.field_name} {info.path.as_list()[0]}"
        return twisted(person(named[:4]), "Person.mustPartner", self.key)

    @strawberry.field
    def circle(
        self, root: strawberry.Parent["Person"], most: int = 2
    ) -> list[Annotated["Person", strawberry.lazy(LAZY)]]:
        fails("Person.circle", root.key)
        people: Any = tuple(map(person, keys_of("Person.circle", self.key, most=most)))  # a tuple serves as a list
        return cast("list[Person]", twisted(people, "Person.circle", self.key))

    @strawberry.field
    def promised(self) -> list[Annotated["Person", strawberry.lazy(LAZY)] | None]:
        """Items that are awaited one by one."""
        return [promise(key) for key in keys_of("Person.promised", self.key)]  # type: ignore[misc]

    @strawberry.field
    def promised_grid(self) -> list[list[int | None]] | None:
        return [[number(key), 1] for key in keys_of("Person.promisedGrid", self.key)]  # type: ignore[list-item]

    @strawberry.field
    def drawn(self) -> list[int]:
        return steps(self.key)  # type: ignore[return-value]

    @strawberry.field
    def streamed(self) -> list[str] | None:
        return stream(self.key)  # type: ignore[return-value]

    @strawberry.field
    def idol(self) -> Being | None:
        found: Being | None = twisted(thing("Person.idol", self.key), "Person.idol", self.key)
        return found

    @strawberry.field
    async def things(self) -> list[Thing]:
        await takes_a_while("Person.things", self.key)
        found = [thing("Person.things", self.key, index) for index in range(len(keys_of("Person.things", self.key)))]
        return twisted(found, "Person.things", self.key)

    @strawberry.field
    def grid_of_beings(self) -> list[list[Being | None]]:
        return [[thing("Person.gridOfBeings", self.key, each) for each in range(2)] for _ in range(2)]

    @batched.priced(11)
    @staticmethod
    async def luck(persons: list["Person"], ctx: Ctx, salt: int = 1) -> list[int | None]:
        """One call for all."""
        await takes_a_while("Person.luck", salt)
        fails("Person.luck", salt)
        if MOODS.get().fault("length", salt):
            return []  # too few for however many ask in one tick: that is for the executions to choose
        return [twisted(len(each.key) * salt, "Person.luck", each.key) for each in persons]

    @batched
    @staticmethod
    async def friends(persons: list["Person"]) -> list[list[Annotated["Person", strawberry.lazy(LAZY)]]]:
        """One call for all, and lists of objects for each."""
        await takes_a_while("Person.friends")
        return [
            twisted(list(map(person, keys_of("friends", each.key))), "Person.friends", each.key) for each in persons
        ]


class PersonRecord(KeyRecord):
    """A person as the service tells it."""


@entity
class Chest:
    """Of which all may be refused."""

    vault: Vault | None = field(default=None)
    must_vault: Vault = field()

    @resolver(allow=scope("nobody") & own(may_see))
    def lid(self) -> str | None:
        """Is refused to everybody."""
        return "closed"


people_loader = people.loader(
    "/people", keys="ids", key="key", into=Person, record=PersonRecord, to=lambda it: person(it.key), max_batch=2
)
robots_loader = robots.loader(
    "/robots", keys="owners", key="owner", into=Robot, record=OwnedRecord, to=lambda it: robot(it.key), many=True,
    params={"most": "most"},
)  # fmt: skip
fleets = robots.loader(
    "/fleets", keys="owners", key="owner", into=Robot, record=KeyRecord, to=lambda it: robot(it.key), page=True, max_page=5,
    params={"first": "first", "after": "after"},
)  # fmt: skip


diaries_by_key = people.loader(
    "/diaries", keys="ids", key="key", into=Diary, record=KeyRecord, to=lambda it: diary(it.key)
)
vaults_by_owner = robots.loader(
    "/vaults",
    keys="owners",
    key="owner",
    into=Vault,
    record=OwnedRecord,
    to=lambda it: Vault(key=it.key, gold=1),
    many=True,
)


@entity
class Crate(Node):
    """Read as the service tells it: a record stands for it wherever nobody asks the object."""

    label: str = field()
    weight: int = field()
    note: str | None = field()
    is_new: bool = field()
    share: float = field()
    stamp: str | None = field(allow=scope("nobody") | own(may_see))
    seal: str | None = field(allow=scope("nobody"))
    maker: str | None = field(allow=may_see)
    beside_key: strawberry.Private[str | None]
    beside: Annotated["Crate", strawberry.lazy(LAZY)] | None = join(
        lazy_loader(f"{LAZY}:crates_by_key"), on="beside_key"
    )

    @resolver
    def stencil(self) -> str:
        """Asks the object."""
        fails("Crate.stencil", self.key)
        return self.label.upper()


@entity(allow=own(may_see))
class Parcel(Node):
    """As a crate, and its owner's."""

    label: str = field()
    weight: int = field()
    beside_key: strawberry.Private[str | None]
    beside: Annotated["Parcel", strawberry.lazy(LAZY)] | None = join(
        lazy_loader(f"{LAZY}:parcels_by_key"), on="beside_key"
    )


parcels_by_key = places.loader("/crates-by-key", keys="ids", key="key", into=Parcel, max_batch=2)
parcels = places.pages("/crates", into=Parcel, params={"most": "most"})
crates_by_key = places.loader("/crates-by-key", keys="ids", key="key", into=Crate, max_batch=2)
crates = places.pages("/crates", into=Crate, params={"most": "most"})


# -- what things are -----------------------------------------------------------------------------------------------------


def place(key: str) -> Place:
    opened = datetime(2026, 1, 1 + MOODS.get().number("opened", key) % 28, tzinfo=UTC)
    return Place(
        key=twisted(key, "Place.key", key),
        name=twisted(f"at {key}", "Place.name", key),
        height=twisted(None if key == "bob" else len(key) / 4, "Place.height", key),
        opened=opened,
        closed=twisted(opened, "Place.closed", key),
        data=twisted(JSON({"key": [key, None, 1.5]}), "Place.data", key),
    )


def robot(key: str) -> Robot:
    return Robot(
        key=key,
        name=twisted(f"robot {key}", "Robot.name", key),
        colour=twisted(Colour.GREEN, "Robot.colour", key),
        owner_key=None if key.startswith("x") else KEYS[MOODS.get().number("owner", key) % 4],
        parts=twisted([1, 2, len(key)], "Robot.parts", key),
        serial=twisted(7, "Robot.serial", key),
    )


def diary(key: str) -> Diary:
    return Diary(
        key=key,
        name=twisted(f"diary {key}", "Diary.name", key),
        colour=None,
        pages=twisted(len(key), "Diary.pages", key),
        owner_key=one_of("diary.owner", key),
    )


def chest(key: str) -> Chest:
    return Chest(vault=Vault(key=key, gold=1), must_vault=Vault(key=key, gold=2))


def person(key: str) -> Person:
    def told(name: str, good: Any) -> Any:
        return twisted(good, f"Person.{name}", key)

    return Person(
        key=key,
        name=told("name", f"person {key}"),
        colour=told("colour", (Colour.RED, Colour.BLUE, None)[len(key) % 3]),
        nick=told("nick", None if key == "ann" else key[:1]),
        age=told("age", len(key)),
        score=told("score", len(key) / 3),
        is_tall=told("isTall", key > "b"),
        born=told("born", datetime(2000, 1, 1)),
        mood=told("mood", Colour.BLUE),
        tags=told("tags", ["a", None, key]),
        grid=told("grid", [[1, 2], [], [len(key)]]),
        maybe_grid=told("maybeGrid", [[1, None], None, told("maybeGrid.item", [3])]),
        data=told("data", {"deep": [{"er": key}]}),
        home=told("home", place(key)),
        second_home=told("secondHome", place(f"{key}2")),
        visited=told("visited", [place(key), None, told("visited.item", place("far"))]),
        boss_key=one_of("boss", key),
        place_key=one_of("place", key),
        own_age=told("ownAge", len(key)),
        own_home=told("ownHome", place(key)),
        vault=Vault(key=key, gold=3),
        chest=told("chest", chest(key)),
    )


def thing(*about: object) -> Any:
    number = MOODS.get().number("thing", *about)
    made: tuple[Any, ...] = (
        person(KEYS[number % 4]),
        robot(f"x{number % 9}"),
        Rock(key="r", weight=twisted(1.5, *about)),
        diary(KEYS[number % 4]),
        Vault(key="v", gold=4),
    )
    return made[number // 7 % 5]


async def promise(key: str) -> Person | None:
    await takes_a_while("promise", key)
    fails("promise", key)
    return twisted(person(key), "promise", key)


async def number(key: str) -> int | None:
    await takes_a_while("number", key)
    fails("number", key)
    return twisted(len(key), "number", key)


def steps(key: str) -> Iterator[int]:
    """A generator, which may break in the middle."""
    for step in range(3):
        fails("steps", key, step)
        yield twisted(step, "steps", key, step)


async def stream(key: str) -> AsyncIterator[str]:
    for step in range(3):
        await takes_a_while("stream", key, step)
        fails("stream", key, step)
        yield twisted(str(step), "stream", key, step)


# -- roots -----------------------------------------------------------------------------------------------------------------


@strawberry.type
class Query:
    @resolver
    async def person(self, ctx: Ctx, key: str = "ann") -> Person | None:
        """By the service."""
        return await ctx.load(people_loader, key)

    @resolver
    def must(self, keys: list[str | None] | None = None) -> Person:
        """Without it there is no answer."""
        return twisted(person((keys or ["bob"])[0] or "cyd"), "Query.must", len(keys or ()))

    @resolver
    async def persons(self, ctx: Ctx, keys: list[str] = KEYS) -> list[Person | None]:  # type: ignore[assignment]
        """Several by the service."""
        return await ctx.load_many(people_loader, keys)

    @resolver
    def beings(self, most: int = 3) -> list[Being]:
        """Of an interface."""
        return [each for each in (thing("Query.beings", index) for index in range(most)) if isinstance(each, Being)]

    @resolver
    def things(self) -> list[Thing | None] | None:
        """Of a union."""
        return twisted([thing("Query.things", index) for index in range(3)], "Query.things")

    @strawberry.field
    async def slow(self, colours: list[Colour] = (Colour.RED,)) -> list[Colour] | None:  # type: ignore[assignment]
        await takes_a_while("Query.slow")
        fails("Query.slow")
        return twisted(colours, "Query.slow")

    @resolver
    async def crates(self, ctx: Ctx, most: int = 3) -> Sequence[Crate]:
        """Handed on as they are."""
        return (await ctx.page(crates, most=most)).items

    @resolver
    async def parcels(self, ctx: Ctx, most: int = 3) -> Sequence[Parcel | None]:
        """Handed on as they are, each to its owner."""
        return (await ctx.page(parcels, most=most)).items

    @resolver
    async def must_parcels(self, ctx: Ctx, most: int = 2) -> Sequence[Parcel] | None:
        """All or none."""
        return (await ctx.page(parcels, most=most)).items

    @resolver
    async def new_crates(self, ctx: Ctx, most: int = 3) -> Sequence[Crate]:
        """Looked at."""
        return [each for each in (await ctx.page(crates, most=most)).items if each.is_new]

    @resolver
    def hello(self, name: str | None = None, wish: Wish | None = None) -> str:
        """Says what it was given."""
        return f"hello {name!r} {wish!r}"


@strawberry.type
class Mutation:
    @resolver
    async def rename(self, ctx: Ctx, key: str, name: str | None = None) -> Person | None:
        """Changes something, in its turn."""
        await takes_a_while("Mutation.rename", key)
        fails("Mutation.rename", key)
        return await ctx.load(people_loader, key)

    @resolver
    def must_rename(self, key: str) -> Person:
        """The same, and must not fail."""
        return twisted(person(key), "Mutation.mustRename", key)

    @resolver
    def bury(self, key: str) -> Vault | None:
        """Is not begun."""
        raise AssertionError("nobody may")

    @resolver
    def fill(self, key: str) -> Chest | None:
        """Is begun where what must be there is not asked for."""
        return twisted(chest(key), "Mutation.fill", key)

    @strawberry.mutation
    async def count(self, by: int = 1) -> int:
        await takes_a_while("Mutation.count", by)
        fails("Mutation.count", by)
        return by


graph = build_graph(Query, Mutation)


# -- services ------------------------------------------------------------------------------------------------------------


async def serve(request: ServiceRequest) -> ServiceResponse:
    """What the services say: of a key always the same, unless they are down in these moods."""
    moods = MOODS.get()
    await takes_a_while("service", request.service, request.path)
    if moods.fault("down", request.path):
        return answer({"error": "down"}, status=503)
    if request.path == "/crates":
        most = int(dict(request.query)["most"])
        return answer({"items": [_crate(KEYS[number % 4]) for number in range(max(0, min(most, 5)))]})
    asked = [value for name, value in request.query if name in ("ids", "owners")]
    rows = [row for key in asked if key != "nobody" for row in _rows(request, key)]
    return answer(rows)


def _rows(request: ServiceRequest, key: str) -> list[dict[str, Any]]:
    fault = MOODS.get().fault("record", request.path, key)
    if fault is not None and fault % 2:
        return [] if fault % 4 == 1 else [{"key": key, "owner": key, "items": 3}]
    if request.path == "/crates-by-key":
        return [_crate(key)]
    if request.path == "/robots":
        most = int(dict(request.query).get("most", "2"))
        return [{"key": f"{key}-{index}", "owner": key} for index in range(most)]
    if request.path == "/fleets":
        return [{"owner": key, "items": [{"key": f"{key}-{index}"} for index in range(2)], "nextCursor": None}]
    return [{"key": key}]


def _crate(key: str) -> dict[str, Any]:
    """As was agreed, since a field that is not selected may break its contract unseen. A number may be too great for GraphQL."""
    number = MOODS.get().number("crate", key)
    return {
        "key": key,
        "label": f"crate {key}",
        "weight": 2**40 if MOODS.get().fault("weight", key) else number % 100,
        "note": None if number % 3 else "this side up",
        "isNew": bool(number % 2),
        "share": number % 7 / 4,
        "stamp": "paid",
        "seal": "whole",
        "maker": None if number % 4 else key,
        "besideKey": one_of("beside", key),
    }
