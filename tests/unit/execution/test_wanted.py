"""Only what a plan selects is read of a payload: what that is, who is still given everything, and what a broken contract costs."""

from __future__ import annotations

from typing import Any

import pytest
import strawberry

from gateway import Ctx, Node, Service, alternative, entity, field, join, resolver, stale
from gateway.execution.planner import NotPlanned
from gateway.execution.plans import Plans
from gateway.execution.wanted import wanted
from gateway.graph import build_graph
from gateway.loading import Loader
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.testing import GatewayUnderTest, ScriptedWire, answer, in_virtual_time
from tests.unit.execution.compiling import operation_of

store = Service("store")


@entity
class Maker(Node):
    name: str = field("In full.")
    city: str = field("Where.")

    @resolver
    def loudly(self) -> str:
        """Asks the object."""
        return self.name.upper()


makers = store.loader("/makers", keys="ids", key="key", into=Maker, shared="public")
kept_makers = store.loader("/kept", keys="ids", key="key", into=Maker, shared="public")


@entity
class Toy:
    maker_key: strawberry.Private[str]
    other_key: strawberry.Private[str]
    label: str = field("On the box.")
    weight: int = field("In grams.")
    maker: Maker | None = join(makers, on="maker_key")
    second: Maker | None = join(makers, on="other_key")
    kept: Maker | None = join(kept_makers, on="maker_key", otherwise=stale("1m"))
    either: Maker | None = join(makers, on="maker_key", otherwise=alternative(kept_makers, on="other_key"))

    @resolver
    async def whole(self, ctx: Ctx) -> str | None:
        """Loads what a join beside it loads too."""
        found = await ctx.load(makers, self.maker_key)
        return None if found is None else f"{found.name} of {found.city}"


toys = store.loader("/toys", keys="ids", key="key", into=Toy, many=True, shared="public")


@entity
class Box(Node):
    toys: list[Toy] | None = join(toys, on="key")


@strawberry.type
class Query:
    @resolver
    async def box(self) -> Box | None:
        """One."""
        return Box(key="b")


graph = build_graph(Query)


def plans() -> Plans:
    return Plans(graph.core, is_on=True, telemetry=Telemetry(), sights=1)


NAMES: dict[Loader[Any], str] = {makers: "makers", kept_makers: "kept", toys: "toys"}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("label", {"toys": ["label"]}),
        ("x: label y: label __typename", {"toys": ["label"]}),
        ("maker { name }", {"toys": ["maker_key"], "makers": ["name"]}),
        ("maker { name } second { city }", {"toys": ["maker_key", "other_key"], "makers": ["city", "name"]}),
        ("maker { id }", {"toys": ["maker_key"], "makers": ["key"]}),
        ("maker { name } second { loudly }", {"toys": ["maker_key", "other_key"]}),
        ("maker { id name city }", {"toys": ["maker_key"]}),
        ("either { name }", {"toys": ["maker_key", "other_key"], "makers": ["name"]}),
        ("whole", {}),
        ("maker { __typename }", {"toys": ["maker_key"], "makers": []}),
    ],
)
def test_what_a_plan_reads_of_each_loader(selection: str, expected: dict[str, list[str]]) -> None:
    program = plans().find(operation_of(graph, f"{{ box {{ toys {{ {selection} }} }} }}"), {})
    assert not isinstance(program, NotPlanned)
    found = {NAMES[loader]: sorted(names or ()) for loader, names in wanted(program[0].plan.root).items()}
    assert found == expected


def toy(**others: object) -> dict[str, object]:
    return {"key": "b", "makerKey": "m", "otherKey": "m", "label": "Bear", "weight": 3, **others}


def maker(**others: object) -> dict[str, object]:
    return {"key": "m", "name": "Ida", "city": "Ulm", **others}


async def second_sight(text: str, *, wire: ScriptedWire) -> Any:
    """The answer by the operation's plan."""
    services = {"store": {"url": "http://store.test"}}
    settings = Settings.model_validate({"services": services})
    async with GatewayUnderTest(settings, graph, wires={"store": wire}) as gateway:
        await gateway.execute(text)
        wire.sent.clear()
        return await gateway.execute(text)


def store_with(a_toy: dict[str, object], a_maker: dict[str, object]) -> ScriptedWire:
    def served(request: ServiceRequest) -> ServiceResponse:
        return answer([a_toy]) if request.path == "/toys" else answer([a_maker])

    return ScriptedWire(otherwise=served)


@in_virtual_time
async def test_a_field_that_nobody_selects_may_be_broken() -> None:
    wire = store_with(toy(weight="heavy"), maker(city=None))
    found = await second_sight("{ box { toys { label maker { name } } } }", wire=wire)
    assert (found.data, found.errors) == ({"box": {"toys": [{"label": "Bear", "maker": {"name": "Ida"}}]}}, [])


@in_virtual_time
async def test_a_field_that_is_selected_is_checked_and_fails_its_own_key() -> None:
    found = await second_sight("{ box { toys { label maker { city } } } }", wire=store_with(toy(), maker(city=None)))
    assert found.data == {"box": {"toys": [{"label": "Bear", "maker": None}]}}
    assert [(error["path"], error["extensions"]["code"]) for error in found.errors] == [
        (["box", "toys", 0, "maker"], "SERVICE_CONTRACT_BROKEN")
    ]


@in_virtual_time
async def test_what_is_kept_for_others_is_read_whole() -> None:
    found = await second_sight("{ box { toys { kept { name } } } }", wire=store_with(toy(), maker(city=None)))
    assert found.codes == ["SERVICE_CONTRACT_BROKEN"]


@pytest.mark.parametrize("selection", ["maker { name } whole", "whole maker { name }"])
@in_virtual_time
async def test_a_resolver_that_loads_the_same_key_has_all_of_it_and_nobody_is_asked_again(selection: str) -> None:
    wire = store_with(toy(), maker())
    found = await second_sight(f"{{ box {{ toys {{ {selection} }} }} }}", wire=wire)
    assert found.data == {"box": {"toys": [{"maker": {"name": "Ida"}, "whole": "Ida of Ulm"}]}}
    assert [request.path for request in wire.requests] == ["/toys", "/makers"]
