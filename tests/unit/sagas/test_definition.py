"""What the author may write, and how mistakes are told: class, step, remedy."""

# mypy: disable-error-code="empty-body"

import decimal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from gateway.clock import Seconds
from gateway.sagas import (
    UNTIL_DONE,
    Done,
    NotDone,
    Reject,
    Retry,
    Saga,
    SagaDefinitionError,
    Secret,
    StepCtx,
    Unknown,
    definition_of,
    signal,
    step,
    timer,
)
from gateway.sagas.plan import Overtaken, Wait


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

    @step(retry=Retry(attempts=4), timeout="2s", overtaken="tombstone")
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


# -- waits and lookups -------------------------------------------------------------------------------------------------


@dataclass
class Confirmed:
    amount: int


class Patient(Saga[Order, str], version=1, deadline="2d"):
    @step
    async def invoice(self, order: Order) -> str: ...
    @invoice.undo
    async def withdraw(self, invoice: Done[str]) -> None: ...
    @invoice.lookup(settles_after="1m")
    async def find_invoice(self, ctx: StepCtx, order: Order) -> Done[str] | NotDone: ...

    cooling_off = timer("24h", after=["invoice"])
    payment = signal(Confirmed, within="15m", after=["cooling_off"], otherwise=Reject("NOT_PAID", "Nobody paid."))

    @step(pivot=True)
    async def booking(self, invoice: str, cooling_off: None, payment: Confirmed) -> str: ...

    thanks = signal(Confirmed, within=None, after=["booking"])

    def result(self, booking: str) -> str:
        return booking


def test_a_wait_is_a_step_of_the_plan_that_calls_nobody() -> None:
    plan, bindings = definition_of(Patient).plan, definition_of(Patient).bindings
    assert list(plan.steps) == ["invoice", "cooling_off", "payment", "booking", "thanks"]
    assert plan.steps["cooling_off"].wait == Wait("timer", Seconds(86_400.0))
    assert plan.steps["payment"].wait == Wait("signal", Seconds(900.0), ("NOT_PAID", "Nobody paid."))
    assert plan.steps["thanks"].wait == Wait("signal", None)
    assert [name for name, binding in bindings.items() if binding.method is None] == [
        "cooling_off",
        "payment",
        "thanks",
    ]


def test_a_definition_knows_what_each_signal_carries() -> None:
    assert definition_of(Patient).signals == {"payment": Confirmed, "thanks": Confirmed}
    assert definition_of(PlaceOrder).signals == {}


def test_a_timer_yields_nothing_and_may_be_read_all_the_same() -> None:
    assert definition_of(Patient).bindings["cooling_off"].yields is type(None)


@pytest.mark.parametrize(
    ("step_name", "read"), [("invoice", True), ("cooling_off", True), ("payment", True), ("thanks", False)]
)
def test_the_plan_knows_what_is_read_later(step_name: str, read: bool) -> None:
    assert definition_of(Patient).plan.steps[step_name].is_read is read


def test_pure_order_and_an_undo_of_its_own_read_nothing() -> None:
    class Ordered(Saga[Order, str], version=1):
        @step(overtaken="tombstone")
        async def one(self, order: Order) -> str: ...
        @one.undo
        async def undo_one(self, one: Done[str] | Unknown) -> None: ...
        @step(overtaken="tombstone")
        async def two(self, order: Order) -> str: ...
        @two.undo
        async def undo_two(self, order: Order) -> None: ...
        @step(undo=None, after=["one"])
        async def three(self, two: str) -> str: ...

        def result(self, three: str) -> str: ...

    steps = definition_of(Ordered).plan.steps
    assert {name: step.is_read for name, step in steps.items()} == {"one": False, "two": True, "three": True}


