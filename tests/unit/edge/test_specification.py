"""The tables of the GraphQL-over-HTTP specification (draft), and that nothing that is sent makes us fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge import Responses
from gateway.edge.negotiation import GRAPHQL_RESPONSE, JSON
from gateway.edge.parameters import UnsupportedMediaType, ensure_json, from_body, from_query
from gateway.errors import RequestError
from gateway.execution import GraphQLResult


def failed(code: str, status: int) -> GraphQLResult:
    return GraphQLResult(errors=[{"message": "no", "extensions": {"code": code}}], is_request_error=True, status=status)


FIELD_ERROR = [{"message": "no", "path": ["a"], "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]

# What happened; the status as application/json, as application/graphql-response+json, and whether there is a member `data`.
TABLE = [
    ("data", GraphQLResult(tree={"a": 1}), 200, 200, True),
    ("data with errors", GraphQLResult(tree={"a": None}, errors=FIELD_ERROR), 200, 200, True),
    ("no data but errors", GraphQLResult(tree=None, errors=FIELD_ERROR), 200, 200, True),
    ("a document that is no GraphQL", failed("GRAPHQL_PARSE_FAILED", 400), 200, 400, False),
    ("a document that does not fit", failed("GRAPHQL_VALIDATION_FAILED", 400), 200, 400, False),
    ("variables that do not fit", failed("BAD_USER_INPUT", 400), 200, 400, False),
    ("no request", failed("BAD_REQUEST", 400), 400, 400, False),
    ("no JSON", failed("BAD_REQUEST", 415), 415, 415, False),
    ("another method", failed("BAD_REQUEST", 405), 405, 405, False),
    ("not known", failed("UNAUTHENTICATED", 401), 401, 401, False),
    ("not allowed", failed("FORBIDDEN", 403), 403, 403, False),
    ("too much", failed("OVERLOADED", 503), 503, 503, False),
    ("a bug of ours", failed("INTERNAL_SERVER_ERROR", 500), 500, 500, False),
]


@pytest.mark.parametrize(
    ("result", "old", "new", "has_data"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_each_outcome_has_its_status_and_its_members(
    result: GraphQLResult, old: int, new: int, has_data: bool
) -> None:
    for media_type, status in ((JSON, old), (GRAPHQL_RESPONSE, new)):
        response = await Responses().of(result, media_type, method="POST", headers={})
        assert response.status == status
        assert ("data" in orjson.loads(response.body)) is has_data
        assert dict(response.headers)[b"content-type"] == f"{media_type}; charset=utf-8".encode()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


async def parsed(body: bytes, content_type: str = JSON) -> Mapping[str, Any]:
    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    return await from_body({}, receive, {"content-type": content_type}, limit=1_000_000, within=None)


@given(st.dictionaries(st.text(), json_values))
async def test_every_json_object_is_read_as_it_was_written(parameters: dict[str, Any]) -> None:
    assert await parsed(orjson.dumps(parameters)) == parameters


@given(st.one_of(st.binary(), json_values.map(orjson.dumps)))
async def test_whatever_is_posted_is_parameters_or_a_refusal(body: bytes) -> None:
    try:
        assert isinstance(await parsed(body), dict)
    except RequestError as error:
        refused_with = error.status
    else:
        refused_with = 400
    assert refused_with == 400


@given(st.binary())
def test_whatever_stands_in_a_query_string_is_parameters_or_a_refusal(query: bytes) -> None:
    try:
        assert all(isinstance(name, str) for name in from_query(query))
    except RequestError as error:
        refused_with = error.status
    else:
        refused_with = 400
    assert refused_with == 400


@given(
    st.fixed_dictionaries(
        {"query": st.text()},
        optional={
            "operationName": st.text(),
            "variables": st.dictionaries(st.text(), json_values),
            "extensions": st.dictionaries(st.text(), json_values),
        },
    )
)
def test_a_query_string_and_a_body_say_the_same(parameters: dict[str, Any]) -> None:
    flat = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in parameters.items()
    }
    assert from_query(urlencode(flat).encode()) == parameters


@given(st.text())
def test_any_other_content_type_is_refused(content_type: str) -> None:
    if not content_type.strip().lower().startswith(JSON):
        with pytest.raises(UnsupportedMediaType):
            ensure_json(content_type)
