"""Access rules: what the caller alone decides, what the parent decides, and that nobody is asked for what is refused."""

import itertools
from typing import Annotated

import pytest
import strawberry

from gateway import (
    AccessRule,
    Ctx,
    Identity,
    Length,
    Saga,
    Service,
    StepCtx,
    authenticated,
    batched,
    entity,
    field,
    input_type,
    join,
    own,
    resolver,
    saga_field,
    scope,
    step,
)
from gateway.graph import build_graph
from gateway.graph.access import rule_of
from gateway.identity import ANONYMOUS
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, MemoryJournal, ScriptedWire, VirtualClock, answer, in_virtual_time

ANN = Identity("public", "ann")
SUE = Identity("public", "sue", frozenset({"support"}))

letters = Service("letters")
post = letters.command("POST", "/letters", into=dict[str, str])


@entity
class Stamp:
    """What it cost."""

    id: str = field()
    cents: int = field()


stamps = letters.loader("/stamps", keys="ids", key="id", into=Stamp)


def is_theirs(letter: "Letter", identity: Identity) -> bool:
    return letter.owner == identity.subject


their_own: AccessRule["Letter"] = scope("support") | own(is_theirs)
handed_over: list[list[str]] = []


@entity
class Letter:
    """What somebody sent."""

    owner: str = field()
    pages: int | None = field("How long it is.", default=2, allow=their_own)
    stamp: Stamp | None = join(stamps, on="owner", allow=their_own)
    sorted_stamp: Stamp | None = join(stamps, on="owner", allow=scope("support"))

    @resolver(allow=their_own)
    def text(self) -> str | None:
        """For its owner and for support."""
        return f"dear {self.owner}"

    @batched.guarded(their_own)
    @staticmethod
    async def weight(letters: list["Letter"], ctx: Ctx) -> list[int | None]:
        """For its owner and for support."""
        handed_over.append([letter.owner for letter in letters])
        return [len(letter.owner) for letter in letters]


@input_type
class LetterInput:
    """To whom."""

    to: Annotated[str, Length(1, 20)] = field()


def is_to_themselves(letter: LetterInput, identity: Identity) -> bool:
    asked_about.append(letter.to)
    return letter.to == identity.subject


asked_about: list[str] = []


class SendLetter(Saga[LetterInput, Letter], version=1):
    @step(pivot=True)
    async def sent(self, ctx: StepCtx, letter: LetterInput) -> dict[str, str]:
        return await ctx.send(post, {"to": letter.to})

    def result(self, letter: LetterInput, sent: dict[str, str]) -> Letter:
        return Letter(owner=letter.to)


class SendHome(Saga[LetterInput, Letter], version=1, key="optional"):
    @step(pivot=True)
    async def sent(self, ctx: StepCtx, letter: LetterInput) -> dict[str, str]:
        return await ctx.send(post, {"to": letter.to})

    def result(self, letter: LetterInput, sent: dict[str, str]) -> Letter:
        return Letter(owner=letter.to)


@entity
class Query:
    """The root."""

    @resolver
    def letters(self) -> list[Letter]:
        """Of two people."""
        return [Letter(owner="ann"), Letter(owner="bob")]


@strawberry.type
class Mutation:
    send_letter = saga_field(SendLetter, allow=authenticated)
    send_home = saga_field(SendHome, allow=scope("support") | own(is_to_themselves))


TOKENS = [{"token": each.subject, "subject": each.subject, "scopes": sorted(each.scopes)} for each in (ANN, SUE)]


def gateway_on(wire: ScriptedWire, *, compiles: bool = True) -> GatewayUnderTest:
    settings = Settings.model_validate(
        {
            "graph": {"sdl": ""},
            "services": {"letters": {"url": "http://letters.test"}},
            "identity": {"tokens": TOKENS},
            "operation": {"compile": compiles},
        }
    )
    graph = build_graph(Query, Mutation)
    return GatewayUnderTest(settings, graph, wires={"letters": wire}, clock=VirtualClock(), journal=MemoryJournal())


def token_of(identity: Identity) -> dict[str, str]:
    return {} if identity.is_anonymous else {"authorization": f"Bearer {identity.subject}"}


def test_what_the_caller_decides_alone_needs_no_parent() -> None:
    said = {each.subject: their_own.known(each) for each in (ANONYMOUS, ANN, SUE)}
    assert said == {"anonymous": False, "ann": None, "sue": True}


@pytest.mark.parametrize("identity", [ANONYMOUS, ANN, SUE])
def test_what_a_rule_says_of_a_caller_holds_for_every_parent(identity: Identity) -> None:
    parts: list[AccessRule[Letter]] = [authenticated, scope("support"), own(is_theirs), rule_of(is_theirs)]
    for one, two in itertools.permutations(parts, 2):
        for rule in (one | two, one & two, (one | two) & authenticated, (one & two) | scope("support")):
            answers = {rule.asks(letter, identity) for letter in (Letter(owner="ann"), Letter(owner="bob"))}
            assert rule.known(identity) is None or answers == {rule.known(identity)}