def test_what_an_undo_or_a_lookup_reads_is_read() -> None:
    class Undoing(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> str: ...
        @step(undo=None)
        async def two(self, order: Order) -> int: ...
        @step(after=["one", "two"])
        async def three(self, order: Order) -> str: ...
        @three.undo
        async def undo_three(self, one: str) -> None: ...
        @three.lookup
        async def find_three(self, two: int) -> Done[str] | NotDone: ...

        def result(self, order: Order) -> str: ...

    steps = definition_of(Undoing).plan.steps
    assert {name: step.is_read for name, step in steps.items()} == {"one": True, "two": True, "three": False}


def test_a_lookup_is_the_third_answer_to_being_overtaken() -> None:
    invoice = definition_of(Patient).plan.steps["invoice"]
    assert (invoice.overtaken, invoice.settles_after) == (Overtaken.LOOKUP, 60.0)
    assert definition_of(Patient).bindings["invoice"].lookup is not None


def test_a_lookup_waits_half_a_minute_unless_told_otherwise_and_a_resend_not_at_all() -> None:
    class Asking(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> str: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @one.lookup
        async def find_one(self) -> Done[str] | NotDone: ...
        @step(overtaken="resend")
        async def two(self, order: Order) -> str: ...
        @two.undo
        async def undo_two(self, two: Done[str]) -> None: ...

        def result(self, one: str) -> str: ...

    steps = definition_of(Asking).plan.steps
    assert (steps["one"].settles_after, steps["two"].settles_after) == (30.0, 0.0)
    assert steps["two"].overtaken is Overtaken.RESEND


def test_the_digest_knows_waits_and_how_an_outcome_is_found_out_and_no_patience() -> None:
    def declare(within: str, *, overtaken: Literal["tombstone", "resend"]) -> str:
        class Same(Saga[Order, str], version=1):
            paid = signal(Confirmed, within=within)

            @step(overtaken=overtaken)
            async def one(self, paid: Confirmed) -> str: ...
            @one.undo
            async def undo_one(self, one: Done[str] | Unknown) -> None: ...

            def result(self, one: str) -> str: ...

        return definition_of(Same).plan.digest

    assert declare("1s", overtaken="resend") == declare("2s", overtaken="resend")
    assert declare("1s", overtaken="resend") != declare("1s", overtaken="tombstone")


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
        def result(self, two: int) -> str: ...


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
        @step(overtaken="tombstone")
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @step(pivot=True)
        async def two(self, order: Order) -> int: ...


def undo_after_the_pivot() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(pivot=True)
        async def one(self, order: Order) -> int: ...
        @step(overtaken="tombstone")
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
        @step(overtaken="tombstone")
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self, one: int) -> None: ...


def undo_that_reads_a_stranger() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def other(self, order: Order) -> int: ...
        @step(overtaken="tombstone")
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


def unknown_annotation() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: "Ordre") -> int: ...  # type: ignore[name-defined]  # noqa: F821


def nothing_yielded() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order): ...  # type: ignore[no-untyped-def]


def nameless_parameters() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, *orders: Order) -> int: ...


def own_result() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, one: int) -> int: ...


def one_step_under_two_names() -> None:
    @step(undo=None)
    async def one(self: object, order: Order) -> int: ...

    class Bad(Saga[Order, str], version=1):
        other = one


def wrong_key_policy() -> None:
    class Bad(Saga[Order, str], version=1, key="sometimes"): ...  # type: ignore[arg-type]


def two_undos() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(overtaken="tombstone")
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @one.undo
        async def undo_again(self) -> None: ...


def undo_beside_undo_none() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...


def plain_undo() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(overtaken="tombstone")
        async def one(self, order: Order) -> int: ...
        @one.undo  # type: ignore[type-var]
        def undo_one(self) -> None: ...


# -- mistakes about being overtaken ------------------------------------------------------------------------------------


def silent_about_being_overtaken() -> None:
    class Bad(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...


def nothing_to_overtake() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None, overtaken="resend")
        async def one(self, order: Order) -> int: ...


