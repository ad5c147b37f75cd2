"""A project: its graph, found by name, and what does not fit between the graph and the settings.

Invariant: mistakes are sentences, all of them at once; nothing is opened and nobody is called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches, unified_diff
from typing import Any

from .graph import Graph, GraphInvalid, build_graph
from .loading import Loader, Pages, Service
from .loading.records import loader_codec, page_codec
from .sagas.embedded import lacking_a_key
from .services import Command
from .settings import Settings, SettingsInvalid

Declaration = Service | Loader[Any] | Pages[Any] | Command[Any]


def load_graph(settings: Settings) -> Graph:
    """Import the root types named in the settings and build the schema. Raises: GraphInvalid with every problem."""
    mistakes: list[str] = []
    roots: list[Any] = []
    for concern, name in _roots(settings):
        if name is None:
            roots.append(None)
            continue
        try:
            roots.append(_imported(name, concern, root=str(settings.root)))
        except GraphInvalid as error:
            mistakes += error.problems
    if mistakes:
        raise GraphInvalid(mistakes)
    return build_graph(*roots)


def _roots(settings: Settings) -> list[tuple[str, str | None]]:
    """(setting, "module:name") of each root type, in the order of `build_graph`'s arguments."""
    graph = settings.graph
    return [
        ("graph.query", graph.query),
        ("graph.mutation", graph.mutation),
        ("graph.subscription", graph.subscription),
    ]


def _imported(name: str, concern: str, *, root: str) -> type[Any]:
    module_name, _, attribute = name.partition(":")
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the author's own modules: whatever they raise becomes what `check` prints
        raise GraphInvalid(
            [f"{concern} is {name!r}: importing {module_name} fails: {type(error).__name__}: {error}"]
        ) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, type):
        near = get_close_matches(attribute, vars(module), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise GraphInvalid([f"{concern} is {name!r}: {module_name} has no class {attribute!r}{hint}"])
    return found


def problems(settings: Settings, graph: Graph) -> list[str]:
    """What does not fit between settings and graph, one sentence each; empty when it can be served."""
    declared = declarations(settings)
    found = [*_service_problems(settings, graph, declared), *_record_problems(declared)]
    found += lacking_a_key((*graph.sagas.values(), *graph.older_sagas), settings.secret_keys)
    try:
        settings.service_configs()
    except SettingsInvalid as error:
        found += error.problems
    return found + _tls_problems(settings) + _sdl_problems(settings, graph)


def _tls_problems(settings: Settings) -> list[str]:
    try:
        if settings.tls is not None:
            settings.tls.context()
    except ValueError as error:
        return [f"server: {error}"]
    return []


def declarations(settings: Settings) -> Mapping[str, Declaration]:
    """By "module.name": every service, loader, listing and command in the modules of the graph that are imported.

    Joins are found through the schema; what only resolvers and sagas use is found here.
    """
    return dict(_declarations(settings))


def _declarations(settings: Settings) -> Iterator[tuple[str, Declaration]]:
    roots = {name.partition(":")[0].partition(".")[0] for _, name in _roots(settings) if name}
    for module_name, module in sorted(sys.modules.items()):
        if module_name.partition(".")[0] in roots:
            for name, value in vars(module).items():
                if isinstance(value, Service | Loader | Pages | Command):
                    yield f"{module_name}.{name}", value


def _service_problems(settings: Settings, graph: Graph, declared: Mapping[str, Declaration]) -> Iterator[str]:
    used: dict[str, str] = {}
    for where, value in declared.items():
        used.setdefault(value.name if isinstance(value, Service) else value.service, where)
    for name, field in graph.joins.items():
        for loader in field.loaders:
            used.setdefault(loader.service, name)
    for name in sorted(set(used) - set(settings.services)):
        near = get_close_matches(name, settings.services, n=1)
        hint = f" (gateway.toml has [services.{near[0]}])" if near else ""
        yield f"{used[name]} is of service {name!r}, which gateway.toml does not have: add [services.{name}]{hint}"


def _record_problems(declared: Mapping[str, Declaration]) -> Iterator[str]:
    """Records that cannot be decoded; those of joins were found when the schema was built."""
    for where, value in declared.items():
        try:
            if isinstance(value, Loader):
                loader_codec(value)
            elif isinstance(value, Pages):
                page_codec(value)
        except TypeError as error:
            yield f"{where}: {error}"


def _sdl_problems(settings: Settings, graph: Graph) -> list[str]:
    if settings.sdl is None:
        return []
    if not settings.sdl.exists():
        return [f"{settings.sdl.name} is not there: write it with `sagaql schema --write`"]
    written = settings.sdl.read_text(encoding="utf-8")
    if written == graph.sdl:
        return []
    changed = [
        line
        for line in unified_diff(written.splitlines(), graph.sdl.splitlines(), lineterm="", n=0)
        if line[:1] in "+-" and line[:3] not in {"+++", "---"}
    ]
    first = "; ".join(changed[:3])
    return [
        f"{settings.sdl.name} differs from the code in {len(changed)} lines ({first}): `sagaql schema --write` renews it"
    ]
