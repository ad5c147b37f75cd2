"""Of a page that a resolver hands on only what the client selects is read; whoever looks at its items is given everything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
import strawberry

from gateway import Ctx, Service, entity, field, resolver
from gateway.execution.declared import Declared
from gateway.execution.planner import NotPlanned
from gateway.execution.plans import Plans
from gateway.graph import build_graph
from gateway.loading.records import derive
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.testing import GatewayUnderTest, ScriptedWire, answer, in_virtual_time
from tests.unit.execution.compiling import operation_of

press = Service("press")


@entity
class Issue:
    number: int = field("Counted from one.")
    title: str = field("On the cover.")
    pages: int | None = field("As printed.")
    is_sold: bool = field("Whether none is left.")


issues = press.pages("/issues", into=Issue, params={"year": "year"}, shared="public")
kept_issues = press.pages("/kept", into=Issue, params={}, shared="public", fresh="1m")
renamed_issues = press.pages("/renamed", into=Issue, params={}, shared="public", fields={"title": "headline"})


HANDED_ON: list[Sequence[Issue]] = []


@strawberry.type
class Query:
    @resolver
    async def issues(self, ctx: Ctx, year: int | None = None) -> Sequence[Issue]:
        """Handed on as they are."""
        HANDED_ON[:] = [(await ctx.page(issues, year=year)).items]
        return HANDED_ON[0]

    @resolver
    async def again(self) -> Sequence[Issue]:
        """What another field has found."""
        await asyncio.sleep(1)
        return HANDED_ON[0]

    @resolver
    async def unsold(self, ctx: Ctx) -> Sequence[Issue]:
        """Looked at."""
        return [each for each in (await ctx.page(issues, year=None)).items if not each.is_sold]

    @resolver
    async def kept(self, ctx: Ctx) -> Sequence[Issue]:
        """Served again."""
        return (await ctx.page(kept_issues)).items

    @resolver
    async def renamed(self, ctx: Ctx) -> Sequence[Issue]:
        """By other names."""
        return (await ctx.page(renamed_issues)).items


graph = build_graph(Query)

GOOD = {"number": 7, "title": "Tides", "pages": 32, "isSold": False}


def gateway_with(*items: Mapping[str, object], times: int | None = None) -> tuple[GatewayUnderTest, ScriptedWire]:
    """`times`: how often the items are as they should be; what follows is broken where nobody looks."""
    good, broken = answer({"items": [*items]}), answer({"items": [{**each, "isSold": "no"} for each in items]})
    wire = ScriptedWire(*[good] * (times or 0), otherwise=good if times is None else broken)
    settings = Settings.model_validate({"services": {"press": {"url": "http://press.test"}}})
    return GatewayUnderTest(settings, graph, wires={"press": wire}), wire


async def by_plan(text: str, *items: Mapping[str, object]) -> Any:
    """The answer by the operation's plan."""
    started, _ = gateway_with(*items)
    async with started as gateway:
        await gateway.execute(text)
        return await gateway.execute(text)


@in_virtual_time
async def test_what_nobody_selects_may_be_broken() -> None:
    found = await by_plan("{ issues { title } }", {"title": "Tides", "number": "seven"})
    assert (found.data, found.errors) == ({"issues": [{"title": "Tides"}]}, [])


@in_virtual_time
async def test_what_is_selected_is_checked() -> None:
    found = await by_plan("{ issues { title } }", {**GOOD, "title": 7})
    assert (found.data, found.codes) == (None, ["SERVICE_CONTRACT_BROKEN"])


@in_virtual_time
async def test_who_looks_is_given_all_from_the_same_answer_and_at_once_from_then_on() -> None:
    text = "{ unsold { title } }"
    started, wire = gateway_with(GOOD, {**GOOD, "isSold": True})
    async with started as gateway:
        for _ in range(4):
            found = await gateway.execute(text)
            assert (found.data, found.errors) == ({"unsold": [{"title": "Tides"}]}, [])
        assert len(wire.sent) == 4
        bound = gateway.parts.loaders.pages(issues)
        assert bound._codecs["title",] is bound._codec, "it is read once"


