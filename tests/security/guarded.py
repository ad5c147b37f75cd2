"""A graph whose letters are their owners', whose safes are the guards', and which some operations may not even be sent to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any

import strawberry

from gateway import (
    Connection,
    Ctx,
    Identity,
    Node,
    Saga,
    Service,
    StepCtx,
    alternative,
    authenticated,
    entity,
    field,
    guarded,
    input_type,
    join,
    own,
    parse_id,
    resolver,
    saga_field,
    scope,
    stale,
    step,
)
from gateway.graph import build_graph
from gateway.identity import ANONYMOUS
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import Answer, GatewayUnderTest, MemoryJournal, ScriptedWire, VirtualClock, answer

ANN = Identity("public", "ann")
BOB = Identity("public", "bob")
SUE = Identity("public", "sue", frozenset({"support"}))
GUS = Identity("public", "gus", frozenset({"guard"}))
CALLERS = (ANONYMOUS, ANN, BOB, SUE, GUS)

mail, strongroom = Service("mail"), Service("strongroom")
put_away = strongroom.command("POST", "/safes", into=dict[str, str])


def is_theirs(letter: Letter, identity: Identity) -> bool:
    return letter.owner == identity.subject


@entity(allow=scope("support") | own(is_theirs))
class Letter(Node):
    """Its owner's, and support's."""

    owner: str = field()
    text: str = field()


@entity(allow=scope("guard"))
class Safe(Node):
    """The guards'."""

    gold: int = field()


@guarded(scope("guard").rejects())
@strawberry.type
class Plan:
    """Whoever asks for it without being a guard gets nothing at all."""

    way_in: str


@entity
class Lamp(Node):
    """Everybody's."""

    watts: int = field()

    @resolver(allow=scope("guard").rejects())
    def switch(self) -> str | None:
        """Nobody but guards may ask."""
        return "off"


letters_by_key = mail.loader("/letters", keys="ids", key="key", into=Letter, fresh="1m", shared="public")
letters_by_owner = mail.loader("/by-owner", keys="owners", key="owner", into=Letter, many=True)
WINDOW = {"first": "first", "after": "after"}
letter_pages = mail.loader("/pages", keys="owners", key="owner", into=Letter, page=True, params=WINDOW)
newest_letters = mail.pages("/newest", into=Letter, params={"most": "most"})
safes_by_key = strongroom.loader("/safes", keys="ids", key="key", into=Safe, shared="public", fresh="1m")
spare_safes_by_key = mail.loader("/safes", keys="ids", key="key", into=Safe)
safe_pages = strongroom.loader("/pages", keys="owners", key="owner", into=Safe, page=True, params=WINDOW)

Thing = Annotated[Letter | Safe | Lamp, strawberry.union("Thing")]


@entity
class Room(Node):
    """Where all of it is."""

    name: str = field()
    letter: Letter | None = join(letters_by_key, on="name", otherwise=stale("1h"))
    letters: Sequence[Letter | None] | None = join(letters_by_owner, on="name")
    page: Connection[Letter] | None = join(letter_pages, on="name")
    all_letters: Connection[Letter | None] | None = join(letter_pages, on="name")
    safe: Safe | None = join(safes_by_key, on="name", otherwise=stale("1h"))
    spare_safe: Safe | None = join(safes_by_key, on="name", otherwise=alternative(spare_safes_by_key))
    safe_page: Connection[Safe] | None = join(safe_pages, on="name")

    @resolver(allow=scope("guard"))
    def code(self) -> str | None:
        """Of the door."""
        return "1234"

    @resolver(allow=scope("guard"))
    def lock(self) -> str:
        """Without it there is no room."""
        return "strong"

    @resolver
    def colour(self) -> str:
        """Everybody's."""
        return "red"


rooms_by_key = strongroom.loader("/rooms", keys="ids", key="key", into=Room)


def lamp(key: str) -> Lamp:
    return Lamp(key=key, watts=40)


