"""Trusted documents: compiled before anybody asks, kept whatever else is asked for, and refused at the start if they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.edge import document_id
from gateway.execution.document import Documents
from gateway.execution.planner import NotPlanned
from gateway.execution.plans import Plans
from gateway.settings import Settings, SettingsInvalid
from gateway.telemetry import Telemetry
from gateway.testing import in_virtual_time
from gateway.trusted_documents import APOLLO, trust
from tests.unit.graph.shop import graph, shop

CONDITIONS = "query Q($more: Boolean!, $less: Boolean!) { hello @skip(if: $less) whoami @include(if: $more) }"


def documents() -> Documents:
    return Documents(graph.core, max_entries=1, max_tokens=1_000, metrics=Telemetry().metrics)


def plans(*, is_on: bool = True) -> Plans:
    return Plans(graph.core, is_on=is_on, telemetry=Telemetry())


def folder_of(path: Path, **texts: str) -> Path:
    for name, text in texts.items():
        file = path / f"{name.replace('__', '/')}.graphql"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return path


def test_they_have_a_plan_at_their_first_sight_whatever_their_conditions_say(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, hello="{ hello }", pages__deep=CONDITIONS, two="query A { hello } query B { whoami }")
    known, kept = documents(), plans()
    assert sorted(trust(folder, known, kept).values()) == sorted(
        ["{ hello }", CONDITIONS, "query A { hello } query B { whoami }"]
    )
    for text, name, values in (
        ("{ hello }", None, {}),
        (CONDITIONS, None, {"more": True, "less": False}),
        (CONDITIONS, None, {"more": False, "less": True}),
        ("query A { hello } query B { whoami }", "B", {}),
    ):
        assert not isinstance(kept.find(known.operation(text, name), values), NotPlanned)
    assert isinstance(kept.find(known.operation("{ whoami }", None), {}), NotPlanned), "it was not in the folder"


def test_they_are_kept_however_many_others_are_sent(tmp_path: Path) -> None:
    known = documents()
    trust(folder_of(tmp_path, hello="{ hello }"), known, plans())
    first = known.operation("{ hello }", None)
    for number in range(5):
        known.operation(f"query Other{number} {{ hello }}", None)
    assert known.operation("{ hello }", None) is first
    assert repr(known) == "<Documents 1/1, 1 kept>"


def test_where_plans_are_switched_off_they_are_still_checked_and_kept(tmp_path: Path) -> None:
    known, kept = documents(), plans(is_on=False)
    assert len(trust(folder_of(tmp_path, hello="{ hello }"), known, kept)) == 1
    assert str(kept.find(known.operation("{ hello }", None), {})) == "off"


def test_what_has_no_plan_is_kept_all_the_same(tmp_path: Path) -> None:
    known, kept = documents(), plans()
    trust(folder_of(tmp_path, types="{ __schema { queryType { name } } }"), known, kept)
    assert str(kept.find(known.operation("{ __schema { queryType { name } } }", None), {})) == "introspection"


def test_every_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, good="{ hello }", typo="{\n  helo\n}", broken="{ hello")
    (tmp_path / "binary.graphql").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsInvalid) as caught:
        trust(folder, documents(), plans())
    unreadable, broken, typo = caught.value.problems
    assert "binary.graphql cannot be read" in unreadable
    assert f"{tmp_path / 'broken.graphql'}:1:8: Syntax Error" in broken
    assert f"{tmp_path / 'typo.graphql'}:2:3: Cannot query field 'helo'" in typo


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"there is no folder .*/lost; make it, or leave the setting out"):
        trust(tmp_path / "lost", documents(), plans())


HELLO_ID = document_id("{ hello }")


@pytest.mark.parametrize(
    ("manifest", "ids"),
    [
        ({"a1": "{ hello }"}, {"a1", HELLO_ID}),
        ({HELLO_ID: "{ hello }"}, {HELLO_ID}),
        ({"a": "{ hello }", "b": "{ hello }"}, {"a", "b", HELLO_ID}),
        ({"format": APOLLO, "version": 1, "operations": [{"id": "x", "body": "{ hello }", "name": "H"}]}, {"x", HELLO_ID}),
        ({}, set()),
    ],
)  # fmt: skip
def test_a_manifest_gives_its_documents_ids_of_its_own(tmp_path: Path, manifest: Any, ids: set[str]) -> None:
    path = tmp_path / "documents.json"
    path.write_bytes(orjson.dumps(manifest))
    found = trust(path, documents(), plans())
    assert set(found) == ids
    assert set(found.values()) <= {"{ hello }"}


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (b"{", "documents.json cannot be read"),
        (b"[]", "documents.json is no manifest: it must be a JSON object from ids to texts"),
        (b'{"a": 1}', "is no manifest"),
        (b'{"": "{ hello }"}', "is no manifest"),
        (b'{"format": "apollo-persisted-query-manifest"}', "is no manifest"),
        (b'{"format": "apollo-persisted-query-manifest", "operations": [7]}', "is no manifest"),
        (b'{"a": "{ helo }"}', "documents.json a:1:3: Cannot query field"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, manifest: bytes, says: str) -> None:
    path = tmp_path / "documents.json"
    path.write_bytes(manifest)
    with pytest.raises(SettingsInvalid) as caught:
        trust(path, documents(), plans())
    assert says in caught.value.problems[0]


def test_one_id_for_two_documents_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "documents.json"
    operations = [{"id": "x", "body": body} for body in ("{ hello }", "{ whoami }")]
    path.write_bytes(orjson.dumps({"format": APOLLO, "operations": operations}))
    with pytest.raises(SettingsInvalid, match="x: another document has this id"):
        trust(path, documents(), plans())


@in_virtual_time
async def test_a_document_is_asked_for_by_its_id_and_no_other_served_where_only_trusted_ones_are(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path, hello="{ hello }")
    async with shop(operation={"trusted": str(folder), "trusted_only": True}) as gateway:
        by_id = await gateway.request("GET", "/graphql", query={"documentId": HELLO_ID})
        assert (by_id.status, by_id.data) == (200, {"hello": "hello you"})
        assert (await gateway.execute("{ hello }")).status == 200
        other = await gateway.execute("{ whoami }")
        assert (other.status, other.codes) == (403, ["DOCUMENT_NOT_TRUSTED"])


def test_where_nothing_is_trusted_nothing_else_can_be_refused() -> None:
    with pytest.raises(ValueError, match="trusted_only is on and trusted names no documents"):
        Settings.model_validate({"operation": {"trusted_only": True}})


@in_virtual_time
async def test_the_setting_reaches_the_engine(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, hello="{ hello }")
    async with shop(operation={"trusted": str(folder)}) as gateway:
        assert (await gateway.execute("{ hello }")).errors == []
        plans_total = gateway.parts.telemetry.metrics.registry.get_sample_value
        assert plans_total("sagaql_plans_total", {"outcome": "compiled"}) == 1
    assert Settings.model_validate({"operation": {"trusted": ""}}).trusted is None
