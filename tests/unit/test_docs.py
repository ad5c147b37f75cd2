"""The prose is true where a machine can tell: the table of errors, links, GraphQL and Python snippets.

Sources are the pages at the root, below docs/ and of the SDKs. A Python snippet whose first line is a comment that names a file
of the checkout is held against that file, line by line and indentation aside.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_args
from urllib.parse import unquote

import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from gateway.errors import taxonomy
from gateway.sagas import definition_of, draw
from gateway.settings import Settings
from mutations.place_order import PlaceOrder

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "sdk").glob("*/README.md")])

_LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMES_A_FILE = re.compile(r"# (?P<path>[\w/]+\.py)\n")


@dataclass(frozen=True)
class Snippet:
    """A fenced block, and where it stands."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def snippets(language: str) -> list[Snippet]:
    return [each for page in PAGES for each in _fenced(page) if each.language == language]


def _fenced(page: Path) -> Iterator[Snippet]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Snippet(page, text.count("\n", 0, found.start()) + 1, found["language"], found["text"])


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "scripts" / "readme_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- the table of errors -----------------------------------------------------------------------------------------------


def test_the_table_of_errors_is_the_taxonomy(tables: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tables.with_table(readme) == readme, "run scripts/readme_tables.py"


def test_every_code_of_the_taxonomy_stands_in_the_table(tables: ModuleType) -> None:
    rows = tables.error_table(taxonomy()).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [error.code for error in taxonomy()]


def test_a_table_that_was_changed_by_hand_is_noticed(tables: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    changed = readme.replace("`SERVICE_TIMEOUT` | service | yes", "`SERVICE_TIMEOUT` | service | no", 1)
    assert changed != readme
    assert tables.with_table(changed) == readme


def test_a_page_without_the_markers_is_refused_in_words(tables: ModuleType) -> None:
    with pytest.raises(tables.MarkersMissing, match="errors: begin"):
        tables.with_table("# a page without a table")


# -- links -------------------------------------------------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as forges make them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _relative_links(page: Path) -> Iterator[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return (link for link in _LINK.findall(text) if "://" not in link)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_points_to_something_that_exists(page: Path) -> None:
    for link in _relative_links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        assert target.is_relative_to(ROOT), f"{link} leaves the checkout"
        assert target.exists(), f"{link} points to nothing"
        assert not anchor or anchor in _anchors(target), f"{link}: no such heading"


# -- the threat model --------------------------------------------------------------------------------------------------

SECURITY = ROOT / "SECURITY.md"
_PROOF = re.compile(r"\[(test_\w+)\]\((tests/[^)#]+\.py)\)")
_SETTING = re.compile(r"`([a-z_]+)\.(?:X\.)?([a-z_]+)`")


def test_every_test_that_the_threat_model_names_is_there() -> None:
    proofs = _PROOF.findall(SECURITY.read_text(encoding="utf-8"))
    missing = [f"{path}: {name}" for name, path in proofs if not _defines(ROOT / path, name)]
    assert (missing, len(proofs) > 50) == ([], True)


def test_every_threat_has_a_proof() -> None:
    rows = [each.split(" | ") for each in SECURITY.read_text(encoding="utf-8").splitlines() if each.count(" | ") == 4]
    threats = [row for row in rows if row[0] != "| threat"]
    assert [row[0] for row in threats if not _PROOF.search(row[3])] == []
    assert len(threats) > 30


def test_every_setting_that_the_threat_model_names_is_one() -> None:
    sections = {name: _fields(each.annotation) for name, each in Settings.model_fields.items()}
    named = [each for each in _SETTING.findall(SECURITY.read_text(encoding="utf-8")) if each[0] in sections]
    assert ([f"{section}.{name}" for section, name in named if name not in sections[section]], len(named) > 30) == (
        [],
        True,
    )


def _defines(file: Path, name: str) -> bool:
    return re.search(rf"^(async )?def {name}\(", file.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _fields(section: Any) -> set[str]:
    """The names of a section's settings; of `services` those of each service."""
    kind = get_args(section)[-1] if get_args(section) else section
    return {*getattr(kind, "model_fields", ()), *getattr(kind, "__dataclass_fields__", ())}


# -- snippets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snippet", snippets("graphql"), ids=str)
def test_every_graphql_snippet_fits_the_schema(snippet: Snippet, schema: GraphQLSchema) -> None:
    assert [error.message for error in validate(schema, parse(snippet.text))] == []


@pytest.mark.parametrize("snippet", snippets("json"), ids=str)
def test_every_json_snippet_is_json(snippet: Snippet) -> None:
    assert isinstance(json.loads(snippet.text), dict)


@pytest.mark.parametrize("snippet", snippets("python"), ids=str)
def test_every_python_snippet_compiles(snippet: Snippet) -> None:
    code = textwrap.dedent(_NAMES_A_FILE.sub("", snippet.text, count=1))
    compile(code, str(snippet), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("snippet", [each for each in snippets("python") if _NAMES_A_FILE.match(each.text)], ids=str)
def test_every_python_snippet_that_names_a_file_stands_in_it(snippet: Snippet) -> None:
    named = _NAMES_A_FILE.match(snippet.text)
    assert named is not None
    known = _stripped((ROOT / named["path"]).read_text(encoding="utf-8"))
    strangers = [line for line in _stripped(snippet.text[named.end() :]) if line not in set(known)]
    assert strangers == [], f"{named['path']} does not have these lines"


def test_the_guide_draws_the_saga_as_it_is_drawn() -> None:
    guide = (ROOT / "docs" / "guides" / "writing-a-saga.md").read_text(encoding="utf-8")
    assert f"```\n{draw(definition_of(PlaceOrder))}```" in guide


def _stripped(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("snippet", snippets("toml"), ids=str)
def test_every_toml_snippet_is_taken_as_settings(snippet: Snippet) -> None:
    Settings.within(ROOT, tomllib.loads(snippet.text))


def test_there_are_snippets_of_each_kind_to_check() -> None:
    kinds = ("graphql", "json", "python", "toml")
    assert [kind for kind in kinds if not snippets(kind)] == []