@entity
class Query:
    """What can be asked."""

    @resolver
    async def letter(self, ctx: Ctx, key: str) -> Letter | None:
        """One."""
        return await ctx.load(letters_by_key, key)

    @resolver
    async def newest(self, ctx: Ctx) -> Sequence[Letter | None] | None:
        """As the service tells them."""
        return (await ctx.page(newest_letters, most=4)).items

    @resolver
    async def must_newest(self, ctx: Ctx) -> Sequence[Letter] | None:
        """All of them or none."""
        return (await ctx.page(newest_letters, most=4)).items

    @resolver
    async def safe(self, ctx: Ctx, key: str = "s") -> Safe | None:
        """One."""
        return await ctx.load(safes_by_key, key)

    @resolver
    async def safes(self, ctx: Ctx) -> list[Safe | None] | None:
        """Two."""
        return await ctx.load_many(safes_by_key, ["s", "t"])

    @resolver
    def room(self) -> Room | None:
        """The one that there is."""
        return Room(key="r", name="ann")

    @resolver
    async def far_room(self, ctx: Ctx) -> Room | None:
        """One that the service is asked for."""
        return await ctx.load(rooms_by_key, "r")

    @resolver
    async def must_room(self, ctx: Ctx) -> Room:
        """The same, and it must be there."""
        found = await ctx.load(rooms_by_key, "r")
        return found or Room(key="r", name="ann")

    @resolver
    async def node(self, ctx: Ctx, id: strawberry.ID) -> Node | None:  # noqa: A002 - the argument's name in the graph
        """Anything by its id."""
        name, key = parse_id(id)
        loaders: dict[str, Any] = {"Letter": letters_by_key, "Safe": safes_by_key}
        return await ctx.load(loaders[name], key) if name in loaders else lamp(key)

    @resolver
    async def things(self, ctx: Ctx) -> list[Thing | None]:
        """Of several types."""
        safes = await ctx.load_many(safes_by_key, ["s", "t"])
        found = await ctx.load_many(letters_by_key, ["ann", "bob"])
        return [lamp("l"), *safes, *found, lamp("m")]

    @resolver
    async def must_things(self, ctx: Ctx) -> list[Thing] | None:
        """The same, and none may be missing."""
        safe = await ctx.load(safes_by_key, "s")
        return [lamp("l")] if safe is None else [lamp("l"), safe, safe]

    @resolver
    def plan(self) -> Plan | None:
        """Nobody but guards may ask."""
        return Plan(way_in="by the roof")

    @resolver(allow=scope("guard").rejects())
    def alarm(self) -> str | None:
        """Nobody but guards may ask."""
        return "off"

    @resolver
    def hello(self) -> str:
        """Everybody's."""
        return "hello"


@input_type
class Deposit:
    """What is put away."""

    gold: int = field()


class PutAway(Saga[Deposit, Safe], version=1):
    @step(pivot=True)
    async def done(self, ctx: StepCtx, deposit: Deposit) -> dict[str, str]:
        return await ctx.send(put_away, {"gold": str(deposit.gold)})

    def result(self, deposit: Deposit, done: dict[str, str]) -> Safe:
        return Safe(key=done["key"], gold=deposit.gold)


class Rob(Saga[Deposit, Lamp], version=1):
    @step(pivot=True)
    async def done(self, ctx: StepCtx, deposit: Deposit) -> dict[str, str]:
        return await ctx.send(put_away, {"gold": str(-deposit.gold)})

    def result(self, deposit: Deposit, done: dict[str, str]) -> Lamp:
        return lamp(done["key"])


written: list[str] = []


@strawberry.type
class Mutation:
    put_away = saga_field(PutAway, allow=authenticated)
    rob = saga_field(Rob, allow=scope("guard").rejects())

    @resolver
    def make_safe(self, key: str) -> Safe | None:
        """Whoever may not read it does not make it."""
        written.append(key)
        return Safe(key=key, gold=0)

    @resolver
    def make_room(self, key: str) -> Room:
        """Everybody may."""
        written.append(key)
        return Room(key=key, name="ann")


followed: list[str] = []


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def safes(self) -> AsyncGenerator[Safe | None, None]:
        followed.append("safes")
        yield Safe(key="s", gold=1)

    @strawberry.subscription
    async def letters(self) -> AsyncGenerator[Letter | None, None]:
        followed.append("letters")
        for owner in ("ann", "bob", "ann"):
            yield Letter(key=owner, owner=owner, text="dear")

    @strawberry.subscription
    async def lamps(self) -> AsyncGenerator[Lamp | None, None]:
        followed.append("lamps")
        yield lamp("l")

    @strawberry.subscription
    async def plans(self) -> AsyncGenerator[Plan | None, None]:
        followed.append("plans")
        yield Plan(way_in="by the roof")


GRAPH = build_graph(Query, Mutation, Subscription)

