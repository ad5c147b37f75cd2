"""Domain rules: every violation at once, with its path, in the client's names; printed in the schema."""

from typing import Annotated, Any

import pytest
import strawberry

from gateway import Between, Items, Length, Pattern, Rule, field, input_type
from gateway.errors import BadUserInput, Violation
from gateway.graph.rules import MAX_VIOLATIONS, Check, Constraint, check_for, checked
from gateway.testing import in_virtual_time

from .shop import graph, shop


class Even(Rule):
    """A rule of an author's own."""

    name = "even"

    def directive(self) -> Constraint:
        return Constraint()

    def problem(self, value: Any) -> str | None:
        return None if value % 2 == 0 else "must be even"


@input_type
class TreeInput:
    """Names itself."""

    size: Annotated[int, Between(1, 9)] = field("Its size.")
    sub_trees: Annotated[list["TreeInput"], Items(0, 2)] | None = field("Below.", default=None)
    left: "TreeInput | None" = field("One below.", default=strawberry.UNSET)


def problems(annotation: Any, value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    check = check_for(annotation)
    return [] if check is None else [(each.path, each.rule) for each in check(value, ("x",))]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (Between(1, 9), [1, 9, 5], [0, 10, -1]),
        (Length(1, 3), ["a", "abc", "é"], ["", "   ", "abcd", "  a "]),
        (Pattern(r"[A-Z]{2}", "two capitals"), ["DE"], ["D", "DEU", "de", "DE\n", " DE"]),
        (Items(1, 2), [[1], [1, 2]], [[], [1, 2, 3]]),
        (Even(), [0, 2], [1]),
    ],
    ids=["between", "length", "pattern", "items", "own"],
)
def test_a_rule_keeps_what_it_says(rule: Rule, good: list[Any], bad: list[Any]) -> None:
    assert [rule.problem(value) for value in good] == [None] * len(good)
    assert all(rule.problem(value) for value in bad)


@pytest.mark.parametrize("value", [None, strawberry.UNSET])
def test_what_is_not_given_breaks_no_rule(value: Any) -> None:
    assert problems(Annotated[int | None, Between(1, 2)], value) == []
    assert problems(Annotated[int, Between(1, 2)] | None, value) == []


@pytest.mark.parametrize(
    "annotation", [Annotated[int | None, Between(1, 2)], Annotated[int, Between(1, 2)] | None], ids=["round", "inside"]
)
def test_a_nullable_value_is_checked_wherever_the_rule_stands(annotation: Any) -> None:
    assert problems(annotation, 3) == [(("x",), "between")]


def test_lists_of_lists_have_paths_of_indices() -> None:
    annotation = list[Annotated[list[Annotated[int, Between(1, 2)]], Items(1, 2)]]
    assert problems(annotation, [[1], [], [2, 9, 0]]) == [
        (("x", 1), "items"),
        (("x", 2), "items"),
        (("x", 2, 1), "between"),
        (("x", 2, 2), "between"),
    ]


def test_several_rules_on_one_value_are_all_told() -> None:
    assert problems(Annotated[int, Between(2, 4), Even()], 7) == [(("x",), "between"), (("x",), "even")]


def test_a_type_without_rules_has_no_checker() -> None:
    assert check_for(int) is None
    assert check_for(list[str | None]) is None


def test_an_input_that_names_itself_is_checked_all_the_way_down() -> None:
    tree = TreeInput(
        size=0, sub_trees=[TreeInput(size=1, left=TreeInput(size=10)), TreeInput(size=11), TreeInput(size=2)]
    )
    assert problems(TreeInput, tree) == [
        (("x", "size"), "between"),
        (("x", "subTrees"), "items"),
        (("x", "subTrees", 0, "left", "size"), "between"),
        (("x", "subTrees", 1, "size"), "between"),
    ]


def test_violations_are_bounded() -> None:
    check = check_for(list[Annotated[int, Between(1, 2)]])
    assert check is not None
    with pytest.raises(BadUserInput) as caught:
        checked({"numbers": ("numbers", check)}, {"numbers": [0] * 5_000})
    assert len(caught.value.violations) == MAX_VIOLATIONS


def test_the_message_reads_well_alone() -> None:
    def check(_: Any, path: tuple[str | int, ...]) -> Any:
        yield Violation((*path, "lines", 0), "must be even", "even")
        yield Violation(path, "must be odd", "odd")

    typed: Check = check
    with pytest.raises(BadUserInput, match=r"^input.lines.0 must be even \(and 1 more\)$"):
        checked({"value": ("input", typed)}, {"value": 1})


@in_virtual_time
async def test_a_client_reads_all_violations_at_once_with_its_own_names() -> None:
    basket = {"lines": [{"sku": "toolong", "count": 0}, {"sku": "ok", "count": 10}], "note": ""}
    async with shop() as gateway:
        found = await gateway.execute("query($b: BasketInput!) { basket(basket: $b) }", {"b": basket})
    assert found.codes == ["BAD_USER_INPUT"]
    violations = found.errors[0]["extensions"]["violations"]
    assert [(each["path"], each["rule"]) for each in violations] == [
        (["basket", "lines", 0, "sku"], "length"),
        (["basket", "lines", 0, "count"], "between"),
        (["basket", "lines", 1, "count"], "between"),
        (["basket", "note"], "length"),
    ]
    assert found.errors[0]["message"] == "basket.lines.0.sku must have 1 to 5 characters, not 7 (and 3 more)"


@in_virtual_time
async def test_what_keeps_the_rules_passes() -> None:
    async with shop() as gateway:
        found = await gateway.execute('{ basket(basket: {lines: [{sku: "a", count: 1}]}) }')
    assert found.json == {"data": {"basket": "1 lines for anonymous"}}


def test_rules_stand_in_the_schema_once_for_each_place() -> None:
    assert "count: Int! @constraint(min: 1, max: 9)" in graph.sdl
    assert "lines: [LineInput!]! @constraint(minItems: 1, maxItems: 3)" in graph.sdl
    assert 'warehouse: String! = "north" @constraint(minLength: 1, maxLength: 5)' in graph.sdl
    assert "@constraint(minLength: 1, maxLength: 5) @constraint" not in graph.sdl
