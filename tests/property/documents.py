"""Random documents over any schema: aliases, fragments, conditions, variables, arguments.

What is written is nearly always valid; whoever uses it asks for another one where it is not.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)

WORDS = ("ann", "bob", "cyd", "dee", "nobody", "", "ünï \\\"'")


class Writer:
    """Writes one document."""

    def __init__(self, random: Random, schema: GraphQLSchema, *, depth: int = 4, defers: float = 0.0) -> None:
        """`defers`: how many of the fragments do, of one."""
        self._random = random
        self._defers = defers
        self._labels = 0
        self._schema = schema
        self._depth = depth
        self._aliases = 0
        self._fragments: dict[str, tuple[str, str]] = {}
        self._variables: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def document(self) -> str:
        kind, root = self._random.choice(
            [("query", self._schema.query_type)] * 4 + [("mutation", self._schema.mutation_type)]
        )
        assert root is not None
        body = self._selections(root, self._depth)
        variables = f"({', '.join(self._variables.values())})" if self._variables else ""
        fragments = "".join(
            f"\nfragment {name} on {on} {selections}" for name, (on, selections) in self._fragments.items()
        )
        return f"{kind} Q{variables} {body}{fragments}"

    # -- selections ----------------------------------------------------------------------------------------------------

    def _selections(self, kind: Any, depth: int) -> str:
        count = self._random.randint(1, 4)
        return "{ " + " ".join(self._selection(kind, depth) for _ in range(count)) + " }"

    def _selection(self, kind: Any, depth: int) -> str:
        chance = self._random.random()
        if chance < 0.1:
            return f"__typename{self._condition()}"
        if chance < 0.3 and depth > 0 and (found := self._fragment(kind, depth)) is not None:
            return found
        fields = getattr(kind, "fields", None)
        return "__typename" if not fields else self._field(kind, depth)

    def _field(self, kind: Any, depth: int) -> str:
        usable = [
            (name, each)
            for name, each in kind.fields.items()
            if depth > 0 or not is_composite_type(get_named_type(each.type))
        ]
        if not usable:
            return "__typename"
        name, definition = self._random.choice(usable)
        below = get_named_type(definition.type)
        arguments = self._arguments(definition)
        alias = ""
        if arguments or self._random.random() < 0.15:
            self._aliases += 1
            alias = f"a{self._aliases}: "
        selections = " " + self._selections(below, depth - 1) if is_composite_type(below) else ""
        return f"{alias}{name}{arguments}{self._condition()}{self._stream(definition)}{selections}"

    def _fragment(self, kind: Any, depth: int) -> str | None:
        on = self._random.choice(self._overlapping(kind))
        if self._random.random() < 0.5:
            condition = "" if on is kind and self._random.random() < 0.5 else f" on {on.name}"
            return f"...{condition}{self._condition()}{self._defer()} {self._selections(on, depth - 1)}"
        known = [name for name, (its, _) in self._fragments.items() if its == on.name]
        if known and self._random.random() < 0.5:
            return f"...{self._random.choice(known)}{self._condition()}{self._defer()}"
        selections = self._selections(on, depth - 1)
        name = f"F{len(self._fragments)}"
        self._fragments[name] = (on.name, selections)
        return f"...{name}{self._condition()}{self._defer()}"

    def _defer(self) -> str:
        if self._random.random() >= self._defers:
            return ""
        arguments: list[str] = []
        if self._random.random() < 0.5:
            self._labels += 1
            arguments.append(f'label: "L{self._labels}"')
        if self._random.random() < 0.2:
            arguments.append(f"if: {self._asked()}")
        return f" @defer({', '.join(arguments)})" if arguments else " @defer"

    def _stream(self, definition: GraphQLField) -> str:
        """On lists, seldom: a plan is compared where there is none."""
        kind = definition.type.of_type if is_non_null_type(definition.type) else definition.type
        if not is_list_type(kind) or self._random.random() >= self._defers / 8:
            return ""
        return f" @stream(initialCount: {self._random.randint(0, 2)})"

    def _overlapping(self, kind: Any) -> list[Any]:
        """Types that a fragment may be on inside `kind`."""
        if is_abstract_type(kind):
            return [kind, *self._schema.get_possible_types(kind)]
        interfaces = [each for each in kind.interfaces if is_interface_type(each)] if is_object_type(kind) else []
        return [kind, *interfaces]

    def _condition(self) -> str:
        chance = self._random.random()
        if chance > 0.12:
            return ""
        word = self._random.choice(("skip", "include"))
        return f" @{word}(if: {self._asked() if chance >= 0.04 else self._random.choice(('true', 'false'))})"

    def _asked(self) -> str:
        """A variable that is true or false."""
        name = self._random.choice(("yes", "no", "maybe"))
        if name not in self._variables:
            default = self._random.choice(("", "", " = true", " = false"))
            self._variables[name] = (
                f"${name}: Boolean{'!' if not default or self._random.random() < 0.5 else ''}{default}"
            )
            if not default or self._random.random() < 0.5:
                self.values[name] = self._random.random() < 0.5
        return f"${name}"

    # -- arguments -----------------------------------------------------------------------------------------------------

    def _arguments(self, definition: GraphQLField) -> str:
        given = [
            f"{name}: {self._argument(each)}"
            for name, each in definition.args.items()
            if self._is_required(each) or self._random.random() < 0.4
        ]
        return f"({', '.join(given)})" if given else ""

    @staticmethod
    def _is_required(argument: GraphQLArgument) -> bool:
        return is_non_null_type(argument.type) and argument.default_value is None and argument.default is None

    def _argument(self, argument: GraphQLArgument) -> str:
        if self._random.random() < 0.4:
            return self._variable(argument.type)
        return self._literal(argument.type)

    def _variable(self, kind: Any) -> str:
        name = f"v{len(self._variables)}"
        default = f" = {self._literal(kind)}" if self._random.random() < 0.3 else ""
        self._variables[name] = f"${name}: {kind}{default}"
        if (is_non_null_type(kind) and not default) or self._random.random() < 0.7:
            self.values[name] = self._value(kind)
        return f"${name}"

    def _literal(self, kind: Any) -> str:
        return _written(self._value(kind), kind)

    def _value(self, kind: Any) -> Any:
        if is_non_null_type(kind):
            return self._value_there(kind.of_type)
        return None if self._random.random() < 0.15 else self._value_there(kind)

    def _value_there(self, kind: Any) -> Any:
        if is_list_type(kind):
            return [self._value(kind.of_type) for _ in range(self._random.randint(0, 3))]
        if is_enum_type(kind):
            return self._random.choice(list(kind.values))
        if is_input_object_type(kind):
            return {
                name: self._value(each.type)
                for name, each in kind.fields.items()
                if (is_non_null_type(each.type) and name == "words") or self._random.random() < 0.5
            }
        return {"Int": self._random.randint(0, 5), "Boolean": self._random.random() < 0.5}.get(
            kind.name, self._random.choice(WORDS)
        )


def _written(value: Any, kind: Any) -> str:
    """The value as GraphQL writes it."""
    inner = kind.of_type if is_non_null_type(kind) else kind
    if value is None:
        return "null"
    if is_list_type(inner):
        return f"[{', '.join(_written(each, inner.of_type) for each in value)}]"
    if is_input_object_type(inner):
        members = (f"{name}: {_written(each, inner.fields[name].type)}" for name, each in value.items())
        return f"{{{', '.join(members)}}}"
    return str(value) if is_enum_type(inner) else json.dumps(value)
