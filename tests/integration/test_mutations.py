"""Mutations from the client's request to the wires, in virtual time: keys, generations, back-off that takes no real second."""

import strawberry

from gateway import (
    Ctx,
    Saga,
    Service,
    StepCtx,
    entity,
    field,
    input_type,
    resolver,
    saga_field,
    step,
)
from gateway.errors import ServiceUnavailable
from gateway.graph import build_graph
from gateway.settings import Settings
from gateway.testing import (
    GatewayUnderTest,
    MemoryJournal,
    ScriptedWire,
    VirtualClock,
    answer,
    in_virtual_time,
)

kitchen = Service("kitchen")


@entity
class Dish:
    """Something to eat."""

    name: str = field("As the menu has it.")


dishes_by_name = kitchen.loader("/dishes", keys="names", key="name", into=Dish, fresh="1h", shared="public")
cook = kitchen.command("POST", "/orders", into=dict[str, str])


@input_type
class DishInput:
    """What to cook."""

    name: str = field("As the menu has it.")


class CookDish(Saga[DishInput, Dish], version=1):
    @step(pivot=True)
    async def ticket(self, ctx: StepCtx, order: DishInput) -> dict[str, str]:
        return await ctx.send(cook, {"name": order.name})

    def result(self, order: DishInput, ticket: dict[str, str]) -> Dish:
        return Dish(name=order.name)


@entity
class Query:
    """The root."""

    @resolver
    async def dish(self, ctx: Ctx, name: str) -> Dish | None:
        """By its name."""
        return await ctx.load(dishes_by_name, name)


@strawberry.type
class Mutation:
    cook_dish = saga_field(CookDish)

    @resolver
    async def rename(self, ctx: Ctx, name: str) -> Dish | None:
        """A write without a saga; what it reads was read before by the same request."""
        return await ctx.load(dishes_by_name, name)


SETTINGS = Settings.model_validate({"graph": {"sdl": ""}, "services": {"kitchen": {"url": "http://kitchen.test"}}})
COOK = """
mutation ($key: String) {
  cookDish(input: { name: "soup" }, idempotencyKey: $key) { __typename ... on SagaOutcome { status } }
}
"""
SOUP = answer([{"name": "soup"}])


def gateway_on(wire: ScriptedWire) -> GatewayUnderTest:
    return GatewayUnderTest(
        SETTINGS, build_graph(Query, Mutation), wires={"kitchen": wire}, clock=VirtualClock(), journal=MemoryJournal()
    )


@in_virtual_time
async def test_a_saga_s_own_retries_are_the_only_ones_and_go_under_one_key() -> None:
    def refused(_: object) -> ServiceUnavailable:
        return ServiceUnavailable("kitchen refused the connection", service="kitchen", applied=False)

    wire = ScriptedWire(refused, refused, answer({"ticket": "1"}))

    async with gateway_on(wire) as gateway:
        cooked = await gateway.execute(COOK, {"key": "k"})

    assert cooked.data["cookDish"] == {"__typename": "CookDishCompleted", "status": "COMPLETED"}
    assert len(wire.requests) == 3
    assert len({request.idempotency_key for request in wire.requests}) == 1


@in_virtual_time
async def test_key_argument_and_header_that_differ_are_refused_before_anything_runs() -> None:
    wire = ScriptedWire()

    async with gateway_on(wire) as gateway:
        refused = await gateway.execute(COOK, {"key": "a"}, headers={"idempotency-key": "b"})
        literal = await gateway.execute(
            COOK.replace("$key)", '"a")').replace("($key: String)", ""), headers={"idempotency-key": "b"}
        )

    assert (refused.status, refused.codes) == (400, ["BAD_REQUEST"])
    assert "data" not in refused.json
    assert "data" not in literal.json
    assert wire.requests == []


@in_virtual_time
async def test_the_same_key_as_argument_and_header_is_one_key() -> None:
    wire = ScriptedWire(answer({"ticket": "1"}))

    async with gateway_on(wire) as gateway:
        cooked = await gateway.execute(COOK, {"key": "a"}, headers={"idempotency-key": "a"})
        for absent in ({}, {"key": None}):
            again = await gateway.execute(COOK, absent, headers={"idempotency-key": "a"})
            assert again.data == cooked.data

    assert cooked.data["cookDish"]["status"] == "COMPLETED"
    assert len(wire.requests) == 1


@in_virtual_time
async def test_every_field_of_a_mutation_begins_a_generation_so_later_ones_read_their_own_writes() -> None:
    wire = ScriptedWire(otherwise=SOUP)

    async with gateway_on(wire) as gateway:
        await gateway.execute('{ dish(name: "soup") { name } }')  # fresh for an hour now
        await gateway.execute('mutation { a: rename(name: "soup") { name } b: rename(name: "soup") { name } }')

    assert len(wire.requests) == 2  # `a` is answered from the fresh cache, `b` comes after a write and is not