def lookup_without_undo() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> int: ...
        @one.lookup
        async def find_one(self) -> Done[int] | NotDone: ...


def two_answers() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(overtaken="tombstone")
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @one.lookup
        async def find_one(self) -> Done[int] | NotDone: ...


def two_lookups() -> None:
    class Bad(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @one.lookup
        async def find_one(self) -> Done[int] | NotDone: ...
        @one.lookup
        async def find_again(self) -> Done[int] | NotDone: ...


def lookup_of_something_else() -> None:
    class Bad(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @one.lookup  # type: ignore[arg-type]
        async def find_one(self) -> Done[str] | NotDone: ...


def plain_lookup() -> None:
    class Bad(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @one.lookup  # type: ignore[arg-type]
        def find_one(self) -> Done[int] | NotDone: ...


def lookup_that_reads_what_it_looks_for() -> None:
    class Bad(Saga[Order, str], version=1):
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @one.lookup
        async def find_one(self, one: int) -> Done[int] | NotDone: ...


def lookup_that_reads_a_stranger() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def other(self, order: Order) -> int: ...
        @step
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self) -> None: ...
        @one.lookup
        async def find_one(self, other: int) -> Done[int] | NotDone: ...


def undo_that_ignores_that_it_is_found_out() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(overtaken="resend")
        async def one(self, order: Order) -> int: ...
        @one.undo
        async def undo_one(self, one: int) -> None: ...


# -- mistakes about waiting --------------------------------------------------------------------------------------------


def endless_before_the_pivot() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        paid = signal(Reservation, within=None)

        @step(pivot=True)
        async def one(self, paid: Reservation) -> str: ...
        def result(self, one: str) -> str: ...


def patience_beyond_the_deadline() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        paid = signal(Reservation, within="30s")

        @step(undo=None)
        async def one(self, paid: Reservation) -> str: ...
        def result(self, one: str) -> str: ...


def timer_beyond_the_deadline() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        rest = timer("1m")

        @step(pivot=True)
        async def one(self, order: Order) -> str: ...
        def result(self, one: str) -> str: ...


def timers_that_add_up() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        first = timer("20s")
        second = timer("10s", after=["first"])

        @step(pivot=True)
        async def one(self, order: Order) -> str: ...
        def result(self, one: str) -> str: ...


def wrong_payload() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        paid = signal(Reservation, within="15s")

        @step(pivot=True)
        async def one(self, paid: Shipment) -> str: ...


def input_named_as_a_step() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def quote(self, order: Order) -> int: ...
        @step(pivot=True)
        async def capture(self, quote: Order) -> str: ...


def timer_that_yields() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        rest = timer("15s")

        @step(pivot=True)
        async def one(self, rest: int) -> str: ...


def wait_after_a_stranger() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        rest = timer("15s", after=["onne"])

        @step(pivot=True)
        async def one(self, order: Order) -> str: ...


def wait_in_a_circle() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        rest = timer("15s", after=["one"])

        @step(pivot=True, after=["rest"])
        async def one(self, order: Order) -> str: ...
        def result(self, one: str) -> str: ...


def only_waits() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        rest = timer("15s")


def payload_that_json_cannot_hold() -> None:
    class Bad(Saga[Order, str], version=1, deadline="30s"):
        paid = signal(complex, within="15s")

        @step(pivot=True)
        async def one(self, order: Order) -> str: ...


# -- mistakes about values ---------------------------------------------------------------------------------------------


def no_form_in_json() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> list[complex]: ...


def keys_that_are_no_texts() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> dict[tuple[int, int], str]: ...


def secrets_in_a_set() -> None:
    class Bad(Saga[Order, str], version=1):
        @step(undo=None)
        async def one(self, order: Order) -> set[Secret[str]]: ...


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (no_version, ["Bad", "version=1"]),
        (no_types, ["Bad", "Saga[Input, Result]"]),
        (no_steps, ["Bad", "@step"]),
        (misspelt_parameter, ["Bad.capture", "'authorisation'", "did you mean 'authorization'"]),
        (wrong_type, ["Bad.capture", "'quote' is str", "annotate quote: int"]),
        (input_named_as_a_step, ["Bad.capture", "'quote' is Order", "name the input otherwise"]),
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
        (unknown_annotation, ["Bad.one", "'Ordre'", "import the type"]),
        (nothing_yielded, ["Bad.one", "what it yields", "annotate its result"]),
        (nameless_parameters, ["Bad.one", "*orders", "plain parameters"]),
        (own_result, ["Bad.one", "its own result", "drop the parameter"]),
        (one_step_under_two_names, ["Bad.other", "'one'", "one name"]),
        (wrong_key_policy, ["Bad", "'sometimes'", 'key="required"']),
        (two_undos, ["Bad.one", "two undos", "keep one"]),
        (undo_beside_undo_none, ["Bad.one", "undo=None", "drop one of the two"]),
        (plain_undo, ["Bad.undo_one", "async def"]),
        (silent_about_being_overtaken, ["Bad.one", 'overtaken="tombstone"', 'overtaken="resend"', "@one.lookup"]),
        (nothing_to_overtake, ["Bad.one", 'overtaken="resend"', "no undo", "write the undo"]),
        (lookup_without_undo, ["Bad.one", "a lookup", "no undo"]),
        (two_answers, ["Bad.one", 'overtaken="tombstone" and has a lookup', "drop one of the two"]),
        (two_lookups, ["Bad.one", "two lookups", "keep one"]),
        (lookup_of_something_else, ["Bad.find_one", "'one'", "-> Done[int] | NotDone"]),
        (plain_lookup, ["Bad.find_one", "async def"]),
        (lookup_that_reads_what_it_looks_for, ["Bad.find_one", "'one'", "ctx.forward_key"]),
        (lookup_that_reads_a_stranger, ["Bad.find_one", "'other'", "does not depend"]),
        (undo_that_ignores_that_it_is_found_out, ["Bad.undo_one", "annotate one: Done[int]"]),
        (endless_before_the_pivot, ["Bad.paid", "without end", "less than 30 s", "follow the pivot"]),
        (patience_beyond_the_deadline, ["Bad.paid", "up to 30 s", "less than 30 s"]),
        (timer_beyond_the_deadline, ["Bad.rest", "60 s", "longer deadline="]),
        (timers_that_add_up, ["Bad.second", "30 s", "a shorter timer"]),
        (wrong_payload, ["Bad.one", "'paid'", "annotate paid: Reservation"]),
        (timer_that_yields, ["Bad.one", "'rest' is int", "annotate rest: None"]),
        (wait_after_a_stranger, ["Bad.rest", "'onne'", "did you mean 'one'"]),
        (wait_in_a_circle, ["Bad", "one, rest", "circle"]),
        (only_waits, ["Bad", "@step"]),
        (payload_that_json_cannot_hold, ["Bad", "'paid'", "complex", "journalled"]),
        (no_form_in_json, ["Bad", "'one'", "complex has no form in JSON"]),
        (keys_that_are_no_texts, ["Bad", "'one'", "keys"]),
        (secrets_in_a_set, ["Bad", "'one'", "secrets in a set"]),
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
    [
        ({"undo": 1}, "may only be None"),
        ({"overtaken": "lookup"}, "@one.lookup"),
        ({"overtaken": "never"}, '"tombstone" or "resend"'),
        ({"after": "one"}, 'after=["one"]'),
    ],
)
def test_a_wrong_word_in_the_decorator_is_refused(stated: dict[str, Any], told: str) -> None:
    async def one(self: object) -> int: ...

    with pytest.raises(SagaDefinitionError, match="one") as raised:
        step(**stated)(one)
    assert told in str(raised.value)
