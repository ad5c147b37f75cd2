"""What type checkers say of the author API: lines marked `# refused` must be errors, all others none.

Checked by `test_author_api.py`, which takes the ignores away first; with them the file is clean for everybody else, and strict
checkers complain of an ignore that is not needed.
"""

from typing import Annotated, assert_type

import msgspec
import strawberry

from gateway import (
    AccessRule,
    Between,
    Connection,
    Ctx,
    Done,
    Identity,
    NotDone,
    Page,
    Reject,
    Saga,
    Secret,
    Service,
    StepCtx,
    Unknown,
    alternative,
    authenticated,
    authority,
    batched,
    default,
    entity,
    field,
    input_type,
    join,
    newest,
    own,
    quorum,
    resolver,
    scope,
    signal,
    sized,
    stale,
    step,
    timer,
)
from gateway.loading import Loader
from gateway.sagas import WaitStep

shop = Service("shop")


@entity
class Stock:
    quantity: int = field("Pieces.")


@entity
class Review:
    body: str = field("Words.")


class StockRecord(msgspec.Struct):
    on_hand: int


def stock_from(record: StockRecord) -> Stock:
    return Stock(quantity=record.on_hand)


stock_by_sku = shop.loader("/stock", keys="skus", key="sku", into=Stock)
reviews_by_product = shop.loader("/reviews", keys="products", key="product", into=Review, many=True)
pages_by_product = shop.loader("/pages", keys="products", key="product", into=Review, page=True)
translated = shop.loader("/stock", keys="skus", key="sku", into=Stock, record=StockRecord, to=stock_from)
wrong_to: Loader[Review] = shop.loader("/x", keys="k", key="k", into=Review, record=StockRecord, to=stock_from)  # type: ignore  # refused

elsewhere = Service("other").loader("/stock", keys="skus", key="sku", into=Stock, fresh="2s", revalidate="30s")
other_reviews = Service("other").loader("/reviews", keys="products", key="product", into=Review, many=True)
review_by_sku = shop.loader("/best", keys="skus", key="sku", into=Review)
shop.loader("/stock", keys="skus", key="sku", into=Stock, revalidate=None)  # type: ignore  # refused

assert_type(stock_by_sku, Loader[Stock])
assert_type(reviews_by_product, Loader[list[Review]])
assert_type(pages_by_product, Loader[Page[Review]])
assert_type(translated, Loader[Stock])


@entity
class Product:
    id: strawberry.ID
    sku: strawberry.Private[str]
    price: int
    stock: Stock | None = join(stock_by_sku, on="sku", otherwise=stale("5m"))
    plain: Stock | None = join(stock_by_sku, on="sku")
    reviews: list[Review] = join(
        reviews_by_product, on="id", otherwise=default([]), first=(Annotated[int, Between(1, 9)], 3)
    )
    pages: Connection[Review] | None = join(pages_by_product, on="id")
    pages_with_gaps: Connection[Review | None] | None = join(pages_by_product, on="id")
    some: Connection[Review] = join(pages_by_product, on="id", otherwise=default(Page(())))
    then_some: Connection[Review] = join(pages_by_product, on="id", otherwise=(stale("5m"), default(Page(()))))
    other: Stock | None = join(stock_by_sku, on="sku", otherwise=alternative(elsewhere, on="id"))
    either: Stock | None = join(stock_by_sku, on="sku", otherwise=(alternative(elsewhere), stale("5m")))
    chained: list[Review] = join(reviews_by_product, on="id", otherwise=(alternative(other_reviews), default([])))
    longer: list[Review] = join(
        reviews_by_product, on="id", otherwise=(alternative(other_reviews), stale("5m"), default([]))
    )
    longest: Stock = join(
        stock_by_sku,
        on="sku",
        otherwise=(alternative(elsewhere), alternative(translated), stale("5m"), default(Stock(quantity=0))),
    )
    exact: Stock | None = join(stock_by_sku, on="sku", consistency="strong")
    exact_pages: Connection[Review] | None = join(pages_by_product, on="id", consistency="strong")
    agreed: Stock | None = join([stock_by_sku, elsewhere], on="sku", reconcile=newest("quantity"))
    decided: list[Review] = join(
        [reviews_by_product, other_reviews], on="id", reconcile=authority("shop"), otherwise=(stale("5m"), default([]))
    )
    voted: Stock = join(
        [stock_by_sku, elsewhere, translated], on="sku", reconcile=quorum(), otherwise=default(Stock(quantity=0))
    )

    dear: Stock | None = join(stock_by_sku, on="sku", cost=5)
    few: list[Review] = join(
        reviews_by_product,
        on="id",
        otherwise=default([]),
        most=(int, 3),
        cost=1,
        list_size=sized(3, by="most"),
    )
    tags: list[str] = field("A few.", default=(), cost=1, list_size=4)

    @batched.priced(3, list_size=sized(by="most"))
    @staticmethod
    async def parts(products: list["Product"], ctx: Ctx, most: int) -> list[list[str]]:
        return [[] for _ in products]

    @resolver(cost=2, list_size=5)
    def words(self) -> list[str]:
        return [self.sku]

    @batched
    @staticmethod
    async def delivery_days(products: list["Product"], ctx: Ctx, country: str) -> list[int | None]:
        return [1 for _ in products]

    @resolver
    def label(self) -> str:
        return self.sku


