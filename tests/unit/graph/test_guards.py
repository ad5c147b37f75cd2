"""Rules on types: where they hold, what the schema prints of them, and what is refused when the graph is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import strawberry

from gateway import AccessRule, Identity, Node, authenticated, entity, field, guarded, input_type, own, resolver, scope
from gateway.graph import GraphInvalid, build_graph
from gateway.graph.access import refusal, rule_of
from gateway.graph.access_directives import (
    AuthenticatedDirective,
    PolicyDirective,
    RequiresScopesDirective,
    directives_of,
)
from gateway.graph.guards import guard_of_type, guards_of, rule_on
from gateway.identity import ANONYMOUS

ANN = Identity("public", "ann")
EVE = Identity("public", "eve", frozenset({"a"}))


def is_theirs(parent: Any, identity: Identity) -> bool:
    return bool(parent.owner == identity.subject)


def is_old(parent: Any, _: Identity) -> bool:
    return bool(parent.owner == "old")


def printed(rule: AccessRule[Any]) -> list[Any]:
    def told(each: object) -> Any:
        match each:
            case AuthenticatedDirective():
                return "authenticated"
            case RequiresScopesDirective(scopes=names):
                return "scopes", names
            case PolicyDirective(policies=names):
                return "policies", names
            case _:
                return each

    return [told(each) for each in directives_of(rule.needs)]


@pytest.mark.parametrize(
    ("rule", "directives"),
    [
        (authenticated, ["authenticated"]),
        (scope("a"), [("scopes", [["a"]])]),
        (scope("a") & scope("b"), [("scopes", [["a", "b"]])]),
        (scope("a") | scope("b") & scope("c"), [("scopes", [["a"], ["b", "c"]])]),
        (
            (scope("a") | scope("b")) & (scope("a") | scope("c")),
            [("scopes", [["a"], ["a", "c"], ["b", "a"], ["b", "c"]])],
        ),
        (own(is_theirs), [("policies", [["is_theirs"]])]),
        (rule_of(is_old), [("policies", [["is_old"]])]),
        (own(is_theirs) | own(is_old), [("policies", [["is_theirs"], ["is_old"]])]),
        (
            authenticated & scope("a") & own(is_theirs),
            ["authenticated", ("scopes", [["a"]]), ("policies", [["is_theirs"]])],
        ),
        (scope("a") | own(is_theirs), [("policies", [["scope:a"], ["is_theirs"]])]),
        (authenticated | scope("a"), [("policies", [["authenticated"], ["scope:a"]])]),
        (own(lambda parent, identity: False), [("policies", [["own"]])]),
        (scope("a").rejects(), [("scopes", [["a"]])]),
    ],
    ids=str,
)
def test_a_rule_is_printed_in_the_words_of_federation(rule: AccessRule[Any], directives: list[Any]) -> None:
    assert printed(rule) == directives


def graph_of(kind: type[Any], rule: AccessRule[Any] | None = None) -> Any:
    """A graph with the type in a field, which may have a rule itself."""

    def found(self: Any) -> Any:
        """It."""

    found.__annotations__["return"] = kind | None
    query: type[Any] = entity(type("Query", (), {"__annotations__": {}, "found": resolver(allow=rule)(found)}))
    return build_graph(query)


def line_of(sdl: str, start: str) -> str:
    return next(line for line in sdl.splitlines() if line.strip().startswith(start))


def test_types_and_fields_have_their_directives_in_the_schema_however_often_it_is_built() -> None:
    @guarded(scope("a"))
    @strawberry.interface
    class Thing(Node):
        name: str

    @entity(allow=own(is_theirs))
    class Book(Thing):
        """To read."""

        owner: str = field()

    @strawberry.type
    class Pamphlet(Book):
        pages: int

    for rule in (authenticated, authenticated | scope("b")):
        sdl = graph_of(Pamphlet, rule).sdl
        assert line_of(sdl, "interface Thing") == 'interface Thing implements Node @requiresScopes(scopes: [["a"]]) {'
        assert line_of(sdl, "type Pamphlet").endswith(
            '@requiresScopes(scopes: [["a"]]) @policy(policies: [["is_theirs"]]) {'
        )
    assert line_of(graph_of(Book, authenticated).sdl, "found") == "  found: Book @authenticated"
    assert line_of(sdl, "found") == '  found: Pamphlet @policy(policies: [["authenticated"], ["scope:b"]])'
    assert sdl.count("directive @policy(policies: [[String!]!]!) on") == 1


def test_a_class_keeps_the_rules_of_those_that_it_inherits_from() -> None:
    @guarded(authenticated)
    class One:
        pass

    @guarded(scope("a"))
    class Two:
        pass

    class Both(One, Two):
        pass

    rule = rule_on(Both)
    assert rule is not None
    assert [rule.known(each) for each in (ANONYMOUS, ANN, EVE)] == [False, False, True]
    assert rule_on(Node) is None


def test_a_graph_without_rules_has_none_to_ask_for() -> None:
    @entity
    class Plain(Node):
        """Open."""

        name: str = field()

    graph = graph_of(Plain)
    assert guards_of(graph.core) is None
    assert guard_of_type(graph.core.type_map["Plain"]) is None
    assert "@authenticated" not in graph.sdl


def test_a_root_has_rules_about_the_caller_only() -> None:
    @entity(allow=own(is_theirs))
    class Query:
        """The root."""

        @resolver
        def hello(self) -> str:
            """A word."""
            return "hello"

    with pytest.raises(GraphInvalid, match=r"Query: its rule \(own is_theirs\) asks an object, and a root is none"):
        build_graph(Query)


async def _later(_: Any, __: Identity) -> bool:
    return False


class _Callable:
    async def __call__(self, _: Any, __: Identity) -> bool:
        return False


@pytest.mark.parametrize("predicate", [_later, _Callable()])
@pytest.mark.parametrize("make", [own, rule_of, guarded, lambda rule: authenticated & rule])
def test_a_predicate_that_has_to_be_awaited_is_refused_when_it_is_declared(
    make: Callable[[Any], Any], predicate: Any
) -> None:
    with pytest.raises(TypeError, match="async def"):
        make(predicate)


def test_a_field_whose_rule_has_to_be_awaited_makes_no_graph() -> None:
    @entity
    class Query:
        """The root."""

        @resolver(allow=_later)  # type: ignore[arg-type]  # refused by type checkers too
        def hello(self) -> str:
            """A word."""
            return "hello"

    with pytest.raises(GraphInvalid, match="async def"):
        build_graph(Query)


def test_a_rejecting_part_rejects_where_the_whole_refuses() -> None:
    rejecting = scope("a").rejects()
    assert [rejecting.stops(each) for each in (ANONYMOUS, ANN, EVE)] == [True, True, False]
    assert [(rejecting & own(is_theirs)).stops(each) for each in (ANN, EVE)] == [True, False]
    assert [(rejecting | own(is_theirs)).stops(each) for each in (ANONYMOUS, ANN)] == [True, False]
    assert [own(is_theirs).rejects().stops(each) for each in (ANONYMOUS, ANN)] == [True, False]
    assert not (scope("a") | scope("b")).may_stop
    assert str(rejecting) == "scope a, or nothing at all"


def test_a_refusal_says_what_it_is_of() -> None:
    assert refusal(ANN, "mutation").message == "this mutation is not yours to begin"
    signed_out = refusal(ANONYMOUS, "mutation").message
    assert signed_out == 'sign in to begin this mutation: send a header "Authorization: Bearer …" with your token'
    assert refusal(ANN, "object").message == "this object is not yours to read"
    assert refusal(ANN).message == "this field is not yours to read"


def test_what_clients_send_has_no_rule() -> None:
    with pytest.raises(TypeError, match=r"Wish\.word is a client's to send"):

        @input_type
        class Wish:
            """A wish."""

            word: str = field(allow=authenticated)


def test_an_answer_that_has_to_be_awaited_lets_nobody() -> None:
    def disguised(parent: Any, identity: Identity) -> Any:
        return _later(parent, identity)

    for rule in (own(disguised), rule_of(disguised), own(disguised) | scope("b"), own(disguised) & authenticated):
        with pytest.raises(TypeError, match="disguised gives an awaitable"):
            rule(None, ANN)
    assert own(lambda parent, identity: [1])(None, ANN) is True  # type: ignore[arg-type,return-value]  # truth will do


def test_what_says_nothing_lets_nobody() -> None:
    assert rule_of(lambda parent, identity: None)(None, ANN) is False  # type: ignore[arg-type,return-value]  # as above
