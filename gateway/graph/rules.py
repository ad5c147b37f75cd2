"""Domain rules on inputs: declared beside the type, printed in the SDL, checked all at once before anything is called.

    quantity: Annotated[int, Between(1, 99)]
    lines: Annotated[list[OrderLineInput], Items(1, 50)]

Invariant: a checker reports every violation with its path, in the client's own names, and never raises by itself.
Source of the directive's form: the GraphQL community's constraint directive.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Union

import strawberry
from strawberry.schema_directive import Location
from strawberry.types.base import has_object_definition

from ..errors import BadUserInput, Violation
from ..loading.records import camel
from ..secret import Secret

MAX_VIOLATIONS = 100
"""More are not reported: an answer that lists a thousand mistakes helps nobody."""


@strawberry.schema_directive(
    locations=[Location.ARGUMENT_DEFINITION, Location.INPUT_FIELD_DEFINITION],
    description="What a value must keep besides its type; checked before anything is called.",
)
class Constraint:
    min: int | None = strawberry.UNSET
    max: int | None = strawberry.UNSET
    min_length: int | None = strawberry.UNSET
    max_length: int | None = strawberry.UNSET
    pattern: str | None = strawberry.UNSET
    min_items: int | None = strawberry.UNSET
    max_items: int | None = strawberry.UNSET
    id_of: str | None = strawberry.UNSET


class Rule(ABC):
    """One thing that a value must keep. Subclass it for rules of your own."""

    __slots__ = ()
    name: ClassVar[str]

    @abstractmethod
    def directive(self) -> Constraint:
        """How the rule stands in the SDL."""

    @abstractmethod
    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, for the client to read; None if nothing."""


@dataclass(frozen=True, slots=True)
class Between(Rule):
    """A number from `least` to `most`, both included."""

    name: ClassVar[str] = "between"
    least: int
    most: int

    def directive(self) -> Constraint:
        return Constraint(min=self.least, max=self.most)

    def problem(self, value: Any) -> str | None:
        if self.least <= value <= self.most:
            return None
        return f"must be from {self.least} to {self.most}, not {value}"


@dataclass(frozen=True, slots=True)
class Length(Rule):
    """A text of `least` to `most` characters, not counting white space around it."""

    name: ClassVar[str] = "length"
    least: int
    most: int

    def directive(self) -> Constraint:
        return Constraint(min_length=self.least, max_length=self.most)

    def problem(self, value: Any) -> str | None:
        length = len(value.strip())
        if self.least <= length and len(value) <= self.most:
            return None
        return f"must have {self.least} to {self.most} characters, not {length if length < self.least else len(value)}"


@dataclass(frozen=True, slots=True)
class Pattern(Rule):
    """A text that matches `regex` from end to end; `what` names the shape for people."""

    name: ClassVar[str] = "pattern"
    regex: str
    what: str

    def directive(self) -> Constraint:
        return Constraint(pattern=self.regex)

    def problem(self, value: Any) -> str | None:
        return None if re.fullmatch(self.regex, value) else f"must be {self.what}"


@dataclass(frozen=True, slots=True)
class Items(Rule):
    """A list of `least` to `most` items."""

    name: ClassVar[str] = "items"
    least: int
    most: int

    def directive(self) -> Constraint:
        return Constraint(min_items=self.least, max_items=self.most)

    def problem(self, value: Any) -> str | None:
        if self.least <= len(value) <= self.most:
            return None
        return f"must have {self.least} to {self.most} items, not {len(value)}"


Path = tuple[str | int, ...]
Check = Callable[[Any, Path], Iterator[Violation]]
"""A value and where it stands -> its violations."""


def rules_of(annotation: Any) -> list[Rule]:
    """The rules on this very annotation, not on what it contains."""
    if typing.get_origin(annotation) is not Annotated:
        return []
    return [extra for extra in typing.get_args(annotation)[1:] if isinstance(extra, Rule)]


def constraints(annotation: Any) -> list[Constraint]:
    """The rules of `annotation` as the one directive that stands in the SDL, or nothing."""
    said: dict[str, Any] = {}
    for rule in rules_of(annotation):
        said |= {name: value for name, value in vars(rule.directive()).items() if value is not strawberry.UNSET}
    return [Constraint(**said)] if said else []


