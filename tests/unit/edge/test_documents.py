"""Documents that are not sent: by id, by hash, and where only trusted ones are served."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson
import pytest

from gateway.edge import KnownDocuments, Requests, document_id
from gateway.edge.client_headers import ClientHeaders
from gateway.edge.negotiation import GRAPHQL_RESPONSE
from gateway.errors import DocumentNotTrusted, GatewayError, RequestError
from gateway.identity import ANONYMOUS
from gateway.testing import in_virtual_time
from tests.unit.graph.shop import shop

TEXT, OTHER = "{ hello }", "{ whoami }"
TRUSTED = {"menu": TEXT, document_id(TEXT): TEXT}
JSON = {"content-type": "application/json", "accept": "application/json"}


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def apq(digest: object, version: object = 1) -> dict[str, Any]:
    return {"persistedQuery": {"version": version, "sha256Hash": digest}}


def refused(documents: KnownDocuments, parameters: dict[str, Any], extensions: dict[str, Any] | None = None) -> str:
    """The code of the refusal."""
    with pytest.raises(GatewayError) as caught:
        documents.text(parameters, extensions or {})
    return caught.value.code


def test_a_document_has_the_hash_of_its_text_as_an_id() -> None:
    assert document_id(TEXT) == f"sha256:{hashed(TEXT)}"
    assert document_id("\ud800") != document_id("\ud801"), "half a character is a text too"


@pytest.mark.parametrize("name", TRUSTED)
def test_a_trusted_document_is_asked_for_by_any_of_its_ids(name: str) -> None:
    assert KnownDocuments(TRUSTED).text({"documentId": name}, {}) == TEXT


def test_an_empty_text_beside_an_id_or_a_hash_is_none() -> None:
    documents = KnownDocuments(TRUSTED)
    assert documents.text({"documentId": "menu", "query": ""}, {}) == TEXT
    assert documents.text({"query": ""}, apq(hashed(TEXT))) == TEXT
    assert refused(documents, {"query": ""}) == "BAD_REQUEST"
    assert refused(documents, {"documentId": "menu", "query": 0}) == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"documentId": document_id(OTHER)}, "PERSISTED_DOCUMENT_NOT_FOUND"),
        ({"documentId": "menu", "query": TEXT}, "BAD_REQUEST"),
        ({"documentId": ""}, "BAD_REQUEST"),
        ({"documentId": 7}, "BAD_REQUEST"),
        ({"documentId": "x" * 257}, "BAD_REQUEST"),
        ({"documentId": None}, "BAD_REQUEST"),
        ({}, "BAD_REQUEST"),
        ({"query": " "}, "BAD_REQUEST"),
    ],
)
def test_what_names_no_document_is_refused(parameters: dict[str, Any], code: str) -> None:
    assert refused(KnownDocuments(TRUSTED), parameters) == code


def test_where_only_trusted_documents_are_served_their_texts_are_served_too_and_no_others() -> None:
    documents = KnownDocuments(TRUSTED, only_trusted=True, persisted=1000)
    assert documents.text({"query": TEXT}, {}) == TEXT
    assert refused(documents, {"query": OTHER}) == DocumentNotTrusted.code
    assert refused(documents, {"query": OTHER}, apq(hashed(OTHER))) == DocumentNotTrusted.code
    assert refused(documents, {}, apq(hashed(OTHER))) == "PERSISTED_QUERY_NOT_FOUND", "and it was not kept"


def test_a_hash_is_known_once_its_text_was_sent() -> None:
    documents = KnownDocuments(persisted=1000)
    assert refused(documents, {}, apq(hashed(TEXT))) == "PERSISTED_QUERY_NOT_FOUND"
    assert documents.text({"query": TEXT}, apq(hashed(TEXT))) == TEXT
    assert documents.text({}, apq(hashed(TEXT))) == TEXT


def test_a_text_is_kept_under_no_hash_but_its_own() -> None:
    documents = KnownDocuments(persisted=1000)
    assert refused(documents, {"query": OTHER}, apq(hashed(TEXT))) == RequestError.code
    assert refused(documents, {}, apq(hashed(TEXT))) == "PERSISTED_QUERY_NOT_FOUND"


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    documents = KnownDocuments(persisted=len(TEXT) + len(OTHER))
    for text in (TEXT, OTHER, "{ third }"):
        documents.text({"query": text}, apq(hashed(text)))
    assert refused(documents, {}, apq(hashed(TEXT))) == "PERSISTED_QUERY_NOT_FOUND"
    assert documents.text({}, apq(hashed("{ third }"))) == "{ third }"
    long = f"{{ {'x' * 100} }}"
    assert documents.text({"query": long}, apq(hashed(long))) == long, "it is executed, and not kept"
    assert repr(documents) == "<KnownDocuments 0 ids, 2 persisted>"


def test_the_hash_of_a_trusted_document_is_known_whether_others_are_kept_or_not() -> None:
    assert KnownDocuments(TRUSTED).text({}, apq(hashed(TEXT))) == TEXT
    assert refused(KnownDocuments(TRUSTED), {}, apq(hashed(OTHER))) == "PERSISTED_QUERY_NOT_SUPPORTED"


@pytest.mark.parametrize(
    "said", [None, "x", {}, {"version": 1}, apq("A" * 64)["persistedQuery"], apq("0" * 63)["persistedQuery"],
             apq("0" * 64, version=2)["persistedQuery"], apq(7)["persistedQuery"]]
)  # fmt: skip
def test_what_is_no_persisted_query_is_refused(said: object) -> None:
    assert refused(KnownDocuments(persisted=1000), {"query": TEXT}, {"persistedQuery": said}) == RequestError.code


def test_a_request_has_the_text_that_its_id_stands_for() -> None:
    requests = Requests(documents=KnownDocuments(TRUSTED))
    found = requests.read({"documentId": "menu"}, ClientHeaders([]), identity=ANONYMOUS)
    assert found.text == TEXT


@in_virtual_time
async def test_old_clients_read_200_where_a_hash_is_not_known_and_new_ones_404() -> None:
    async with shop(operation={"persisted": "1KiB"}) as gateway:
        body = orjson.dumps({"extensions": apq(hashed(TEXT))})
        old = await gateway.request("POST", "/graphql", body=body, headers=JSON)
        new = await gateway.request("POST", "/graphql", body=body, headers={**JSON, "accept": GRAPHQL_RESPONSE})
        assert (old.status, new.status) == (200, 404)
        assert old.errors[0]["message"] == "PersistedQueryNotFound", "what Apollo's clients look for"
        sent = orjson.dumps({"query": TEXT, "extensions": apq(hashed(TEXT))})
        assert (await gateway.request("POST", "/graphql", body=sent, headers=JSON)).data == {"hello": "hello you"}
        assert (await gateway.request("POST", "/graphql", body=body, headers=JSON)).data == {"hello": "hello you"}
