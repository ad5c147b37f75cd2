"""`Node`: whatever has an identity in the graph, under an id that is opaque to clients.

Source: Relay's Global Object Identification.

An id holds the type's name and the service's own key. Opaque is not secret: what a caller may see is decided by rules.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import strawberry

from ..errors import BadUserInput, Violation
from .rules import Constraint, Rule


@strawberry.interface(description="Anything with an id, which `node(id)` finds again.")
class Node:
    key: strawberry.Private[str]
    """The service's own id; joins go `on="key"`."""

    @strawberry.field(description="Opaque, stable, unique in the whole graph.")  # type: ignore[untyped-decorator]
    def id(self) -> strawberry.ID:
        return global_id(type(self), self.key)


@dataclass(frozen=True, slots=True)
class IdOf(Rule):
    """An id of this type of entity; whether there is such an entity shows only when it is looked for."""

    name: ClassVar[str] = "id"
    type_name: str

    def directive(self) -> Constraint:
        return Constraint(id_of=self.type_name)

    def problem(self, value: Any) -> str | None:
        try:
            type_name, _ = parse_id(value)
        except BadUserInput:
            return f"must be the id of a {self.type_name}"
        return None if type_name == self.type_name else f"must be the id of a {self.type_name}, not of a {type_name}"


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def global_id(entity: type[Any], key: str) -> strawberry.ID:
    """The id of `key` as an `entity`."""
    (made,) = global_ids(entity, [key])
    return made


def global_ids(entity: type[Any], keys: Sequence[str]) -> list[strawberry.ID]:
    """The ids of `keys` as an `entity`, in their order. What is done to all of them together costs a third of one by one."""
    name, base64_of = entity.__name__, binascii.b2a_base64
    lines = b"".join([base64_of(f"{name}:{key}".encode()) for key in keys])  # each ends with the line
    ids: list[Any] = lines.translate(_URL_SAFE, b"=").decode("ascii").split("\n")
    return ids[:-1]


def is_id(function: object) -> bool:
    """Whether a field's resolver is `Node.id`, which needs no more than the entity and its `key`."""
    return function is vars(Node)["id"]


def key_of(id: str, entity: type[Any], *, argument: str = "id") -> str:  # noqa: A002 - the argument's name in the graph
    """The service's key inside a client's id. Raises: BadUserInput unless it is the id of an `entity`."""
    type_name, key = parse_id(id, argument=argument)
    if type_name != entity.__name__:
        raise _not_an_id(argument, f"is the id of a {type_name}, not of a {entity.__name__}")
    return key


def parse_id(id: str, *, argument: str = "id") -> tuple[str, str]:  # noqa: A002
    """Type name and key inside an id. Raises: BadUserInput for a text that is no id of this graph."""
    try:
        text = base64.b64decode(id + "=" * (-len(id) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise _not_an_id(argument, "is not an id of this graph") from error
    type_name, separator, key = text.partition(":")
    if not (separator and key and type_name.isidentifier()):
        raise _not_an_id(argument, "is not an id of this graph")
    return type_name, key


def _not_an_id(argument: str, problem: str) -> BadUserInput:
    return BadUserInput(f"{argument} {problem}", violations=[Violation((argument,), problem, "id")])