def check_for(annotation: Any) -> Check | None:
    """A checker of everything that `annotation` demands, or None if it demands nothing beyond its GraphQL type."""
    rules, plain = rules_of(annotation), _without_metadata(annotation)
    inside = _inside(plain)
    if not rules and inside is None:
        return None

    def check(value: Any, path: Path) -> Iterator[Violation]:
        if value is None or value is strawberry.UNSET:
            return
        open_value = value.reveal() if isinstance(value, Secret) else value  # rules tell shapes, never what they saw
        for rule in rules:
            problem = rule.problem(open_value)
            if problem is not None:
                yield Violation(path, problem, rule.name)
        if inside is not None:
            yield from inside(value, path)

    return check


def checked(checks: Mapping[str, tuple[str, Check]], values: Mapping[str, Any]) -> None:
    """Check arguments. `checks` maps a Python name to (the client's name, checker).

    Raises: BadUserInput with all violations.
    """
    violations: list[Violation] = []
    for name, (client_name, check) in checks.items():
        for violation in check(values.get(name), (client_name,)):
            violations.append(violation)
            if len(violations) >= MAX_VIOLATIONS:
                raise bad_input(violations)
    if violations:
        raise bad_input(violations)


def bad_input(violations: Sequence[Violation]) -> BadUserInput:
    """One error for all of them; its message reads well alone."""
    first = violations[0]
    where = ".".join(map(str, first.path))
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return BadUserInput(f"{where} {first.message}{more}", violations=violations)


def _inside(plain: Any) -> Check | None:
    origin, arguments = typing.get_origin(plain), typing.get_args(plain)
    if origin in (Union, types.UnionType):
        inner = [check_for(member) for member in arguments if member is not type(None)]
        return inner[0] if len(inner) == 1 else None
    if origin is list:
        return _each(check_for(arguments[0]))
    if has_object_definition(plain) and plain.__strawberry_definition__.is_input:
        return _members(plain)
    return None


def _each(check: Check | None) -> Check | None:
    if check is None:
        return None

    def check_items(values: Any, path: Path) -> Iterator[Violation]:
        for index, value in enumerate(values):
            yield from check(value, (*path, index))

    return check_items


def _members(input_class: Any) -> Check:
    """Checks of an input's members, made when a value is first checked: inputs may name one another, and themselves."""

    def check_members(value: Any, path: Path) -> Iterator[Violation]:
        for name, client_name, check in _checks_of(input_class):
            yield from check(getattr(value, name), (*path, client_name))

    return check_members


@cache
def _checks_of(input_class: Any) -> list[tuple[str, str, Check]]:
    """(Python name, client's name, check) of each member with a rule. One entry a class of the graph."""
    return [
        (column.name, camel(column.name), check)
        for column in dataclasses.fields(input_class)
        if (check := check_for(raw_annotation(input_class, column.name))) is not None
    ]


def raw_annotation(owner: type[Any], name: str) -> Any:
    """The annotation as written, with its metadata: strawberry keeps only the type."""
    for base in owner.__mro__:
        annotations = vars(base).get("__raw_annotations__") or inspect.get_annotations(base)
        if name in annotations:
            return _resolved(annotations[name], {**vars(sys.modules[base.__module__]), base.__name__: base})
    raise LookupError(f"{owner.__name__} has no field {name!r}")


def as_written(annotation: Any, function: Callable[..., Any]) -> Any:
    """The annotation of a parameter of `function`, where `from __future__ import annotations` has made a text of it.

    It stays a text where it names something further down its module, which no rule does.
    """
    if not isinstance(annotation, str):
        return annotation
    try:
        return _resolved(annotation, vars(sys.modules[function.__module__]))
    except NameError:
        return annotation


def _resolved(annotation: Any, names: Mapping[str, Any]) -> Any:
    """`annotation` without names in quotes, as in list["Line"]: what is quoted must be checked, too."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, dict(names), include_extras=True)["it"]
    except NameError:
        if isinstance(annotation, str):
            raise
        return annotation  # a class further down the module: its own rules are read when a value is checked


def _without_metadata(annotation: Any) -> Any:
    while typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation
