"""A deploy brings version 2 of a saga while one of version 1 is open: the old one ends as it was begun."""

from pathlib import Path
from typing import Any

import pytest
import strawberry

from gateway import Ctx, Saga, StepCtx, entity, field, input_type, resolver, saga_field, step
from gateway.graph import Graph, build_graph, find_saga
from gateway.graph.saga_progress import SagaProgress
from gateway.loading import Service
from gateway.sagas.host import SagaStartError
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, ScriptedWire, answer, hang

bakery = Service("bakery")
bake = bakery.command("POST", "/loaves", into=dict[str, str])


@entity
class Loaf:
    """Bread."""

    kind: str = field("Of bread.")


@input_type
class LoafInput:
    """Which bread."""

    kind: str = field("Of bread.")


class BakeV1(Saga[LoafInput, Loaf], version=1, name="Bake"):
    @step(pivot=True)
    async def loaf(self, ctx: StepCtx, order: LoafInput) -> dict[str, str]:
        return await ctx.send(bake, {"kind": order.kind})

    def result(self, order: LoafInput, loaf: dict[str, str]) -> Loaf:
        return Loaf(kind=order.kind)


class Bake(Saga[LoafInput, Loaf], version=2):
    @step(undo=None)
    async def oven(self, order: LoafInput) -> str:
        return "hot"

    @step(pivot=True)
    async def loaf(self, ctx: StepCtx, order: LoafInput, oven: str) -> dict[str, str]:
        return await ctx.send(bake, {"kind": order.kind, "oven": oven})

    def result(self, order: LoafInput, loaf: dict[str, str]) -> Loaf:
        return Loaf(kind=order.kind)


@entity
class Query:
    """The root."""

    @resolver
    async def saga(self, ctx: Ctx, id: strawberry.ID) -> SagaProgress | None:  # noqa: A002
        """How it stands."""
        return await find_saga(ctx, id)


@strawberry.type
class BeforeTheDeploy:
    bake = saga_field(BakeV1)


@strawberry.type
class AfterTheDeploy:
    bake = saga_field(Bake, older=[BakeV1])


@strawberry.type
class ForgetfulDeploy:
    bake = saga_field(Bake)


BAKE = 'mutation { bake(input: { kind: "rye" }, idempotencyKey: "k") { ... on SagaOutcome { sagaId status } } }'
SAGA = "query ($id: ID!) { saga(id: $id) { version status steps { name } } }"


def graph(mutation: type[Any]) -> Graph:
    return build_graph(Query, mutation)


def settings(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "graph": {"sdl": ""},
            "services": {"bakery": {"url": "http://bakery.test"}},
            "sagas": {"journal": str(folder / "journal"), "drain": 0},
        }
    )


@pytest.fixture
async def open_saga(tmp_path: Path) -> str:
    """The id of a saga of version 1 whose only call was cut by the end of its process."""
    async with GatewayUnderTest(
        settings(tmp_path), graph(BeforeTheDeploy), wires={"bakery": ScriptedWire(hang)}
    ) as gateway:
        answered = await gateway.execute(BAKE, headers={"x-request-timeout-ms": "150"})
    assert answered.data["bake"]["status"] == "RUNNING"
    saga_id: str = answered.data["bake"]["sagaId"]
    return saga_id


async def test_a_saga_of_version_1_ends_after_a_deploy_that_brings_version_2(tmp_path: Path, open_saga: str) -> None:
    wire = ScriptedWire(otherwise=answer({"loaf": "1"}))

    async with GatewayUnderTest(settings(tmp_path), graph(AfterTheDeploy), wires={"bakery": wire}) as gateway:
        old = await gateway.execute(BAKE)
        seen = await gateway.execute(SAGA, {"id": open_saga})

    assert old.data["bake"] == {"sagaId": open_saga, "status": "COMPLETED"}
    assert seen.data["saga"] == {"version": 1, "status": "COMPLETED", "steps": [{"name": "loaf"}]}
    assert [request.idempotency_key for request in wire.requests] == [f"{open_saga}:loaf"]


async def test_a_deploy_that_forgets_the_old_version_does_not_start_and_says_which(
    tmp_path: Path, open_saga: str
) -> None:
    forgetful = GatewayUnderTest(settings(tmp_path), graph(ForgetfulDeploy), wires={"bakery": ScriptedWire()})

    with pytest.raises(SagaStartError, match="Bake v1 \\(1 open\\)"):
        async with forgetful:
            pass

    assert open_saga
