"""What `sagaql explain` does: an operation of a file is explained without being run, and told as a tree or as data."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from .terminal import INVALID, Refused, graph_of

if TYPE_CHECKING:
    from .execution.explaining import Explanation
    from .settings import OperationSettings, Settings


def print_explanation(
    settings: Settings, file: str, *, operation: str | None, variables: str | None, as_json: bool
) -> None:
    explanation = _explanation(settings, file, operation=operation, variables=variables)
    _print(_as_text(explanation, settings.operation, as_json=as_json))


def _explanation(settings: Settings, file: str, *, operation: str | None, variables: str | None) -> Explanation:
    from graphql import OperationType

    from .documents import documents_of
    from .execution.explaining import ServiceMissing, TooLarge, VariablesUnfit, explain
    from .operation_file import OperationUnreadable, read_operation, read_variables
    from .telemetry import Metrics
    from .trusted_documents import trusted_texts

    graph, limits = graph_of(settings), settings.operation
    documents = documents_of(limits, graph.core, metrics=Metrics())
    trusted = frozenset[str]() if settings.trusted is None else trusted_texts(settings.trusted)
    try:
        given = read_variables(variables)
        chosen = read_operation(documents, file, operation, trusted=trusted)
        is_write = chosen.kind is OperationType.MUTATION
        return explain(
            graph,
            chosen,
            given,
            services=settings.service_policies(),
            deadline=limits.mutation_deadline if is_write else limits.query_deadline,
            saga_wait=settings.sagas.wait,
            discovered=[name for name, each in settings.services.items() if not each.addresses],
            compiles=limits.compile,
        )
    except (OperationUnreadable, VariablesUnfit) as error:
        raise Refused(error.problems, exit_code=INVALID) from error
    except (ServiceMissing, TooLarge) as error:
        raise Refused([str(error)], exit_code=INVALID) from error


def _as_text(explanation: Explanation, limits: OperationSettings, *, as_json: bool) -> str:
    if as_json:
        from .execution.explaining import as_json as plain

        return json.dumps(plain(explanation), indent=2) + "\n"
    from .explanation_tree import WIDTH, explained

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    with console.capture() as captured:
        console.print(explained(explanation, max_cost=limits.max_cost, is_enforced=limits.cost == "enforce"))
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _print(text: str) -> None:
    """On standard output, all of it now. Whoever reads may go away, as `head` does: then there is no more to do."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter flushes once more at exit
