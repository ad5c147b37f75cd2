"""What the author may write, and how mistakes are told: class, step, remedy."""

# mypy: disable-error-code="empty-body"

import decimal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.sagas import UNTIL_DONE, Done, Retry, Saga, SagaDefinitionError, StepCtx, Unknown, definition_of, step


@dataclass
class Order:
    sku: str


@dataclass
class Reservation:
    id: str


@dataclass
class Shipment:
    id: str


class PlaceOrder(Saga[Order, Shipment], version=3, deadline="20s", key="optional"):
    """Buys what is in the cart."""

    @step(retry=Retry(attempts=4), timeout="2s")
    async def reservation(self, ctx: StepCtx, order: Order) -> Reservation:
        return Reservation(order.sku)

    @reservation.undo
    async def release(self, ctx: StepCtx, order: Order, reservation: Done[Reservation] | Unknown) -> None: ...

    @step(undo=None)
    async def quote(self, order: Order) -> decimal.Decimal:
        return decimal.Decimal("1.50")

    @step(pivot=True, after=["reservation"])
    async def capture(self, quote: decimal.Decimal) -> str:
        return "captured"

    @step(retry=UNTIL_DONE, invalidates=["stock"])
    async def shipment(self, reservation: Reservation, capture: str) -> Shipment:
        return Shipment(reservation.id)

    def result(self, shipment: Shipment) -> Shipment:
        return shipment


def test_a_saga_says_what_was_declared() -> None:
    definition = definition_of(PlaceOrder)
    assert (definition.name, definition.version, definition.deadline, definition.key) == (
        "PlaceOrder",
        3,
        20.0,
        "optional",
    )
    assert definition.description == "Buys what is in the cart."
    assert (definition.input_type, definition.result_type) == (Order, Shipment)
    assert definition.bindings["shipment"].invalidates == ("stock",)


def test_the_plan_is_in_topological_order_and_the_pivot_waits_for_all_that_does_not_follow_it() -> None:
    plan = definition_of(PlaceOrder).plan
    assert list(plan.steps) == ["reservation", "quote", "capture", "shipment"]
    assert plan.pivot == "capture"
    assert plan.steps["capture"].needs == ("reservation", "quote")
    assert plan.steps["reservation"].dependents == ("capture", "shipment")


async def test_a_step_is_a_plain_method_in_a_unit_test() -> None:
    assert await PlaceOrder().quote(Order("a")) == decimal.Decimal("1.50")


def test_the_digest_changes_with_the_structure_and_not_with_a_retry() -> None:
    def declare(*, retry: Retry, pivot: bool) -> str:
        class Same(Saga[Order, str], version=1):
            @step(retry=retry, pivot=pivot, undo=None)
            async def only(self, order: Order) -> str:
                return ""

            def result(self, only: str) -> str:
                return only

        return definition_of(Same).plan.digest

    assert declare(retry=Retry(), pivot=True) == declare(retry=UNTIL_DONE, pivot=True)
    assert declare(retry=Retry(), pivot=True) != declare(retry=Retry(), pivot=False)


def test_a_saga_may_take_the_name_of_another_class() -> None:
    class PlaceOrderOfOld(Saga[Order, str], version=1, name="PlaceOrder"):
        @step(pivot=True)
        async def only(self, order: Order) -> str:
            return ""

        def result(self, only: str) -> str:
            return only

    assert definition_of(PlaceOrderOfOld).name == "PlaceOrder"


# -- mistakes ----------------------------------------------------------------------------------------------------------


def no_version() -> None:
    class Bad(Saga[Order, str]): ...


def no_types() -> None:
    class Bad(Saga, version=1): ...  # type: ignore[type-arg]


def no_steps() -> None:
    class Bad(Saga[Order, str], version=1): ...


def misspelt_parameter() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def authorization(self, order: Order) -> str: ...
        @step(pivot=True)
        async def capture(self, authorisation: str) -> str: ...


def wrong_type() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def quote(self, order: Order) -> int: ...
        @step(pivot=True)
        async def capture(self, quote: str) -> str: ...


def misspelt_after() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def quote(self, order: Order) -> int: ...
        @step(pivot=True, after=["qoute"])
        async def capture(self) -> str: ...


def circle() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None, after=["two"])
        async def one(self, order: Order) -> int: ...
        @step(undo=None)
        async def two(self, one: int) -> int: ...


def two_pivots() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(pivot=True)
        async def one(self, order: Order) -> int: ...
        @step(pivot=True)
        async def two(self, order: Order) -> int: ...


def silent_about_undo() -> None:
    class Bad(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> int: ...
        @step(pivot=True)
        async def two(self, one: int) -> int: ...


def undo_beside_the_pivot() -> None:
    class Bad(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @step(pivot=True)
        async def two(self, order: Order) -> int: ...


def undo_after_the_pivot() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(pivot=True)
        async def one(self, order: Order) -> int: ...
        @step
        async def two(self, one: int) -> int: ...
        @two.undo
        async def undo_two(self) -> None: ...


def undo_of_the_pivot() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(pivot=True)
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...


def undo_that_is_not_told() -> None:
    class Bad(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self, one: int) -> None: ...


def undo_that_reads_a_stranger() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def other(self, order: Order) -> int: ...
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self, other: int) -> None: ...


def not_a_coroutine() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)  # type: ignore[arg-type]
        def one(self, order: Order) -> int: ...


def no_result() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> int: ...


def wrong_result() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> int: ...
        def result(self, one: int) -> int: ...


def not_journallable() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> dict[Order, int] | dict[int, str]: ...


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (no_version, ["Bad", "version=1"]),
        (no_types, ["Bad", "Saga[Input, Result]"]),
        (no_steps, ["Bad", "@step"]),
        (misspelt_parameter, ["Bad.capture", "'authorisation'", "did you mean 'authorization'"]),
        (wrong_type, ["Bad.capture", "'quote' is str", "annotate quote: int"]),
        (misspelt_after, ["Bad.capture", "'qoute'", "did you mean 'quote'"]),
        (circle, ["Bad", "one, two", "circle"]),
        (two_pivots, ["Bad.two", "'one' is one"]),
        (silent_about_undo, ["Bad.one", "@one.undo", "undo=None"]),
        (undo_beside_the_pivot, ["Bad.one", "pivot 'two'", 'after=["one"]']),
        (undo_after_the_pivot, ["Bad.two", "follows the pivot 'one'"]),
        (undo_of_the_pivot, ["Bad.one", "no way back"]),
        (undo_that_is_not_told, ["Bad.undo_one", "Done[int] | Unknown"]),
        (undo_that_reads_a_stranger, ["Bad.undo_one", "'other'", "does not depend"]),
        (not_a_coroutine, ["Bad.one", "async def"]),
        (no_result, ["Bad.result", "-> str"]),
        (wrong_result, ["Bad.result", "it returns int", "-> str"]),
        (not_journallable, ["Bad", "'one'", "journalled"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_mistake_names_the_class_the_step_and_the_remedy(mistake: Callable[[], None], told: list[str]) -> None:
    with pytest.raises(SagaDefinitionError) as raised:
        mistake()
    for words in told:
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("stated", "told"),
    [({"undo": 1}, "may only be None"), ({"overtaken": "lookup"}, "tombstone"), ({"after": "one"}, 'after=["one"]')],
)
def test_a_wrong_word_in_the_decorator_is_refused(stated: dict[str, Any], told: str) -> None:
    async def one(self: object) -> int: ...

    with pytest.raises(SagaDefinitionError, match="one") as raised:
        step(**stated)(one)
    assert told in str(raised.value)