SECRETS = (b"dear", b"4711", b"roof", b"1234", b"strong")
"""What stands in what is guarded."""


def _letter(key: str) -> dict[str, Any]:
    return {"key": key, "owner": key, "text": f"dear {key}"}


def _safe(key: str) -> dict[str, Any]:
    return {"key": key, "gold": 4711}


def serve(request: ServiceRequest) -> ServiceResponse:
    """Both services."""
    asked = [value for name, value in request.query if name in ("ids", "owners")]
    match request.service, request.path:
        case "mail", "/letters":
            return answer([_letter(key) for key in asked])
        case "mail", "/by-owner":
            return answer([{**_letter(owner), "owner": owner} for owner in asked for _ in range(2)])
        case "mail", "/pages":
            return answer(
                [{"owner": key, "items": [_letter(key), _letter("bob")], "nextCursor": None} for key in asked]
            )
        case "mail", "/newest":
            return answer({"items": [_letter(key) for key in ("ann", "bob", "ann", "cyd")]})
        case "strongroom", "/safes" if request.method == "POST":
            return answer({"key": "new"})
        case _, "/safes":
            return answer([_safe(key) for key in asked])
        case "strongroom", "/pages":
            return answer([{"owner": key, "items": [_safe(key)], "nextCursor": None} for key in asked])
        case "strongroom", "/rooms":
            return answer([{"key": key, "name": "ann"} for key in asked])
        case _:
            return answer({"error": request.path}, status=404)


class Bank:
    """A gateway over both services. `compiles`: whether an operation that is seen again is executed by its plan."""

    def __init__(self, *, compiles: bool, operation: dict[str, Any] | None = None) -> None:
        self.is_down = False
        self.mail, self.strongroom = ScriptedWire(otherwise=self._serve), ScriptedWire(otherwise=self._serve)
        tokens = [
            {"token": each.subject, "subject": each.subject, "scopes": sorted(each.scopes)}
            for each in CALLERS
            if not each.is_anonymous
        ]
        settings = Settings.model_validate(
            {
                "graph": {"sdl": ""},
                "services": {name: {"url": f"http://{name}.test"} for name in ("mail", "strongroom")},
                "identity": {"tokens": tokens},
                "operation": {"compile": compiles, **(operation or {})},
            }
        )
        wires = {"mail": self.mail, "strongroom": self.strongroom}
        self.gateway = GatewayUnderTest(settings, GRAPH, wires=wires, clock=VirtualClock(), journal=MemoryJournal())

    def _serve(self, request: ServiceRequest) -> ServiceResponse:
        is_spare = (request.service, request.path) == ("mail", "/safes")
        return answer({"error": "down"}, status=503) if self.is_down and not is_spare else serve(request)

    @property
    def calls(self) -> list[str]:
        """To both services."""
        return [f"{each.service} {each.path}" for wire in (self.mail, self.strongroom) for each in wire.requests]

    async def __aenter__(self) -> Bank:
        await self.gateway.__aenter__()
        return self

    async def __aexit__(self, *about: Any) -> None:
        await self.gateway.__aexit__(*about)

    async def asked(
        self, text: str, identity: Identity, variables: dict[str, Any] | None = None, **headers: str
    ) -> Answer:
        return await self.gateway.execute(text, variables, headers=token_of(identity) | headers)


def token_of(identity: Identity) -> dict[str, str]:
    return {} if identity.is_anonymous else {"authorization": f"Bearer {identity.subject}"}


async def at_both_sights(
    text: str, identity: Identity, variables: dict[str, Any] | None = None
) -> tuple[Answer, list[str]]:
    """The answer, which is the same by graphql-core, by the plan, and where nothing is compiled; and the calls of one execution."""
    answers: list[Answer] = []
    calls: list[list[str]] = []
    for compiles, before in ((True, 0), (True, 1), (False, 0)):
        async with Bank(compiles=compiles) as bank:
            for _ in range(before):
                await bank.asked(text, SUE if identity is not SUE else ANN, variables)
                await bank.asked(text, GUS, variables)
            made = len(bank.calls)
            answers.append(await bank.asked(text, identity, variables))
            calls.append(bank.calls[made:])
    assert answers[0].json == answers[1].json == answers[2].json
    assert calls[0] == calls[2]
    assert len(calls[1]) <= len(calls[0])  # what others have had may be in the cache
    return answers[0], calls[0]
