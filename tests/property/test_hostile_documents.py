"""Documents of strangers over the reference graph, while its services answer rubbish: answers are GraphQL, and say nothing of ours.

Derandomised, so that every run is the same; `SAGAQL_FUZZ=5000` tries as many, of another seed each time.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLString,
    get_named_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mutations
import resolvers
from gateway import global_id
from gateway.errors import GatewayError, InternalError, ServiceTimeout, ServiceUnavailable
from gateway.graph import build_graph
from gateway.sagas import new_secret_key
from gateway.services import ServiceRequest
from gateway.settings import Settings
from gateway.telemetry import Telemetry, json_log
from gateway.testing import (
    Answer,
    GatewayUnderTest,
    MemoryJournal,
    ScriptedWire,
    VirtualClock,
    VirtualLoop,
    after,
    answer,
)
from resolvers.customer import Customer
from resolvers.order import Order
from resolvers.product import Product
from tests.integration.test_gateway_reference import SERVICES, catalog, customers, inventory, reviews
from tests.property.documents import Writer
from tests.unit.execution.hostile import HOSTILE

SOAK = int(os.environ.get("SAGAQL_FUZZ", "0"))
GRAPH = build_graph(resolvers.Query, mutations.Mutation)
INTERNAL = "internal-0xC0FFEE"
"""In whatever a broken service says besides."""

HONEST: dict[str, Callable[[ServiceRequest], Any]] = {
    "catalog": catalog,
    "customers": customers,
    "inventory": inventory,
    "reviews": reviews,
}
IDS = [
    global_id(Customer, "c-1"),
    *[global_id(Product, "p-1")] * 4,
    global_id(Order, "../../admin?x=#"),
    global_id(Product, "\r\nx-admin: 1"),
    "not an id",
    "",
    "\u2028",
    "A" * 5_000,
]
NUMBERS = [-(2**31), -1, 0, 1, 2, 99, 1000, 2**31 - 1]
STRINGS = [
    *HOSTILE,
    "",
    "\0",
    "sku-p-1",
    "DE",
    "10115",
    "A" * 300,
    "{{7*7}}",
    "%s%n",
    "../../etc/passwd",
    "\ud83d\ude00",
]
NOISE = [
    "{",
    "}",
    "(",
    ")",
    "...",
    "@skip(if: $no)",
    '"',
    '"""',
    "$",
    "\\u{110000}",
    "#",
    "\ufeff",
    "fragment X on Query",
    "1e999",
]
TOKENS = ["ann", "bob", "support", "operator", "nobody", None]


def codes(of: type[GatewayError] = GatewayError) -> set[str]:
    """Of the taxonomy."""
    return {of.code}.union(*map(codes, of.__subclasses__()))


class Stranger(Writer):
    """Writes what fits the schema, and asks for what nobody should."""

    @staticmethod
    def _is_required(argument: GraphQLArgument) -> bool:
        return is_required_argument(argument)

    def _variable(self, kind: Any) -> str:
        """Of the type in question, or of one that does not fit."""
        return super()._variable(kind if self._random.random() < 0.95 else GraphQLString)

    def _value_there(self, kind: Any) -> Any:
        name = getattr(get_named_type(kind), "name", "")
        if not is_list_type(kind) and not is_non_null_type(kind):
            lists: dict[str, list[Any]] = {"ID": IDS, "Int": NUMBERS, "String": STRINGS}
            hostile = lists.get(name)
            if hostile is not None:
                return self._random.choice(hostile)
            if is_input_object_type(kind):
                given = kind.fields.items()
                return {
                    each: self._value(of.type)
                    for each, of in given
                    if is_required_input_field(of) or self._random.random() < 0.3
                }
        return super()._value_there(kind)


def broken(random: Random, request: ServiceRequest) -> Any:
    """One of the ways in which a service may fail."""
    told = f"psycopg.OperationalError: {INTERNAL} at 10.0.0.7:5432"
    bodies: list[Any] = [
        told.encode(),
        {"error": told},
        [told],
        [{"sku": {"deep": told}}],
        {"items": told, "nextCursor": None},
        None,
        b"",
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"items": [1e999]}',
        [9**30],
    ]
    match random.randrange(6):
        case 0:
            return ServiceUnavailable(
                f"{request.service} refused the connection", service=request.service, applied=None
            )
        case 1:
            return ServiceTimeout(f"{request.service} did not answer in time", service=request.service)
        case 2:
            return answer(random.choice(bodies), status=random.choice([400, 401, 403, 404, 409, 422, 429]))
        case 3:
            return answer(random.choice(bodies), status=random.choice([500, 502, 503]), headers={"x-debug": told})
        case _:
            return answer(random.choice(bodies))


