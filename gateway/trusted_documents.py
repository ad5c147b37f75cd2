"""Trusted documents: those that the operator's own clients send, read, checked and compiled before the first of them is asked for.

A folder of `.graphql` files, one document each. Invariant: a gateway starts with all of them or not at all, so that a deploy which
breaks a client's document is refused and not noticed by the client. They are kept however many others are sent.
"""

from __future__ import annotations

from pathlib import Path

from graphql import GraphQLError

from .execution.document import DocumentRejected, Documents
from .execution.plans import Plans
from .settings import SettingsInvalid


def trust(folder: Path, documents: Documents, plans: Plans) -> int:
    """Keep every document of the folder, with its plans. Returns how many there are. Raises: SettingsInvalid, all mistakes told."""
    texts, problems = _texts(folder)
    for path, text in texts.items():
        try:
            operations = documents.keep(text)
        except DocumentRejected as error:
            problems += [_located(each, path) for each in error.errors]
        else:
            for operation in operations.values():
                plans.prepare(operation.at_once)
                if operation.defers:
                    plans.prepare(operation)
    if problems:
        raise SettingsInvalid(problems)
    return len(texts)


def _texts(folder: Path) -> tuple[dict[Path, str], list[str]]:
    """By file, in the order of their names; and what cannot be read."""
    if not folder.is_dir():
        return {}, [f"operation.trusted: there is no folder {folder}; make it, or leave the setting out"]
    texts: dict[Path, str] = {}
    problems: list[str] = []
    for path in sorted(folder.rglob("*.graphql")):
        try:
            texts[path] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"operation.trusted: {path} cannot be read: {error}")
    return texts, problems


def _located(error: GraphQLError, path: Path) -> str:
    where = "".join(f":{each.line}:{each.column}" for each in (error.locations or ())[:1])
    return f"operation.trusted: {path}{where}: {error.message}"