def of_stock(stock: Stock, identity: Identity) -> bool:
    return stock.quantity > len(identity.subject)


def of_review(review: Review, identity: Identity) -> bool:
    return review.body == identity.subject


assert_type(scope("support") | own(of_stock), AccessRule[Stock])
assert_type(own(of_stock) & authenticated, AccessRule[Stock])
assert_type(scope("support").rejects() | own(of_stock), AccessRule[Stock])
assert_type(own(of_stock).rejects(), AccessRule[Stock])
mixed = own(of_stock) | own(of_review)  # type: ignore  # refused


@entity
class Refused:
    sku: str
    wrong: int = join(stock_by_sku, on="sku")  # type: ignore  # refused
    wrong_record: Review | None = join(stock_by_sku, on="sku")  # type: ignore  # refused
    no_fallback: list[Review] = join(reviews_by_product, on="id")  # type: ignore  # refused
    stale_only: list[Review] = join(reviews_by_product, on="id", otherwise=stale("5m"))  # type: ignore  # refused
    wrong_default: Stock = join(stock_by_sku, on="sku", otherwise=default(3))  # type: ignore  # refused
    not_a_page: list[Review] | None = join(pages_by_product, on="id")  # type: ignore  # refused
    wrong_other: Stock | None = join(stock_by_sku, on="sku", otherwise=alternative(review_by_sku))  # type: ignore  # refused
    wrong_last: Stock | None = join(stock_by_sku, on="sku", otherwise=(stale("5m"), alternative(review_by_sku)))  # type: ignore  # refused
    no_default: list[Review] = join(reviews_by_product, on="id", otherwise=(alternative(other_reviews), stale("5m")))  # type: ignore  # refused
    default_early: Stock = join(stock_by_sku, on="sku", otherwise=(default(Stock(quantity=0)), stale("5m")))  # type: ignore  # refused
    default_wrong: Stock = join(stock_by_sku, on="sku", otherwise=(stale("5m"), default(3)))  # type: ignore  # refused
    strong_needed: Stock = join(stock_by_sku, on="sku", consistency="strong")  # type: ignore  # refused
    strong_default: Stock = join(stock_by_sku, on="sku", consistency="strong", otherwise=default(Stock(quantity=0)))  # type: ignore  # refused
    dear_wrong: Stock | None = join(stock_by_sku, on="sku", cost="5")  # type: ignore  # refused
    no_such_level: Stock | None = join(stock_by_sku, on="sku", consistency="weak")  # type: ignore  # refused
    unlike: Stock | None = join([stock_by_sku, review_by_sku], on="sku", reconcile=newest("quantity"))  # type: ignore  # refused
    no_rule: Stock | None = join([stock_by_sku, elsewhere], on="sku", reconcile="newest")  # type: ignore  # refused
    not_null: Stock = join([stock_by_sku, elsewhere], on="sku", reconcile=newest("quantity"))  # type: ignore  # refused