class Shop:
    """The reference graph in virtual time. `luck`: of its services, anew for each request."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.luck = Random(0)
        self.rate = 0.0
        self.logged = io.StringIO()
        tokens = [{"token": each, "subject": each, "scopes": [each, "customer"]} for each in TOKENS if each]
        tree = {
            "services": {name: {"url": f"http://{name}.test"} for name in SERVICES},
            "identity": {"tokens": tokens},
            "sagas": {"secret_key": new_secret_key(), "wait": "1s"},
        }
        self.gateway = GatewayUnderTest(
            Settings.model_validate(tree),
            GRAPH,
            wires={name: ScriptedWire(otherwise=self._service(name)) for name in SERVICES},
            telemetry=Telemetry(log=json_log(self.logged, level="warning")),
            clock=VirtualClock(),
            journal=MemoryJournal(),
        )

    def _service(self, name: str) -> Any:
        def served(request: ServiceRequest) -> Any:
            if name not in HONEST or self.luck.random() < self.rate:
                return broken(self.luck, request)
            return HONEST[name](request)

        return after(0.002, served)

    def ask(self, body: bytes, headers: dict[str, str]) -> Answer:
        sent = {"content-type": "application/json", "accept": "application/graphql-response+json", **headers}
        return self._runner.run(self.gateway.request("POST", "/graphql", body=body, headers=sent))


@contextmanager
def shop() -> Generator[Shop]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        here = Shop(runner)
        runner.run(here.gateway.__aenter__())
        yield here
        runner.run(here.gateway.__aexit__(None, None, None))


def request_of(random: Random) -> tuple[bytes, dict[str, str]]:
    """What a stranger sends: mostly whole, sometimes with something in it that is out of place."""
    writer = Stranger(random, GRAPH.core, depth=random.randint(1, 5))
    text = writer.document()
    for _ in range(random.choice([0, 0, 0, 0, 1, 2])):
        at = random.randrange(len(text) + 1)
        text = text[:at] + random.choice(NOISE) + text[at + random.randrange(4) :]
    variables = {
        name: random.choice([*[value] * 6, random.choice(NUMBERS), [value]]) for name, value in writer.values.items()
    }
    body = {"query": text, "variables": variables, "onError": random.choice(["PROPAGATE", "NULL", "HALT"])}
    token = random.choice(TOKENS)
    headers = {
        "x-request-timeout-ms": random.choice(["2", "2000", "2000", "2000"]),
        "x-request-priority": random.choice(["critical", "normal", "sheddable"]),
    }
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    if text.startswith("mutation") and random.random() < 0.5:
        headers["idempotency-key"] = random.choice(["k1", "k2", "k" * 300])
    return json.dumps(body).encode(), headers


def test_whatever_is_asked_and_however_services_fail_the_answer_is_graphql_and_says_nothing_of_ours() -> None:
    with shop() as here:

        @settings(
            max_examples=SOAK or 200,
            derandomize=not SOAK,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(st.integers(0, 2**64), st.sampled_from([0.1, 0.5, 1.0]))
        def run(seed: int, rate: float) -> None:
            random = Random(seed)  # of its own: services draw from it in tasks, where Hypothesis must not end a test
            body, headers = request_of(random)
            here.luck, here.rate = random, rate
            found = here.ask(body, headers)
            assert found.status in {200, 400, 401, 403, 503, 504}, found.body
            ensure_graphql(found)
            assert INTERNAL.encode() not in found.body
            assert b"Traceback" not in found.body
            assert InternalError.code not in found.codes, here.logged.getvalue()[-3000:]

        run()
        assert '"level": "error"' not in here.logged.getvalue()


def ensure_graphql(found: Answer) -> None:
    """What the specification says of an answer, and that each error is one of ours."""
    tree = found.json
    assert set(tree) <= {"data", "errors", "extensions"}
    assert "data" in tree or tree["errors"]
    for error in tree.get("errors", []):
        assert isinstance(error["message"], str)
        assert error["extensions"]["code"] in codes()
        assert set(error) <= {"message", "locations", "path", "extensions"}
