"""What the SDKs know of the gateway is what the gateway says: codes, notices, outcomes, operations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from graphql import GraphQLEnumType, GraphQLUnionType, build_schema, parse, validate

import sagaql_client
from gateway.errors import taxonomy
from sagaql_client import Degradation, GraphError, SagaEnded
from sagaql_client.core import LOOK, WATCH
from sagaql_client.errors import BY_CODE, graph_error
from sagaql_client.outcome import SETTLED, error_of, is_accepted

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))


def test_every_code_of_the_taxonomy_has_a_class_and_no_other_has() -> None:
    assert set(BY_CODE) == {each.code for each in taxonomy()}


def test_a_code_of_tomorrow_is_an_error_all_the_same() -> None:
    error = graph_error({"message": "m", "extensions": {"code": "TOMORROW", "retryable": True}})
    assert (type(error), error.code, error.retryable) == (GraphError, "TOMORROW", True)


def test_every_error_is_public() -> None:
    assert {each.__name__ for each in [*BY_CODE.values(), *SagaEnded.__subclasses__()]} <= set(sagaql_client.__all__)


def test_the_notices_of_degradation_are_those_of_the_schema() -> None:
    told = SCHEMA.type_map["Degradation"]
    assert isinstance(told, GraphQLEnumType)
    assert set(get_args(Degradation)) == set(told.values)


def test_every_member_of_a_payload_is_success_acceptance_or_an_error() -> None:
    payload = SCHEMA.type_map["PlaceOrderPayload"]
    assert isinstance(payload, GraphQLUnionType)
    answer = {"sagaId": "s", "status": "x", "code": "c", "message": "m", "undone": []}

    raised = {each.name: error_of({**answer, "__typename": each.name}) for each in payload.types}

    assert {name for name, error in raised.items() if error is None} == {"PlaceOrderCompleted", "SagaAccepted"}
    assert is_accepted({"__typename": "SagaAccepted"})


def test_settled_is_what_has_an_outcome() -> None:
    told = SCHEMA.type_map["SagaStatus"]
    assert isinstance(told, GraphQLEnumType)
    assert set(told.values) - SETTLED == {"RUNNING", "COMPENSATING", "FORWARD_ONLY"}


def test_what_the_core_asks_by_itself_fits_the_schema() -> None:
    for document in (WATCH, LOOK):
        assert validate(SCHEMA, parse(document)) == []


def test_the_operations_of_both_sdks_fit_the_schema() -> None:
    files = sorted((ROOT / "sdk" / "operations").glob("*.graphql"))
    assert len(files) == 6
    for file in files:
        assert validate(SCHEMA, parse(file.read_text(encoding="utf-8"))) == [], file.name


def test_the_typescript_sdk_has_the_same_codes_notices_and_outcomes() -> None:
    errors = (ROOT / "sdk" / "typescript" / "src" / "errors.ts").read_text(encoding="utf-8")
    table = errors.partition("export const BY_CODE")[2].partition("} as const")[0]
    result = (ROOT / "sdk" / "typescript" / "src" / "result.ts").read_text(encoding="utf-8")
    outcome = (ROOT / "sdk" / "typescript" / "src" / "outcome.ts").read_text(encoding="utf-8")

    assert set(re.findall(r"^  ([A-Z_]+):", table, re.MULTILINE)) == set(BY_CODE)
    assert set(re.findall(r"'([A-Z]+)'", result.partition("type Degradation =")[2].partition(";")[0])) == set(
        get_args(Degradation)
    )
    assert set(re.findall(r"'([A-Z_]+)'", outcome.partition("SETTLED")[2].partition(";")[0])) == SETTLED