def test_and_is_both_and_or_is_either() -> None:
    letter = Letter(owner="ann")
    assert [(scope("support") & authenticated)(letter, each) for each in (ANONYMOUS, ANN, SUE)] == [False, False, True]
    assert [their_own(letter, each) for each in (ANONYMOUS, ANN, SUE)] == [False, True, True]


def test_an_anonymous_caller_owns_nothing_even_under_its_own_name() -> None:
    assert not own(is_theirs)(Letter(owner="anonymous"), ANONYMOUS)


def test_a_rule_is_told_in_words() -> None:
    assert str(their_own & authenticated) == "(scope support or own is_theirs) and authenticated"


async def asked(field_name: str, identity: Identity, *, compiles: bool) -> tuple[list[object], list[str], int]:
    """What is at the field of both letters, the errors' codes, and how many calls were made; at second sight."""
    wire = ScriptedWire(otherwise=answer([{"id": "ann", "cents": 1}, {"id": "bob", "cents": 2}]))
    document = f"{{ letters {{ it: {field_name} }} }}"
    async with gateway_on(wire, compiles=compiles) as gateway:
        first = await gateway.execute(document, headers=token_of(identity))
        calls = len(wire.requests)
        found = await gateway.execute(document, headers=token_of(identity))
    assert first.json == found.json
    return [letter["it"] for letter in found.data["letters"]], found.codes, calls


@pytest.mark.parametrize("compiles", [True, False])
@pytest.mark.parametrize("field_name", ["text", "weight", "pages", "stamp { id }"])
@in_virtual_time
async def test_each_has_their_own_and_support_has_all(field_name: str, compiles: bool) -> None:
    handed_over.clear()
    none, codes, calls = await asked(field_name, ANONYMOUS, compiles=compiles)
    assert (none, codes, calls) == ([None, None], ["UNAUTHENTICATED"] * 2, 0)
    assert handed_over == []
    own_one, codes, calls = await asked(field_name, ANN, compiles=compiles)
    assert (own_one[0] is None, own_one[1], codes) == (False, None, ["FORBIDDEN"])
    assert calls == ("{" in field_name)
    assert all(letters == ["ann"] for letters in handed_over)
    both, codes, _ = await asked(field_name, SUE, compiles=compiles)
    assert (None in both, codes) == (False, [])


@pytest.mark.parametrize("compiles", [True, False])
@in_virtual_time
async def test_a_scope_that_is_not_there_makes_no_call(compiles: bool) -> None:
    found = await asked("sortedStamp { id }", ANN, compiles=compiles)
    assert found == ([None, None], ["FORBIDDEN"] * 2, 0)


@in_virtual_time
async def test_whoever_may_not_begin_a_saga_is_refused_before_the_journal_and_learns_nothing_of_the_key() -> None:
    wire = ScriptedWire(otherwise=answer({"number": "1"}))
    send = 'mutation { sendLetter(input: {to: "bob"}, idempotencyKey: "k") { __typename } }'
    async with gateway_on(wire) as gateway:
        unknown = await gateway.execute(send)
        assert (unknown.codes, wire.requests) == (["UNAUTHENTICATED"], [])
        sent = await gateway.execute(send, headers=token_of(ANN))
        again = await gateway.execute(send)
    assert sent.data["sendLetter"] == {"__typename": "SendLetterCompleted"}
    assert again.json == unknown.json
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("to", "identity", "code", "predicate_saw"),
    [
        ("ann", ANN, None, ["ann"]),
        ("bob", ANN, "FORBIDDEN", ["bob"]),
        ("bob", SUE, None, []),
        ("ann", ANONYMOUS, "UNAUTHENTICATED", []),
        ("", ANN, "BAD_USER_INPUT", []),
        ("", ANONYMOUS, "UNAUTHENTICATED", []),
    ],
)
@in_virtual_time
async def test_the_rule_of_a_saga_reads_its_input_once_that_keeps_its_own_rules(
    to: str, identity: Identity, code: str | None, predicate_saw: list[str]
) -> None:
    asked_about.clear()
    wire = ScriptedWire(otherwise=answer({"number": "1"}))
    async with gateway_on(wire) as gateway:
        found = await gateway.execute(
            "mutation ($to: String!) { sendHome(input: {to: $to}) { __typename } }",
            {"to": to},
            headers=token_of(identity),
        )
    assert (found.codes, len(wire.requests)) == ([code] if code else [], 0 if code else 1)
    assert asked_about == predicate_saw


@in_virtual_time
async def test_who_is_refused_reads_what_to_do() -> None:
    async with gateway_on(ScriptedWire(otherwise=answer({"number": "1"}))) as gateway:
        send = 'mutation { sendHome(input: {to: "bob"}) { __typename } }'
        nobody = await gateway.execute(send)
        ann = await gateway.execute(send, headers=token_of(ANN))
    assert nobody.errors[0]["message"] == (
        'sign in to begin this mutation: send a header "Authorization: Bearer …" with your token'
    )
    assert ann.errors[0]["message"] == "this mutation is not yours to begin"
