"""Who said a setting: the file, a variable, the command line, the profile, or nobody; and whether the file itself holds its text.

Invariant: names only are kept, no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .profiles import PROFILES, Profile
from .sources import NESTING, PREFIX, SHORT_NAMES, Loc, refers_to


@dataclass(frozen=True, slots=True)
class Provenance:
    """Of one tree."""

    file: str
    """The name of the file."""
    in_file: object
    in_environment: object
    in_command: object
    standing: frozenset[Loc]
    """Where the file holds a text whole, so that whoever reads the file reads it."""
    variables: frozenset[str]
    """Names that are set."""

    def of(self, path: Loc, *, profile: Profile) -> str:
        """In words: `gateway.toml`, `SAGAQL_SERVER__GRAPHIQL`, `the command line`, `profile production`, `the default`."""
        if _says(self.in_command, path):
            return "the command line"
        if _says(self.in_environment, path):
            return self._variable(path)
        if _says(self.in_file, path):
            return self.file
        return f"profile {profile}" if _says(shape(PROFILES[profile]), path) else "the default"

    def stands(self, path: Loc) -> bool:
        """Whether the value at `path` is a text that stands in the file, and nothing stronger says another."""
        return path in self.standing and not _says(self.in_environment, path) and not _says(self.in_command, path)

    def _variable(self, path: Loc) -> str:
        """Its own, or that of a list or a table around it, which was written as JSON."""
        for end in range(len(path), 0, -1):
            long = PREFIX + NESTING.join(map(str, path[:end])).upper()
            short = [name for name, stands_for in SHORT_NAMES.items() if stands_for == long]
            if found := [name for name in (long, *short) if name in self.variables]:
                return found[0]
        return "the environment"


def provenance(
    written: Mapping[str, Any],
    environment: Mapping[str, Any],
    command: Mapping[str, Any],
    *,
    file: str,
    environ: Mapping[str, str],
) -> Provenance:
    """`written`: the file's tables before references are filled in."""
    return Provenance(
        file=file,
        in_file=shape(written),
        in_environment=shape(environment),
        in_command=shape(command),
        standing=frozenset(_standing(written, environ)),
        variables=frozenset(name for name, value in environ.items() if name.startswith(PREFIX) and value),
    )


def shape(tree: object) -> object:
    """Tables by their names, and True for whatever is no table."""
    if isinstance(tree, Mapping):
        return {name: shape(below) for name, below in cast("Mapping[str, Any]", tree).items()}
    return True


def _says(layer: object, path: Loc) -> bool:
    """A list says all that is in it: a stronger one replaces it whole."""
    for part in path:
        if not isinstance(layer, Mapping):
            return True
        if part not in layer:
            return False
        layer = layer[part]
    return True


def _standing(written: object, environ: Mapping[str, str], path: Loc = ()) -> Iterator[Loc]:
    """A text of which the environment gives nothing: also one whose references fall back to what is written there."""
    match written:
        case str():
            if not any(environ.get(name) for name in refers_to(written)):
                yield path
        case Mapping():
            for name, below in cast("Mapping[str, Any]", written).items():
                yield from _standing(below, environ, (*path, name))
        case Sequence():
            for index, below in enumerate(written):
                yield from _standing(below, environ, (*path, index))
        case _:
            return
