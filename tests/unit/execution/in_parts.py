"""A client that reads answers in parts, strictly: it puts them together and complains of whatever breaks the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import orjson

from gateway.execution import GraphQLRequest
from gateway.testing import GatewayUnderTest

Body = Mapping[str, Any]


async def parts_of(
    gateway: GatewayUnderTest, text: str, variables: Mapping[str, Any] | None = None, **request: Any
) -> list[Any]:
    """What the client reads, part by part."""
    asked = GraphQLRequest(text=text, variables=variables or {}, **request)
    return [orjson.loads(each.encoded()) async for each in gateway.parts.engine.stream(asked)]


def merged(parts: Sequence[Body]) -> tuple[Any, list[Any]]:
    """Data and errors of all parts. Raises: AssertionError, KeyError where they do not fit together."""
    first, *later = parts
    data, errors = deepcopy(first.get("data")), list(first.get("errors", ()))
    pending: dict[str, Body] = {}
    has_next = first.get("hasNext", False)
    assert has_next == bool(first.get("pending")), "there is more exactly where something is announced"
    _announce(pending, first)
    for part in later:
        assert has_next, "nothing follows the last part"
        assert "data" not in part
        _announce(pending, part)
        for each in part.get("incremental", ()):
            path = [*pending[each["id"]]["path"], *each.get("subPath", ())]
            _put(_at(data, path), each)
            errors += each.get("errors", ())
        for each in part.get("completed", ()):
            del pending[each["id"]]
            errors += each.get("errors", ())
        has_next = part["hasNext"]
    assert not has_next, "the last part says that it is the last"
    assert not pending, f"never completed: {pending}"
    return data, errors


def merged_of_2022(parts: Sequence[Body]) -> Any:
    """Data of all parts, in the older dialect."""
    first, *later = parts
    data = deepcopy(first["data"])
    for part in later:
        assert not part.keys() & {"data", "pending", "completed"}
        for each in part.get("incremental", ()):
            if each.get("items") is not None:
                *path, index = each["path"]
                assert index == len(_at(data, path)), "items follow those that are there"
                _put(_at(data, path), each)
            elif each.get("data") is not None:
                _put(_at(data, each["path"]), each)
    assert [part["hasNext"] for part in parts] == [True] * len(later) + [False]
    return data


def _announce(pending: dict[str, Body], part: Body) -> None:
    for each in part.get("pending", ()):
        assert each["id"] not in pending
        pending[each["id"]] = each


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        value = value[key]
    return value


def _put(target: Any, part: Body) -> None:
    if "items" in part:
        target.extend(part["items"])
    else:
        _merge(target, part["data"])


def _merge(target: dict[str, Any], data: Body) -> None:
    for name, value in data.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            assert name not in target, f"{name} is delivered twice"
            target[name] = value
