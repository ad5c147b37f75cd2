"""Sagas as text: a list with a line a saga, and one saga with its steps and its timeline. Lines never break."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def sagas_table(sagas: Sequence[Mapping[str, Any]]) -> str:
    """What stands in the list, or that there is nothing."""
    if not sagas:
        return "no sagas"
    head = ("id", "saga", "status", "owner", "created", "ended")
    rows = [
        (
            each["id"],
            f"{each['saga']} v{each['version']}",
            each["status"],
            f"{each['tenant']}/{each['subject']}",
            each["createdAt"],
            each["endedAt"] or "-",
        )
        for each in sagas
    ]
    return "\n".join(_columns([head, *rows]))


def saga_text(saga: Mapping[str, Any]) -> str:
    """One saga: where it stands, its steps, what has happened."""
    return "\n".join(_saga(saga))


def _saga(saga: Mapping[str, Any]) -> Iterator[str]:
    yield f"{saga['saga']} v{saga['version']} {saga['id']}"
    cause, ended = saga["cause"], saga["endedAt"]
    yield f"status   {saga['status']}" + (f", because of {cause}" if cause else "")
    yield f"owner    {saga['tenant']}/{saga['subject']}"
    yield f"created  {saga['createdAt']}, deadline {saga['deadlineAt']}" + (f", ended {ended}" if ended else "")
    yield f"input    {_short(saga['input'])}"
    yield ""
    yield from _columns([("step", "status", "attempts", "code", "next", "result"), *map(_step, saga["steps"])])
    yield ""
    yield from _columns([("#", "at", "event", "step", "about"), *map(_event, saga["events"])])


def _step(step: Mapping[str, Any]) -> tuple[str, ...]:
    undos = f" + {step['undoAttempts']} undo" if step["undoAttempts"] else ""
    return (
        step["name"],
        step["status"],
        f"{step['attempts']}{undos}",
        step["code"] or "-",
        step["nextAt"] or "-",
        "-" if step["result"] is None else _short(step["result"]),
    )


def _event(event: Mapping[str, Any]) -> tuple[str, ...]:
    attempt = f" #{event['attempt']}" if event.get("attempt", 1) != 1 else ""
    names = ("code", "state", "verdict", "sender", "actor", "reason")
    about = ", ".join(str(event[name]) for name in names if name in event)
    return (str(event["number"]), event["at"], event["kind"], f"{event.get('step', '')}{attempt}", about)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_LONGEST = 160
"""Characters of a payload in a line; --json has all of it."""
