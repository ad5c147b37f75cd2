"""An operation as a person keeps it: a file, or standard input; its variables on the command line, or in a file.

Invariant: every mistake becomes sentences, and those about the document say where: FILE:LINE:COLUMN.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import orjson
from graphql import GraphQLError

from .execution.document import DocumentRejected, Documents, Operation

STANDARD_INPUT = "-"


class OperationUnreadable(Exception):
    """What is wrong with the document or its variables, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_operation(
    documents: Documents, source: str, name: str | None, *, trusted: Container[str] = frozenset()
) -> Operation:
    """The operation called `name`, or the only one, of the file `source` ("-": standard input), at once.

    It is refused as a gateway refuses it; those whose texts are `trusted` have no bounds. Raises: OperationUnreadable.
    """
    where = "standard input" if source == STANDARD_INPUT else source
    text = _text(source, what="the document")
    try:
        operations = documents.read(text, is_trusted=text in trusted)
    except DocumentRejected as error:
        bound = "" if error.setting is None else f" ({error.setting})"
        raise OperationUnreadable([_located(each, where) + bound for each in error.errors]) from error
    return _chosen(operations, name, where=where).at_once


def read_variables(given: str | None) -> Mapping[str, Any] | None:
    """A JSON object, or "@FILE" that holds one; None where nothing is given. Raises: OperationUnreadable."""
    if given is None:
        return None
    text = _text(given[1:], what="--variables") if given.startswith("@") else given
    try:
        variables = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise OperationUnreadable(
            [f"--variables is no JSON: {error}; write '{{\"name\": 1}}', or @FILE for a file that holds it"]
        ) from error
    if not isinstance(variables, dict):
        raise OperationUnreadable(["--variables is no JSON object: write '{\"name\": 1}'"])
    return variables


def _text(source: str, *, what: str) -> str:
    try:
        if source == STANDARD_INPUT:
            return sys.stdin.read()
        return Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise OperationUnreadable([f"{what} cannot be read from {source}: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise OperationUnreadable([f"{what} cannot be read from {source}: it is no UTF-8"]) from error


def _located(error: GraphQLError, where: str) -> str:
    places = [f"{where}:{each.line}:{each.column}" for each in error.locations or ()]
    return f"{places[0] if places else where}: {error.message}"


def _chosen(operations: Mapping[str | None, Operation], name: str | None, *, where: str) -> Operation:
    known = ", ".join(str(each) for each in operations if each is not None)
    if not operations:
        raise OperationUnreadable([f"{where} has no operation: it holds only fragments"])
    if name is None and len(operations) > 1:
        raise OperationUnreadable([f"{where} has {len(operations)} operations: say which with --operation ({known})"])
    if name is not None and name not in operations:
        raise OperationUnreadable([f"{where} has no operation {name!r} (it has: {known or 'one without a name'})"])
    return next(iter(operations.values())) if name is None else operations[name]
