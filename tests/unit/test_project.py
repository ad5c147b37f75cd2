"""What `sagaql check` finds before anything is served; each project here is a package of its own, found by name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.graph import GraphInvalid
from gateway.project import load_graph, problems
from gateway.settings import Settings

GRAPH = '''
"""A graph."""

import msgspec

from gateway import Service, entity, field, resolver

shelf = Service("shelf")
desk = Service("desk")
stamp = desk.command("POST", "/stamps", into=dict[str, str])


class BookRecord(msgspec.Struct):
    title: str


@entity
class Book:
    """A book."""

    title: str = field("On the cover.")


{loader}


@entity
class Query:
    """The root."""

    @resolver
    def hello(self) -> str:
        """A greeting."""
        return "hello"
'''
LOADER = """
books = shelf.loader(
    "/books", keys="ids", key="{key}", into=Book, record=BookRecord, to=lambda row: Book(title=row.title)
)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("graph_of_")]:
        del sys.modules[name]
    sys.path.remove(str(tmp_path))


def settings(
    project: Path, name: str, *, code: str, services: tuple[str, ...] = ("shelf", "desk"), sdl: str = ""
) -> Settings:
    (project / f"graph_of_{name}.py").write_text(code, encoding="utf-8")
    tree = {
        "graph": {"query": f"graph_of_{name}:Query", "sdl": sdl},
        "services": {each: {"url": f"http://{each}.test"} for each in services},
    }
    return Settings.within(project, tree)


def test_a_whole_project_has_no_problems(project: Path) -> None:
    fine = settings(project, "nothing_wrong", code=GRAPH.replace("{loader}", LOADER.replace("{key}", "title")))

    assert problems(fine, load_graph(fine)) == []


def test_a_service_that_only_a_command_names_is_missed_too(project: Path) -> None:
    lacking = settings(project, "lacking", code=GRAPH.replace("{loader}", ""), services=("shelf", "dusk"))

    (problem,) = problems(lacking, load_graph(lacking))

    assert "graph_of_lacking.desk is of service 'desk'" in problem
    assert "gateway.toml has [services.dusk]" in problem


def test_a_record_without_the_key_is_found_though_no_join_uses_its_loader(project: Path) -> None:
    broken = settings(project, "broken", code=GRAPH.replace("{loader}", LOADER.replace("{key}", "isbn")))

    (problem,) = problems(broken, load_graph(broken))

    assert problem.startswith("graph_of_broken.books: ")
    assert "BookRecord has no field that reads 'isbn'" in problem


def test_a_root_that_is_not_there_is_told_with_the_nearest_name(project: Path) -> None:
    named = settings(project, "named", code=GRAPH.replace("{loader}", "").replace("class Query", "class Querry"))

    with pytest.raises(GraphInvalid, match="did you mean 'Querry'"):
        load_graph(named)


def test_a_module_that_fails_to_import_is_told_with_its_reason(project: Path) -> None:
    failing = settings(project, "failing", code="raise RuntimeError('no such moon')")

    with pytest.raises(GraphInvalid, match="importing graph_of_failing fails: RuntimeError: no such moon"):
        load_graph(failing)


def test_a_schema_file_that_is_missing_or_behind_is_told_with_the_command_that_renews_it(project: Path) -> None:
    kept = settings(project, "kept", code=GRAPH.replace("{loader}", ""), sdl="kept.graphql")
    graph = load_graph(kept)

    (missing,) = problems(kept, graph)
    (project / "kept.graphql").write_text(graph.sdl + "type Behind { it: Int }\n", encoding="utf-8")
    (behind,) = problems(kept, graph)
    (project / "kept.graphql").write_text(graph.sdl, encoding="utf-8")

    assert "sagaql schema --write" in missing
    assert "-type Behind { it: Int }" in behind
    assert problems(kept, graph) == []
