"""One run with a secret in every place that may hold one: its services are sent theirs, and nothing else says any of them."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
import strawberry
from typer.testing import CliRunner

from gateway import Ctx, SagaEvents, entity, resolver
from gateway.cli import app
from gateway.clock import Epoch
from gateway.edge.game_day import signed
from gateway.execution import GraphQLRequest
from gateway.graph import build_graph
from gateway.sagas import new_secret_key
from gateway.sagas.signing import SigningKey
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import Answer, GatewayUnderTest, connected
from tests.integration.echoing import HANG, Echoing, echoing
from tests.integration.test_secrets_leave_no_trace import Mutation as Paying
from tests.integration.test_secrets_leave_no_trace import Observed, bank
from tests.integration.test_secrets_leave_no_trace import Query as Sagas
from tests.tokens import AUDIENCE, ISSUER, claims, jwk, jwks, rsa_key, token

CANARY = "canary"
TOKEN, UNKNOWN, OPERATOR = "canary-static-token", "canary-unknown-token", "canary-operator-token"
FORWARDED, SET, COOKIE = "canary-forwarded-value", "canary-service-key", "canary-cookie"
INPUT, REDIS, GAME_DAY = "canary-payment-token", "canary-redis-password", "canary-game-day-key-of-32-characters"
IDEMPOTENT = "canary-idempotency-key"
VARIABLE = "canary-variable"
_seen = list[str]()
"""How what a resolver holds is printed."""


@entity
class Account:
    """What somebody has."""

    id: str
    balance: int


accounts = bank.loader("/accounts", keys="ids", key="id", into=Account)


@strawberry.type
class Query(Sagas):
    @resolver
    async def account(self, ctx: Ctx, number: str) -> Account | None:
        """By its number."""
        _seen.extend((repr(ctx), repr(ctx.identity), repr(ctx.loads), repr(ctx.loads.reading), repr(ctx.http(bank))))
        return await ctx.load(accounts, number)

    @resolver
    async def clumsy(self, ctx: Ctx, account: str) -> int:
        """Breaks with secrets at hand."""
        headers = dict(ctx.loads.reading.headers)
        return int(account == headers["authorization"] or headers["missing"])

    @resolver
    async def by_hand(self, ctx: Ctx, account: str) -> int:
        """Without a loader."""
        return (await ctx.http(bank).get("/by-hand", params={"account": account})).status_code


@strawberry.type
class Subscription(SagaEvents):
    """Whatever can be followed."""


GRAPH = build_graph(Query, Paying, Subscription)
PAY = """mutation ($input: PayInput!) { payByToken(input: $input) {
    __typename ... on SagaOutcome { sagaId status } ... on SagaFailed { code } } }"""


def settings(folder: Path, service: Echoing, keys: dict[str, str]) -> Settings:
    (folder / "keys.json").write_bytes(jwks(jwk(rsa_key(), "one")))
    tree: dict[str, Any] = {
        "graph": {"sdl": ""},
        "services": {
            "bank": {
                "url": service.url,
                "attempt_timeout": 0.2,
                "attempt_timeout_floor": 0.2,
                "send_headers": ["authorization", "x-forwarded-secret"],
                "set_headers": {"x-service-key": SET},
                "identity_headers": {"x-caller": "subject"},
                "breaker": {"consecutive": 1_000, "volume": 1_000},
            }
        },
        "identity": {
            "tokens": [
                {"token": TOKEN, "subject": "ada"},
                {"token": OPERATOR, "subject": "olga", "scopes": ["explain", "operator"]},
            ],
            "issuers": [{"issuer": ISSUER, "audience": [AUDIENCE], "jwks": "keys.json"}],
        },
        "operation": {"game_day_key": GAME_DAY, "persisted": 100_000},
        "shared": {"url": f"redis://user:{REDIS}@127.0.0.1:1/0"},
        "sagas": {"journal": str(folder / "journal.sqlite3"), "wait": 2.0, "anchor": str(folder / "anchor"), **keys},
        "telemetry": {"log_level": "debug"},
    }
    return Settings.within(folder, tree)


class Run:
    """Everything that can be asked, and every answer."""

    def __init__(self, gateway: GatewayUnderTest, service: Echoing) -> None:
        self.gateway = gateway
        self.service = service
        self.answers = list[bytes]()

    async def ask(
        self, text: str, variables: Any = None, *, script: list[object] | None = None, **headers: str
    ) -> Answer:
        self.service.script.extend(script or [])
        sent = {
            "authorization": f"Bearer {TOKEN}",
            "x-forwarded-secret": FORWARDED,
            "cookie": f"session={COOKIE}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        found = await self.gateway.execute(text, variables, headers=sent)
        self.service.script.clear()
        self.answers.append(found.body + repr(found.headers).encode())
        return found


async def test_in_a_run_with_all_that_may_go_wrong_no_secret_is_said(tmp_path: Path) -> None:
    secret_key, signing_key = new_secret_key(), SigningKey.generate().text()
    _seen.clear()
    async with echoing() as service:
        seen = Observed(tmp_path)
        held = settings(tmp_path, service, {"secret_key": secret_key, "signing_key": signing_key})
        async with GatewayUnderTest(held, GRAPH, wires={}, telemetry=seen.telemetry) as gateway:
            run = Run(gateway, service)
            jwt = token(claims(iat=int(time.time()), exp=int(time.time()) + 100))
            await reads(run, jwt)
            await sagas(run)
            await strange(run)
            metrics = await gateway.request("GET", "/metrics")
            ready = await gateway.request("GET", "/readyz")
            run.answers += [metrics.body, ready.body]
            printed = [
                repr(held),
                str(held),
                repr(gateway),
                repr(gateway.parts),
                *map(repr, vars(gateway.parts).values()),
                *_seen,
            ]
        sent = b"".join(service.asked)
        for expected in (TOKEN, FORWARDED, SET, INPUT, VARIABLE):
            assert expected.encode() in sent, "its service was sent it"
        assert COOKIE.encode() not in sent
        said = {**seen.said(), "answers": b"\n".join(run.answers), "reprs": "\n".join(printed).encode()}
    files = {name: text for name, text in said.items() if name.startswith(("journal", "anchor"))}
    assert b"sealed:1:" in b"".join(files.values()), "the journal was looked at"
    assert len(said["logs"]) > 1_000
    assert b"step login" in said["spans"]
    del said["keys.json"]
    secrets = [
        TOKEN,
        UNKNOWN,
        OPERATOR,
        FORWARDED,
        SET,
        COOKIE,
        INPUT,
        REDIS,
        GAME_DAY,
        jwt.rpartition(".")[2],
        secret_key,
        signing_key,
    ]
    found = [(name, secret) for name, text in said.items() for secret in secrets if secret.encode() in text]
    assert found == []
    private = [
        name
        for name, text in said.items()
        for each in (IDEMPOTENT, VARIABLE)
        if each.encode() in text and name not in files
    ]
    assert private == [], "what a client asks for is nobody's business either"


async def reads(run: Run, jwt: str) -> None:
    """Answers, failures of every kind, refusals."""
    balance = "query ($of: String!) { account(number: $of) { balance } }"
    of = {"of": VARIABLE}
    good: list[object] = [[{"id": VARIABLE, "balance": 1}]]
    assert (await run.ask(balance, of, script=good)).errors == []
    assert (await run.ask(balance, of, script=good, authorization=f"Bearer {jwt}")).errors == []
    assert (await run.ask(balance, of, script=[500, 500, 500])).codes == ["SERVICE_UNAVAILABLE"]
    assert (await run.ask(balance, of, script=[422])).codes == ["SERVICE_REFUSED"]
    assert (await run.ask(balance, of, script=[[{"id": [SET], "balance": TOKEN}]])).codes == ["SERVICE_CONTRACT_BROKEN"]
    assert (await run.ask(balance, of, script=[HANG, HANG, HANG])).codes == ["SERVICE_TIMEOUT"]
    assert (await run.ask(balance, of, script=[HANG], x_request_timeout_ms="50")).codes == ["DEADLINE_EXCEEDED"]
    assert (await run.ask("query ($of: String!) { byHand(account: $of) }", of, script=[500, 500, 500])).errors == []
    masked = await run.ask("query ($of: String!) { clumsy(account: $of) }", of)
    assert masked.codes == ["INTERNAL_SERVER_ERROR"]
    for bad in (UNKNOWN, jwt[:-9] + "AAAAAAAAA", f"{UNKNOWN}.{UNKNOWN}.{UNKNOWN}"):
        assert (await run.ask(balance, of, authorization=f"Bearer {bad}")).codes == ["UNAUTHENTICATED"]
    assert (await run.ask(balance, of, authorization=f"Basic {UNKNOWN}")).codes == ["UNAUTHENTICATED"]


async def sagas(run: Run) -> None:
    """Done, undone after all, refused; explained; followed over a WebSocket by who says its token there."""
    session, paid = {"session": f"{INPUT}-session"}, {"receipt": "r1"}
    given = {"input": {"token": INPUT, "others": [f"{INPUT}-2"]}}
    done = await run.ask(PAY, given, script=[session, paid], idempotency_key=IDEMPOTENT)
    assert done.data["payByToken"]["__typename"] == "PayByTokenCompleted"
    undone = await run.ask(PAY, given, script=[session, 400, paid], idempotency_key="2")
    assert undone.data["payByToken"]["__typename"] == "SagaFailed"
    failed = await run.ask(PAY, given, script=[500, HANG, paid], idempotency_key="3")
    assert failed.data["payByToken"]["__typename"] == "SagaFailed"
    conflict = {"input": {"token": f"{INPUT}-other"}}
    assert (await run.ask(PAY, conflict, idempotency_key=IDEMPOTENT)).data["payByToken"][
        "__typename"
    ] == "IdempotencyConflict"
    assert (await run.ask(PAY, {"input": {"token": INPUT * 9}}, idempotency_key="4")).codes == ["BAD_USER_INPUT"]
    assert (await run.ask(PAY, {"input": {"token": {"nested": INPUT}}}, idempotency_key="5")).codes == [
        "BAD_USER_INPUT"
    ]
    for number, unfit in enumerate(({"token": INPUT, "typo": INPUT}, {"others": [INPUT]}, {"token": [INPUT]}, INPUT)):
        for _ in range(2):  # the second time by a plan, which reads variables itself
            found = await run.ask(PAY, {"input": unfit}, idempotency_key=f"unfit-{number}")
            assert found.codes == ["BAD_USER_INPUT"]
    saga = done.data["payByToken"]["sagaId"]
    await run.ask("query ($id: ID!) { saga(id: $id) { id status } }", {"id": saga})
    async with connected(run.gateway.app) as socket:
        await socket.introduce({"authorization": f"Bearer {TOKEN}", "x-forwarded-secret": FORWARDED})
        await socket.subscribe(
            "a", "subscription ($id: ID!) { sagaEvents(id: $id, after: 0) { __typename } }", {"id": saga}
        )
        while (message := await socket.receive())["type"] == "next":
            run.answers.append(json.dumps(message).encode())
        assert message["type"] == "complete"
    async with connected(run.gateway.app) as socket:
        await socket.send(type="connection_init", payload={"authorization": f"Bearer {UNKNOWN}"})
        assert await socket.closed() == 4403


async def strange(run: Run) -> None:
    """Requests that are none, a game day, a store that is not there."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    for body in (b'{"query": "{ a', f'{{"query": 7, "variables": "{VARIABLE}"}}'.encode(), b"\xff"):
        found = await run.gateway.request("POST", "/graphql", body=body, headers=headers)
        run.answers.append(found.body)
    plan = signed('{"bank":{"error":1.0}}', key=GAME_DAY, until=Epoch(time.time() + 100))
    balance = 'query { account(number: "1") { balance } }'
    await run.ask(balance, x_sagaql_faults=plan)
    await run.ask(balance, x_sagaql_faults=f"{UNKNOWN}.{UNKNOWN}")
    unheard = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab" * 32}}}
    for _ in range(6):
        found = await run.gateway.request("POST", "/graphql", body=json.dumps(unheard).encode(), headers=headers)
        run.answers.append(found.body)
    explained = json.dumps({"query": balance, "extensions": {"explain": True}}).encode()
    found = await run.gateway.request(
        "POST",
        "/graphql",
        body=explained,
        headers={**headers, "authorization": f"Bearer {OPERATOR}", "x-forwarded-secret": FORWARDED},
    )
    assert "explain" in found.json["extensions"]
    run.answers.append(found.body)
    await asyncio.sleep(0)


async def test_a_mistake_beside_a_secret_is_told_without_it(tmp_path: Path) -> None:
    async with echoing() as service:
        held = settings(tmp_path, service, {"secret_key": new_secret_key()})
        async with GatewayUnderTest(held, GRAPH, wires={}) as gateway:
            found = await gateway.execute(PAY, {"input": {"token": INPUT, "typo": 1}})
    assert found.errors[0]["message"] == (
        "Variable '$input' has invalid value: Expected value of type 'PayInput' not to include unknown field 'typo'; "
        "what was sent is not repeated, for it may be a secret"
    )


WRONG = {
    "a key too many": "",
    "a token twice": '[[identity.tokens]]\ntoken = "{token}"\nsubject = "bob"\n',
    "a key that is none": '[sagas]\nsecret_key = "{input}"\nsigning_key = "{game}"\n',
    "a store that is none": '[shared]\nurl = "http://user:{redis}@host"\n',
    "a key that is too short": '[operation]\ngame_day_key = "canary-short"\n',
    "a token of no text": '[[identity.tokens]]\ntoken = ["{token}"]\nsubject = "bob"\n',
    "a header that breaks its line": '[services.bank.set_headers]\nx-service-key = "{set}\\n"\n',
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
@pytest.mark.parametrize("command", ["check", "serve"])
def test_what_is_wrong_with_settings_is_told_without_their_secrets(tmp_path: Path, wrong: str, command: str) -> None:
    written = wrong.format(token=TOKEN, input=INPUT, game=GAME_DAY, redis=REDIS, set=SET)
    text = (
        f'colour = "{UNKNOWN}"\n[[identity.tokens]]\ntoken = "{TOKEN}"\nsubject = "ada"\nrole = "{OPERATOR}"\n{written}'
    )
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    told = CliRunner().invoke(app, [command, "--config", str(tmp_path / "gateway.toml")])
    assert told.exit_code != 0
    assert "identity.tokens" in told.output
    assert [
        each for each in (TOKEN, OPERATOR, INPUT, GAME_DAY, REDIS, SET, "canary-short") if each in told.output
    ] == []


def test_what_is_on_its_way_shows_nothing_that_it_carries() -> None:
    headers = (("authorization", CANARY),)
    request = GraphQLRequest(
        text=f'{{ a(b: "{CANARY}") }}', variables={"a": CANARY}, headers=headers, idempotency_key=CANARY, faults=CANARY
    )
    call = ServiceRequest(
        service="bank",
        path=f"/a/{CANARY}",
        endpoint="GET /a/{b}",
        headers=headers,
        body=CANARY.encode(),
        query=((CANARY, CANARY),),
    )
    answer = ServiceResponse(200, {"set-cookie": CANARY}, CANARY.encode())
    assert repr(request) == "<GraphQLRequest of public/anonymous, 18 characters>"
    assert repr(call) == "<ServiceRequest bank GET /a/{b}>"
    assert repr(answer) == "<ServiceResponse 200, 6 bytes>"
