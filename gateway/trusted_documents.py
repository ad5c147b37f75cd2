"""Trusted documents: those that the operator's own clients send, read, checked and compiled before the first of them is asked for.

A folder of `.graphql` files, one document each; or a manifest, as the build tools of clients write it: Apollo's, or a JSON object
from ids to texts (Relay, graphql-codegen). Invariant: a gateway starts with all of them or not at all, so that a deploy which
breaks a client's document is refused and not noticed by the client. They are kept however many others are sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from graphql import GraphQLError

from .edge import document_id
from .execution.document import DocumentRejected, Documents
from .execution.plans import Plans
from .settings import SettingsInvalid

APOLLO = "apollo-persisted-query-manifest"


class _Document(NamedTuple):
    place: str
    """File, and the id in it."""
    id: str | None
    """By which it is known besides its hash."""
    text: str


class _Unreadable(Exception):
    """A sentence."""


def trust(path: Path, documents: Documents, plans: Plans) -> Mapping[str, str]:
    """Keep every document of the folder or manifest, with its plans. Returns the texts by their ids; each has `document_id` too.

    Raises: SettingsInvalid, all mistakes told.
    """
    texts: dict[str, str] = {}
    problems: list[str] = []
    for found in _documents(path):
        if isinstance(found, _Unreadable):
            problems.append(f"operation.trusted: {found}")
            continue
        problems += _kept(found, documents, plans)
        if found.id is not None and texts.get(found.id, found.text) != found.text:
            problems.append(f"operation.trusted: {found.place}: another document has this id")
        texts |= dict.fromkeys(filter(None, (found.id, document_id(found.text))), found.text)
    if problems:
        raise SettingsInvalid(problems)
    return texts


def trusted_texts(path: Path) -> frozenset[str]:
    """Those that can be read, none of them checked."""
    return frozenset(found.text for found in _documents(path) if isinstance(found, _Document))


def _kept(found: _Document, documents: Documents, plans: Plans) -> list[str]:
    """Keep it. Returns what is wrong with it."""
    try:
        operations = documents.keep(found.text)
    except DocumentRejected as error:
        return [_located(each, found.place) for each in error.errors]
    for operation in operations.values():
        plans.prepare(operation.at_once)
        if operation.defers:
            plans.prepare(operation)
    return []


def _documents(path: Path) -> Iterator[_Document | _Unreadable]:
    """In the order of their names."""
    if path.suffix == ".json" and not path.is_dir():
        yield from _in_manifest(path)
    elif not path.is_dir():
        yield _Unreadable(f"there is no folder {path}; make it, or leave the setting out")
    else:
        for file in sorted(path.rglob("*.graphql")):
            try:
                yield _Document(str(file), None, file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                yield _Unreadable(f"{file} cannot be read: {error}")


def _in_manifest(path: Path) -> Iterator[_Document | _Unreadable]:
    try:
        texts = _texts_by_id(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError) as error:
        yield _Unreadable(f"{path} cannot be read: {error}")
        return
    except _Unreadable as error:
        yield _Unreadable(f"{path} {error}")
        return
    for name, text in texts:
        yield _Document(f"{path} {name}", name, text)


def _texts_by_id(manifest: Any) -> list[tuple[str, str]]:
    """Raises: _Unreadable."""
    if isinstance(manifest, dict) and manifest.get("format") == APOLLO:
        operations = manifest.get("operations")
        listed = operations if isinstance(operations, list) else [None]
        pairs = [(each.get("id"), each.get("body")) if isinstance(each, dict) else (None, None) for each in listed]
    elif isinstance(manifest, dict):
        pairs = [*manifest.items()]
    else:
        pairs = [(None, None)]
    texts = [(name, text) for name, text in pairs if isinstance(name, str) and name and isinstance(text, str)]
    if len(texts) < len(pairs):
        raise _Unreadable(f"is no manifest: it must be a JSON object from ids to texts, or of the format {APOLLO!r}")
    return texts


def _located(error: GraphQLError, place: str) -> str:
    where = "".join(f":{each.line}:{each.column}" for each in (error.locations or ())[:1])
    return f"operation.trusted: {place}{where}: {error.message}"
