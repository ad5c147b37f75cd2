"""No way round an access rule: whatever an operation is written like and executed by, nobody reads what is not theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway import Identity, authenticated, entity, global_id, resolver
from gateway.errors import RequestError
from gateway.execution.bounds import Bounds
from gateway.execution.document import Documents
from gateway.execution.rejecting import MAX_FIELDS, Rejecting
from gateway.graph import build_graph
from gateway.identity import ANONYMOUS
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.testing import Answer, GatewayUnderTest, connected, in_virtual_time, streamed
from gateway.testing.client import scope_of_request

from .guarded import ANN, BOB, GRAPH, GUS, SUE, Bank, Lamp, Letter, Safe, at_both_sights, followed, token_of, written

TODAY = "multipart/mixed;incrementalSpec=v0.2, application/json"
THEIRS = "this object is not yours to read"
NOT_YOURS = "this field is not yours to read"


def told(found: Answer) -> list[tuple[list[str | int], str]]:
    """Path and code of each error."""
    return [(error["path"], error["extensions"]["code"]) for error in found.errors]


# -- objects that are asked about one by one ---------------------------------------------------------------------------


@in_virtual_time
async def test_an_object_is_its_owner_s_and_support_s() -> None:
    text = '{ letter(key: "ann") { text } }'
    for identity, letter in ((ANN, {"text": "dear ann"}), (SUE, {"text": "dear ann"}), (BOB, None), (ANONYMOUS, None)):
        found, _ = await at_both_sights(text, identity)
        assert found.data == {"letter": letter}
    assert found.codes == ["UNAUTHENTICATED"]


@in_virtual_time
async def test_of_a_list_each_that_is_not_theirs_is_null_with_an_error_of_its_own() -> None:
    found, _ = await at_both_sights("{ newest { owner } room { letters { text } } }", ANN)
    assert found.data["newest"] == [{"owner": "ann"}, None, {"owner": "ann"}, None]
    assert found.data["room"]["letters"] == [{"text": "dear ann"}] * 2
    assert told(found) == [(["newest", 1], "FORBIDDEN"), (["newest", 3], "FORBIDDEN")]
    assert found.errors[0]["message"] == THEIRS


@in_virtual_time
async def test_where_none_may_be_missing_all_is_null() -> None:
    found, _ = await at_both_sights("{ mustNewest { owner } hello }", ANN)
    assert (found.data, told(found)) == ({"mustNewest": None, "hello": "hello"}, [(["mustNewest", 1], "FORBIDDEN")])


@in_virtual_time
async def test_a_rule_sees_the_whole_object_however_little_is_selected() -> None:
    found, _ = await at_both_sights('{ letter(key: "ann") { __typename } newest { id } }', ANN)
    assert found.data["letter"] == {"__typename": "Letter"}
    assert [each is None for each in found.data["newest"]] == [False, True, False, True]


@pytest.mark.parametrize(
    "text",
    [
        '{ a: letter(key: "ann") { x: text } b: letter(key: "ann") { text } }',
        '{ letter(key: "ann") { ...T } } fragment T on Letter { text }',
        '{ node(id: "ANN") { ... on Letter { text } } }',
        '{ node(id: "ANN") { id } }',
        '{ node(id: "ANN") { ...N ... on Node { __typename } } } fragment N on Node { id ...L } fragment L on Letter { owner }',
        "{ room { letter { text } letters { owner } } }",
        "{ room { page { edges { node { text } } } } }",
        "{ things { ... on Letter { text } } }",
        "{ newest { text } mustNewest { text } }",
    ],
)
@in_virtual_time
async def test_no_writing_of_an_operation_shows_a_letter_to_others(text: str) -> None:
    text = text.replace("ANN", global_id(Letter, "ann"))
    for identity in (GUS, ANONYMOUS):
        found, _ = await at_both_sights(text, identity)
        assert b"dear" not in found.body
        assert b'"owner":"' not in found.body
        assert found.codes
        assert {*found.codes} == {"UNAUTHENTICATED" if identity is ANONYMOUS else "FORBIDDEN"}
    allowed, _ = await at_both_sights(text, SUE)
    assert allowed.codes == [] or "things" in text


@in_virtual_time
async def test_a_connection_with_a_letter_of_somebody_else_is_null() -> None:
    found, _ = await at_both_sights("{ room { page { edges { node { text } } } } }", ANN)
    assert (found.data, told(found)) == (
        {"room": {"page": None}},
        [(["room", "page", "edges", 1, "node"], "FORBIDDEN")],
    )


@in_virtual_time
async def test_a_connection_whose_nodes_may_be_null_has_the_others() -> None:
    found, _ = await at_both_sights("{ room { allLetters { edges { node { owner } } } } }", ANN)
    nodes = [edge["node"] for edge in found.data["room"]["allLetters"]["edges"]]
    assert nodes == [{"owner": "ann"}, None]
    assert told(found) == [(["room", "allLetters", "edges", 1, "node"], "FORBIDDEN")]


# -- what the caller alone decides -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "calls"),
    [
        ("{ safe { gold } }", ["safe"], []),
        ("{ safe { __typename } }", ["safe"], []),
        ("{ safes { gold } }", ["safes"], []),
        ("{ room { safe { gold } name } }", ["room", "safe"], []),
        ("{ room { spareSafe { gold } name } }", ["room", "spareSafe"], []),
        ("{ farRoom { safe { gold } } }", ["farRoom"], []),
        ("{ farRoom { __typename safe { gold } code } }", ["farRoom"], []),
        ("{ farRoom { colour lock } }", ["farRoom"], []),
        ("{ farRoom { safe { gold } colour } }", ["farRoom", "safe"], ["strongroom /rooms"]),
        ("{ mustRoom { safe { gold } } }", ["mustRoom", "safe"], ["strongroom /rooms"]),
        ("{ farRoom { safePage { edges { node { gold } } pageInfo { hasNextPage } } } }", ["farRoom"], []),
        ("{ room { name safePage { edges { node { gold } } } } }", ["room", "safePage"], []),
        ("{ farRoom { ... on Room { code } ... on Node { ... on Room { safe { gold } } } } }", ["farRoom"], []),
    ],
)
@in_virtual_time
async def test_whoever_is_refused_is_told_once_and_nobody_is_called_for_it(
    text: str, path: list[str], calls: list[str]
) -> None:
    for identity, code in ((ANN, "FORBIDDEN"), (ANONYMOUS, "UNAUTHENTICATED")):
        found, made = await at_both_sights(text, identity)
        assert told(found) == [(path, code)]
        assert made == calls
    allowed, _ = await at_both_sights(text, GUS)
    assert allowed.codes == []


@in_virtual_time
async def test_a_room_that_must_be_there_falls_with_what_must_be_in_it_and_is_not_asked_for() -> None:
    found, calls = await at_both_sights("{ mustRoom { colour lock } }", ANN)
    assert (found.data, told(found), calls) == (None, [(["mustRoom"], "FORBIDDEN")], [])


@in_virtual_time
async def test_of_a_union_those_that_nobody_may_read_are_told_once_and_the_others_each() -> None:
    found, _ = await at_both_sights("{ things { __typename ... on Safe { gold } } }", ANN)
    lamp = {"__typename": "Lamp"}
    assert found.data["things"] == [lamp, None, None, {"__typename": "Letter"}, None, lamp]
    assert sorted(told(found), key=str) == [(["things", 4], "FORBIDDEN"), (["things"], "FORBIDDEN")]


@in_virtual_time
async def test_of_a_union_of_which_none_may_be_missing_all_falls() -> None:
    found, _ = await at_both_sights("{ mustThings { __typename } hello }", ANN)
    assert (found.data, told(found)) == ({"mustThings": None, "hello": "hello"}, [(["mustThings"], "FORBIDDEN")])


@in_virtual_time
async def test_an_id_shows_neither_what_it_names_nor_what_it_costs() -> None:
    for kind, watts in ((Safe, None), (Lamp, 40)):
        found, _ = await at_both_sights(
            f'{{ node(id: "{global_id(kind, "k")}") {{ id ... on Lamp {{ watts }} ... on Safe {{ gold }} }} }}', ANN
        )
        assert (found.data["node"] or {}).get("watts") == watts
        assert b"4711" not in found.body


# -- whole operations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{ alarm }",
        '{ safe { gold } alarm letter(key: "ann") { text } }',
        "{ ...A hello } fragment A on Query { x: alarm }",
        "{ plan { wayIn } farRoom { name } }",
        "{ plan { __typename } }",
        "{ things { __typename ... on Lamp { switch } } }",
        '{ node(id: "TGFtcDps") { ... on Node { ... on Lamp { switch } } } hello }',
        'mutation { makeRoom(key: "a") { id } rob(input: {gold: 1}, idempotencyKey: "k") { __typename } }',
        "query ($yes: Boolean = true) { hello alarm @include(if: $yes) }",
    ],
)
@in_virtual_time
async def test_an_operation_that_asks_for_what_rejects_is_refused_as_a_whole_and_nobody_is_called(text: str) -> None:
    written.clear()
    for identity, status, code in ((ANN, 403, "FORBIDDEN"), (ANONYMOUS, 401, "UNAUTHENTICATED")):
        found, calls = await at_both_sights_of_one(text, identity)
        assert (found.status, found.codes, "data" in found.json, calls) == (status, [code], False, [])
    assert written == []


async def at_both_sights_of_one(text: str, identity: Identity) -> tuple[Answer, list[str]]:
    """As `at_both_sights`, where nobody else has asked before: a mutation would have been done."""
    async with Bank(compiles=True) as bank:
        found = [await bank.asked(text, identity) for _ in range(2)]
        assert found[0].json == found[1].json
        return found[0], bank.calls


@in_virtual_time
async def test_what_is_skipped_rejects_nobody() -> None:
    text = "query ($ask: Boolean!) { hello alarm @include(if: $ask) plan @skip(if: true) { wayIn } }"
    assert (await at_both_sights(text, ANN, {"ask": False}))[0].json == {"data": {"hello": "hello"}}
    assert (await at_both_sights(text, ANN, {"ask": True}))[0].status == 403
    assert (await at_both_sights(text, GUS, {"ask": True}))[0].data == {"hello": "hello", "alarm": "off"}
    wrong, _ = await at_both_sights(text, ANN, {"ask": "no"})
    assert (wrong.status, wrong.codes) == (400, ["BAD_USER_INPUT"])


@in_virtual_time
async def test_a_condition_that_is_null_hides_nothing_that_is_asked_for_beside_it() -> None:
    text = "query ($no: Boolean = true) { alarm room { safe { gold @include(if: $no) } } }"
    assert (await at_both_sights(text, ANN, {"no": None}))[0].status == 403
    beside = "query ($no: Boolean = true) { hello safe { gold } room { name safe { gold @include(if: $no) } } }"
    found, calls = await at_both_sights(beside, ANN, {"no": None})
    assert (found.data["hello"], found.data["safe"], found.data["room"]["safe"], calls) == ("hello", None, None, [])
    at_the_root = "query ($no: Boolean = true) { hello alarm @include(if: $no) }"
    nothing, _ = await at_both_sights(at_the_root, ANN, {"no": None})
    assert (nothing.json.get("data"), nothing.codes) == (None, ["BAD_USER_INPUT"])


@in_virtual_time
async def test_a_rejected_operation_is_told_what_it_asked_for() -> None:
    found, _ = await at_both_sights("{ alarm }", ANN)
    assert (
        found.errors[0]["message"] == "this operation asks for Query.alarm, which is not yours; nothing of it was run"
    )


def test_an_operation_too_large_to_be_looked_at_is_refused_and_not_let_by() -> None:
    fields = " ".join(f"a{n}: safe {{ id gold }}" for n in range(MAX_FIELDS // 3 + 1))
    documents = Documents(
        GRAPH.core,
        max_entries=1,
        max_tokens=100_000,
        metrics=Telemetry().metrics,
        bounds=Bounds(aliases=10_000, fields=10_000, characters=1_000_000, nesting=100, depth=100, root_fields=10_000),
    )
    operation = documents.operation(f"{{ {fields} }}", None)
    with pytest.raises(RequestError, match="opens to more than 5000 fields"):
        Rejecting(GRAPH.core).ensure_permitted(operation, {}, GUS)


# -- mutations ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiles", [True, False])
@in_virtual_time
async def test_a_write_whose_outcome_may_not_be_read_is_not_begun(compiles: bool) -> None:
    written.clear()
    put_away = """mutation { putAway(input: {gold: 1}, idempotencyKey: "k") {
        ... on SagaOutcome { status } ... on PutAwayCompleted { safe { gold } } } }"""
    make = 'mutation { makeSafe(key: "a") { gold } }'
    async with Bank(compiles=compiles) as bank:
        for text, path in ((put_away, ["putAway"]), (make, ["makeSafe"])):
            for _ in range(2):
                found = await bank.asked(text, ANN)
                assert told(found) == [(path, "FORBIDDEN")]
                assert found.errors[0]["message"] == "this mutation is not yours to begin"
                assert (await bank.asked(text, ANONYMOUS)).codes == ["UNAUTHENTICATED"]
        assert (bank.calls, written) == ([], [])
        done = await bank.asked(put_away, GUS)
        assert done.data["putAway"] == {"status": "COMPLETED", "safe": {"gold": 1}}


@pytest.mark.parametrize("compiles", [True, False])
@in_virtual_time
async def test_a_write_is_done_though_a_part_of_what_comes_of_it_may_not_be_read(compiles: bool) -> None:
    written.clear()
    async with Bank(compiles=compiles) as bank:
        for _ in range(2):
            found = await bank.asked('mutation { makeRoom(key: "a") { code } }', ANN)
            assert (found.data, told(found)) == ({"makeRoom": {"code": None}}, [(["makeRoom", "code"], "FORBIDDEN")])
        saga = await bank.asked('mutation { putAway(input: {gold: 1}, idempotencyKey: "k") { __typename } }', ANN)
    assert (written, saga.codes) == (["a", "a"], [])


# -- parts and streams -------------------------------------------------------------------------------------------------


async def in_parts(text: str, identity: Identity) -> list[bytes]:
    """The bodies at first and second sight."""
    found: list[bytes] = []
    async with Bank(compiles=True) as bank:
        for _ in range(2):
            headers = {"content-type": "application/json", "accept": TODAY, **token_of(identity)}
            scope = scope_of_request("POST", "/graphql", headers=headers)
            async with streamed(bank.gateway.app, scope, orjson.dumps({"query": text})) as stream:
                found.append(await stream.rest())
    return found


@pytest.mark.parametrize(
    "text",
    [
        '{ hello ... @defer { letter(key: "ann") { text } safe { gold } } }',
        "{ room { name ... @defer { letters { text } safe { gold } code } } }",
        "{ room { name ...R @defer } } fragment R on Room { letter { ... @defer { text } } page { edges { node { text } } } }",
        "{ newest { id ... @defer { text } } }",
        "{ newest @stream(initialCount: 1) { text } }",
        "{ room { letters @stream { text } } }",
        "{ things @stream(initialCount: 2) { ... on Letter { text } ... on Safe { gold } } }",
        "{ safes @stream { gold } hello }",
    ],
)
@in_virtual_time
async def test_no_part_that_comes_later_shows_more(text: str) -> None:
    for body in await in_parts(text, BOB):
        assert b"dear ann" not in body
        assert b"4711" not in body
        assert b"1234" not in body
        assert b"FORBIDDEN" in body
    for body in await in_parts(text, SUE):
        assert b"dear ann" in body or "safes" in text


@in_virtual_time
async def test_a_deferred_operation_is_rejected_like_any_other() -> None:
    for body in await in_parts("{ hello ... @defer { alarm room { name } } }", ANN):
        assert b'"hello":"hello"' not in body
        assert b'"code":"FORBIDDEN"' in body


async def payloads_of(text: str, identity: Identity) -> list[Any]:
    headers = {"content-type": "application/json", "accept": "text/event-stream", **token_of(identity)}
    async with (
        Bank(compiles=True) as bank,
        streamed(
            bank.gateway.app, scope_of_request("POST", "/graphql", headers=headers), orjson.dumps({"query": text})
        ) as stream,
    ):
        events = (await stream.rest()).split(b"\n\n")
    lines = [line for event in events for line in event.split(b"\n") if line.startswith(b"data: {")]
    return [orjson.loads(line.removeprefix(b"data: ")) for line in lines]


@in_virtual_time
async def test_each_event_of_a_subscription_is_asked_about() -> None:
    followed.clear()
    found = await payloads_of("subscription { letters { text } }", ANN)
    assert [each["data"]["letters"] for each in found] == [{"text": "dear"}, None, {"text": "dear"}]
    assert found[1]["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert followed == ["letters"]


@pytest.mark.parametrize(
    "text",
    [
        "subscription { safes { gold } }",
        "subscription { plans { wayIn } }",
        "subscription { lamps { watts switch } }",
    ],
)
@in_virtual_time
async def test_a_subscription_that_is_refused_is_not_followed(text: str) -> None:
    followed.clear()
    for identity, code in ((ANN, "FORBIDDEN"), (ANONYMOUS, "UNAUTHENTICATED")):
        (only,) = await payloads_of(text, identity)
        assert [each["extensions"]["code"] for each in only["errors"]] == [code]
        assert only.get("data") is None
    assert followed == []
    assert len(await payloads_of(text, GUS)) == 1


@in_virtual_time
async def test_a_websocket_s_operations_are_asked_about_too() -> None:
    async with Bank(compiles=True) as bank, connected(bank.gateway.app) as socket:
        await socket.introduce()
        await socket.subscribe("a", "subscription { letters { text } }")
        first = await socket.receive()
    assert b"dear" not in orjson.dumps(first)
    assert b"UNAUTHENTICATED" in orjson.dumps(first)


# -- what callers share ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiles", [True, False])
@in_virtual_time
async def test_what_one_caller_had_cached_is_not_given_to_another(compiles: bool) -> None:
    text = '{ letter(key: "ann") { text } room { letter { text } safe { gold } } }'
    async with Bank(compiles=compiles) as bank:
        for _ in range(2):
            for identity, letter, gold in (
                (SUE, True, False),
                (BOB, False, False),
                (GUS, False, True),
                (ANN, True, False),
            ):
                found = await bank.asked(text, identity)
                assert ((b"dear ann" in found.body), (b"4711" in found.body)) == (letter, gold)
        assert (
            len(bank.calls) == 2
        )  # one for the letter, one for the safe: it is the same value that is refused and given


@pytest.mark.parametrize("compiles", [True, False])
@in_virtual_time
async def test_what_is_served_in_place_of_a_service_is_asked_about_too(compiles: bool) -> None:
    text = "{ room { name letter { text } safe { gold } spareSafe { gold } } }"
    async with Bank(compiles=compiles) as bank:
        for _ in range(2):
            for identity in (SUE, GUS):
                await bank.asked(text, identity)
        await asyncio.sleep(600)  # all that was fresh is due
        bank.is_down = True
        for identity, letter, gold in ((SUE, True, False), (BOB, False, False), (GUS, False, True)):
            found = await bank.asked(text, identity)
            assert ((b"dear ann" in found.body), (b"4711" in found.body)) == (letter, gold)
            if gold:
                assert [each["to"] for each in found.degraded] == ["STALE", "STALE", "ALTERNATIVE"]


@pytest.mark.parametrize("compiles", [True, False])
@in_virtual_time
async def test_callers_who_ask_at_the_same_time_share_calls_and_no_verdict(compiles: bool) -> None:
    text = '{ letter(key: "ann") { text } newest { owner } safe { gold } }'
    identities: Sequence[Identity] = (ANN, BOB, SUE, GUS, ANONYMOUS)
    async with Bank(compiles=compiles) as bank:
        for _ in range(2):
            found = await asyncio.gather(*(bank.asked(text, identity) for identity in identities))
            letters = [each.data["letter"] is not None for each in found]
            assert letters == [True, False, True, False, False]
            assert [each.data["safe"] is not None for each in found] == [False, False, False, True, False]
            mine = [each.data["newest"] and [letter is not None for letter in each.data["newest"]] for each in found]
            assert mine == [
                [True, False, True, False],
                [False, True, False, False],
                [True] * 4,
                [False] * 4,
                None,
            ]


@pytest.mark.parametrize("on_error", ["PROPAGATE", "NULL", "HALT"])
@in_virtual_time
async def test_whatever_an_error_does_nothing_more_is_shown(on_error: str) -> None:
    text = """{ farRoom { lock code colour } mustNewest { text } mustThings { ... on Safe { gold } }
        things { ... on Letter { text } } }"""
    bodies: list[Any] = []
    for compiles in (True, False):
        async with Bank(compiles=compiles) as bank:
            for _ in range(2):
                headers = {"content-type": "application/json", "accept": "application/json", **token_of(BOB)}
                body = orjson.dumps({"query": text, "onError": on_error})
                found = await bank.gateway.request("POST", "/graphql", body=body, headers=headers)
                bodies.append(found.json["data"])
                assert not [secret for secret in (b"dear ann", b"4711", b"1234", b'strong"') if secret in found.body]
                assert {*found.codes} == {"FORBIDDEN"}
    assert all(each == bodies[0] for each in bodies)
    if on_error == "NULL":
        assert bodies[0]["farRoom"] == {"lock": None, "code": None, "colour": "red"}


@in_virtual_time
async def test_an_explanation_shows_the_rules_and_no_value() -> None:
    text = '{ letter(key: "ann") { text } safe { gold } }'
    async with Bank(compiles=True, operation={"explain_scope": "support"}) as bank:
        headers = {"content-type": "application/json", "accept": "application/json", **token_of(SUE)}
        body = orjson.dumps({"query": text, "extensions": {"explain": True}})
        for _ in range(2):
            found = await bank.gateway.request("POST", "/graphql", body=body, headers=headers)
            assert b"4711" not in found.body
            assert found.codes == ["FORBIDDEN"]
            letter, safe = found.json["extensions"]["explain"]["fields"]
            assert (letter["guard"], safe["guard"]) == ("Letter: scope support or own is_theirs", "Safe: scope guard")


@in_virtual_time
async def test_a_trusted_document_has_no_more_rights_than_whoever_sends_it(tmp_path: Path) -> None:
    (tmp_path / "page.graphql").write_text('{ letter(key: "ann") { text } safe { gold } }', encoding="utf-8")
    (tmp_path / "alarm.graphql").write_text("{ alarm }", encoding="utf-8")
    async with Bank(compiles=True, operation={"trusted": str(tmp_path), "trusted_only": True}) as bank:
        page = (tmp_path / "page.graphql").read_text(encoding="utf-8")
        for identity, letter, gold in ((BOB, False, False), (SUE, True, False), (GUS, False, True)):
            found = await bank.asked(page, identity)
            assert ((b"dear ann" in found.body), (b"4711" in found.body)) == (letter, gold)
        assert (await bank.asked("{ alarm }", BOB)).status == 403


@in_virtual_time
async def test_a_root_s_rule_is_each_of_its_fields_and_of_no_introspection() -> None:
    @entity(allow=authenticated)
    class Query:
        """The root."""

        @resolver
        def hello(self) -> str | None:
            """A word."""
            return "hello"

        @resolver
        def one(self) -> str | None:
            """A number."""
            return "1"

    settings = Settings.model_validate(
        {"graph": {"sdl": ""}, "identity": {"tokens": [{"token": "ann", "subject": "ann"}]}}
    )
    async with GatewayUnderTest(settings, build_graph(Query), wires={}) as gateway:
        for _ in range(2):
            refused = await gateway.execute("{ hello a: one __typename }")
            assert refused.data == {"hello": None, "a": None, "__typename": "Query"}
            assert told(refused) == [(["hello"], "UNAUTHENTICATED"), (["a"], "UNAUTHENTICATED")]
            assert (await gateway.execute("{ hello }", headers=token_of(ANN))).data == {"hello": "hello"}
            assert (await gateway.execute("{ __schema { queryType { name } } }")).codes == []