@in_virtual_time
async def test_who_looks_at_what_is_broken_is_told() -> None:
    started, _ = gateway_with(GOOD, times=1)
    async with started as gateway:
        await gateway.execute("{ unsold { title } }")
        for _ in range(2):
            found = await gateway.execute("{ unsold { title } }")
            assert (found.data, found.codes) == (None, ["SERVICE_CONTRACT_BROKEN"])


@in_virtual_time
async def test_what_another_field_hands_on_has_all_that_is_selected_there() -> None:
    found = await by_plan("{ issues { title } again { pages } }", GOOD)
    assert (found.data, found.errors) == ({"issues": [{"title": "Tides"}], "again": [{"pages": 32}]}, [])


@in_virtual_time
async def test_a_page_that_several_fields_want_is_asked_for_once_and_read_for_all_of_them() -> None:
    text = "{ a: issues { title } b: issues { pages isSold } unsold { number } c: issues(year: 9) { number } }"
    started, wire = gateway_with(GOOD)
    async with started as gateway:
        for _ in range(3):
            wire.sent.clear()
            found = await gateway.execute(text)
            assert found.data == {
                "a": [{"title": "Tides"}],
                "b": [{"pages": 32, "isSold": False}],
                "unsold": [{"number": 7}],
                "c": [{"number": 7}],
            }
            assert len(wire.sent) == 2


@in_virtual_time
async def test_a_number_that_is_too_great_fails_in_its_place() -> None:
    found = await by_plan("{ issues { title pages } }", GOOD, {**GOOD, "pages": 2**31})
    assert found.data == {"issues": [{"title": "Tides", "pages": 32}, {"title": "Tides", "pages": None}]}
    assert [error["path"] for error in found.errors] == [["issues", 1, "pages"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ issues { isSold title } }", [{"isSold": False, "title": "Tides"}]),
        ("{ issues { name: title title } }", [{"name": "Tides", "title": "Tides"}]),
        ("{ issues { title: isSold isSold: title } }", [{"title": False, "isSold": "Tides"}]),
        ("{ issues { title __typename } }", [{"title": "Tides", "__typename": "Issue"}]),
        ("{ kept { title } }", [{"title": "Tides"}]),
        ("{ renamed { title isSold } }", [{"title": "High water", "isSold": False}]),
    ],
)
@in_virtual_time
async def test_members_go_by_the_client_s_names_in_the_client_s_order(text: str, expected: list[Any]) -> None:
    (found,) = (await by_plan(text, {**GOOD, "headline": "High water"})).data.values()
    assert (found, [*found[0]]) == (expected, [*expected[0]])


@pytest.mark.parametrize(
    ("fields", "only", "is_the_record"),
    [
        ("title isSold", ("title", "is_sold"), True),
        ("isSold title pages", ("is_sold", "title", "pages"), True),
        ("isSold title", ("title", "is_sold"), False),
        ("title", ("title", "is_sold"), False),
        ("name: title", ("title",), False),
        ("title __typename", ("title",), False),
    ],
)
def test_a_record_with_the_answer_s_members_and_no_others_is_the_answer_s_object(
    fields: str, only: tuple[str, ...], is_the_record: bool
) -> None:
    found = Plans(graph.core, is_on=True, telemetry=Telemetry(), sights=1).find(
        operation_of(graph, f"{{ issues {{ {fields} }} }}"), {}
    )
    assert not isinstance(found, NotPlanned)
    shape: Any = found[0].plan.root.fields[0].shape
    kind, _ = derive(Issue, only=only)
    record = kind(**{name: {"title": "T", "is_sold": True, "pages": None}[name] for name in only})
    copy = Declared(shape.of.selection).of([record]).copy
    assert copy is not None
    (made,) = copy([record]) or [None]
    assert (made is record) == is_the_record
    assert [*msgspec.json.decode(msgspec.json.encode(made))] == [
        each.split(":")[0] for each in fields.replace(": ", ":").split()
    ]