async def use(product: Product, ctx: Ctx) -> None:
    assert_type(product.stock, Stock | None)
    assert_type(product.reviews, list[Review])
    assert_type(await product.delivery_days(ctx, "FR"), int | None)
    assert_type(await ctx.load(stock_by_sku, "s"), Stock | None)
    assert_type(await ctx.load_many(stock_by_sku, ["s"]), list[Stock | None])
    assert_type(await ctx.strong.load(stock_by_sku, "s"), Stock | None)
    assert_type(await ctx.strong.load_many(stock_by_sku, ["s"]), list[Stock | None])
    await ctx.strong.load(stock_by_sku, 3)  # type: ignore  # refused
    await product.delivery_days(ctx, 3)  # type: ignore  # refused
    await ctx.load(stock_by_sku, 3)  # type: ignore  # refused
    product.label().upper()


Product(id=strawberry.ID("1"), sku="s", price=1)
Product(id=strawberry.ID("1"), sku="s", price=1, stock=None)  # type: ignore  # refused
Product(id=strawberry.ID("1"), sku="s")  # type: ignore  # refused
Product("1", "s", 1)  # type: ignore  # refused


@input_type
class Order:
    sku: str = field("A sku.")
    count: Annotated[int, Between(1, 9)] = field("Pieces.", default=1)


Order(sku="s")
Order(count=1)  # type: ignore  # refused


class Reservation(msgspec.Struct):
    reservation_id: str


class PlaceOrder(Saga[Order, Stock], version=1):
    @step(overtaken="tombstone")
    async def reservation(self, ctx: StepCtx, order: Order) -> Reservation:
        return Reservation("r")

    @reservation.undo
    async def release(self, ctx: StepCtx, reservation: Done[Reservation] | Unknown) -> None:
        match reservation:
            case Done(value):
                assert_type(value, Reservation)
            case Unknown():
                pass

    def result(self, order: Order, reservation: Reservation) -> Stock:
        return Stock(quantity=order.count)


def refused_saga() -> type[Saga[Order, Stock]]:
    class Wrong(Saga[Order, Stock], version=1):
        @step(overtaken="tombstone")
        async def reservation(self, ctx: StepCtx, order: Order) -> Reservation:
            return Stock(quantity=1)  # type: ignore  # refused

        @reservation.undo
        async def release(self, ctx: StepCtx, reservation: Done[Reservation] | Unknown) -> None: ...

        @step(retry=3)  # type: ignore  # refused
        async def other(self, ctx: StepCtx) -> Reservation:
            return Reservation("r")

    return Wrong


class Paid(msgspec.Struct):
    amount: int


class TakeBooking(Saga[Order, Stock], version=1, deadline="2d"):
    @step
    async def reservation(self, ctx: StepCtx, order: Order) -> Reservation:
        return Reservation("r")

    @reservation.undo
    async def release(self, ctx: StepCtx, reservation: Done[Reservation]) -> None: ...

    @reservation.lookup(settles_after="1m")
    async def find(self, ctx: StepCtx, order: Order) -> Done[Reservation] | NotDone:
        return Done(Reservation("r"))

    cooling_off = timer("24h", after=["reservation"])
    payment = signal(Paid, within="15m", after=["reservation"], otherwise=Reject("NOT_PAID", "Nobody paid."))

    @step(pivot=True)
    async def booking(self, reservation: Reservation, cooling_off: None, payment: Paid) -> int:
        return payment.amount

    thanks = signal(Paid, within=None, after=["booking"])

    def result(self, order: Order, booking: int) -> Stock:
        return Stock(quantity=booking)


assert_type(TakeBooking.cooling_off, WaitStep[None])
assert_type(TakeBooking.payment, WaitStep[Paid])


def refused_waits(found: Secret[str]) -> type[Saga[Order, Stock]]:
    assert_type(found.reveal(), str)
    found.reveal().upper()
    found.upper()  # type: ignore  # refused

    class Wrong(Saga[Order, Stock], version=1):
        endless = signal(Paid)  # type: ignore  # refused
        instance = signal(Paid(1), within="1m")  # type: ignore  # refused
        named = timer("1m", otherwise=Reject("NO", "No."))  # type: ignore  # refused

        @step(overtaken="never")  # type: ignore  # refused
        async def reservation(self, ctx: StepCtx, order: Order) -> Reservation:
            return Reservation("r")

        @step
        async def other(self, ctx: StepCtx, order: Order) -> Reservation:
            return Reservation("r")

        @other.lookup  # type: ignore  # refused
        async def find_other(self, ctx: StepCtx) -> Done[Stock] | NotDone:
            return NotDone()

        @other.lookup  # type: ignore  # refused
        async def find_again(self, ctx: StepCtx) -> bool:
            return True

    return Wrong
