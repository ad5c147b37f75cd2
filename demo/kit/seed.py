"""The plan of the shop: everything that the seven databases hold on the first day, the same every time.

Invariant: each service seeds its part from this one plan, so they agree although the services never talk: a rating is
the average of the reviews, an order's payment, shipment and reservation exist, `reserved` is what held lines add up to.
Each part draws from its own generator, so that a change to one leaves the others as they were.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import product as pairs
from random import Random

from demo.kit.words import (
    CANCEL_REASONS,
    CARRIERS,
    CATEGORIES,
    FAMILY_NAMES,
    GIVEN_NAMES,
    PROMISES,
    REVIEW_TEXTS,
    WAREHOUSES,
    Category,
)

PRODUCTS = 1000
CUSTOMERS = 200
REVIEWS_PER_PRODUCT = 5
ORDERS = 400
CURRENCY = "EUR"

# The shop opens; every seeded instant is earlier, and customers joined before the year of the first order.
OPENING = datetime(2026, 1, 1, 8, tzinfo=UTC)
_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class SeedProduct:
    product_id: str
    sku: str
    title: str
    description: str
    category: str
    price_minor: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SeedCustomer:
    customer_id: str
    given_name: str
    family_name: str
    email: str
    member_since: date


@dataclass(frozen=True, slots=True)
class SeedReview:
    review_id: str
    product_id: str
    stars: int
    text: str
    customer_id: str
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class SeedLine:
    product_id: str
    sku: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Fate:
    """How far an order has come: the states of its four parts; a part that was never made has none."""

    order: str
    reservation: str
    payment: str | None
    shipment: str | None


@dataclass(frozen=True, slots=True)
class SeedOrder:
    order_id: str
    customer: SeedCustomer
    placed_at: datetime
    lines: tuple[SeedLine, ...]
    fate: Fate
    reservation_id: str
    payment_id: str | None
    shipment_id: str | None
    carrier: str
    tracking_number: str
    cancel_reason: str | None

    @property
    def total_minor(self) -> int:
        return sum(line.quantity * line.unit_price_minor for line in self.lines)


@dataclass(frozen=True, slots=True)
class SeedStock:
    sku: str
    on_hand: int
    reserved: int
    warehouse: str


@dataclass(frozen=True, slots=True)
class SeedLabel:
    """The price on a shelf, as it was printed."""

    sku: str
    price_minor: int
    printed_at: datetime


@dataclass(frozen=True, slots=True)
class Shop:
    products: tuple[SeedProduct, ...]
    customers: tuple[SeedCustomer, ...]
    reviews: tuple[SeedReview, ...]
    orders: tuple[SeedOrder, ...]
    stock: tuple[SeedStock, ...]
    labels: tuple[SeedLabel, ...]

    def ratings(self) -> dict[str, float]:
        """The average number of stars, by product."""
        stars = Counter[str]()
        for review in self.reviews:
            stars[review.product_id] += review.stars
        return {product_id: total / REVIEWS_PER_PRODUCT for product_id, total in stars.items()}


@cache
def shop() -> Shop:
    products = tuple(_products(_generator("products")))
    customers = tuple(_customers(_generator("customers")))
    reviews = tuple(_reviews(products, customers, generator=_generator("reviews")))
    orders = tuple(_orders(products, customers, generator=_generator("orders")))
    stock = tuple(_stock(products, orders, generator=_generator("stock")))
    labels = tuple(_labels(products, generator=_generator("labels")))
    return Shop(products, customers, reviews, orders, stock, labels)


def available(number: int, draw: int) -> int:
    """Every 50th product is sold out (p-0050, ...), of p-0025, p-0075, ... one is left; the rest have `draw`."""
    return {0: 0, 25: 1}.get(number % 50, draw)


def _generator(part: str) -> Random:
    return Random(f"the demo shop: {part}")


def _products(generator: Random) -> list[SeedProduct]:
    # Neighbouring ids come from different categories; within a category every title occurs once.
    titles = {category.code: _titles(category, generator) for category in CATEGORIES}
    return [
        _product(number, CATEGORIES[number % len(CATEGORIES)], titles=titles, generator=generator)
        for number in range(1, PRODUCTS + 1)
    ]


def _titles(category: Category, generator: Random) -> list[str]:
    titles = [f"{style} {noun}" for style, noun in pairs(category.styles, category.nouns)]
    generator.shuffle(titles)
    return titles


def _product(number: int, category: Category, *, titles: dict[str, list[str]], generator: Random) -> SeedProduct:
    title = titles[category.code].pop()
    price = generator.randrange(category.cheapest_minor, category.dearest_minor, 10) + 9
    return SeedProduct(
        product_id=f"p-{number:04}",
        sku=f"SKU-{number:04}",
        title=title,
        description=f"{title} for {category.purpose}. {generator.choice(PROMISES)}",
        category=category.code,
        price_minor=price,
        updated_at=_instant_before_opening(generator),
    )


def _customers(generator: Random) -> list[SeedCustomer]:
    names = list(pairs(GIVEN_NAMES, FAMILY_NAMES))
    chosen = generator.sample(names, CUSTOMERS)
    return [
        SeedCustomer(
            customer_id=f"c-{number:03}",
            given_name=given,
            family_name=family,
            email=f"{given}.{family}@example.com".lower(),
            member_since=date(2019, 1, 1) + timedelta(days=generator.randrange(2000)),
        )
        for number, (given, family) in enumerate(chosen, 1)
    ]


def _reviews(
    products: tuple[SeedProduct, ...], customers: tuple[SeedCustomer, ...], *, generator: Random
) -> list[SeedReview]:
    reviews: list[SeedReview] = []
    for product in products:
        for customer in generator.sample(customers, REVIEWS_PER_PRODUCT):
            stars = generator.choices((1, 2, 3, 4, 5), weights=(4, 8, 18, 35, 35))[0]
            reviews.append(
                SeedReview(
                    review_id=f"r-{len(reviews) + 1:05}",
                    product_id=product.product_id,
                    stars=stars,
                    text=generator.choice(REVIEW_TEXTS[stars]),
                    customer_id=customer.customer_id,
                    posted_at=_instant_before_opening(generator),
                )
            )
    return reviews


def _orders(
    products: tuple[SeedProduct, ...], customers: tuple[SeedCustomer, ...], *, generator: Random
) -> list[SeedOrder]:
    instants = sorted((_instant_before_opening(generator) for _ in range(ORDERS)), reverse=True)
    return [
        _order(placed_at, _fate(age), customer=generator.choice(customers), products=products, generator=generator)
        for age, placed_at in enumerate(instants)
    ]


def _order(
    placed_at: datetime, fate: Fate, *, customer: SeedCustomer, products: tuple[SeedProduct, ...], generator: Random
) -> SeedOrder:
    chosen = generator.sample(products, generator.randint(1, 4))
    return SeedOrder(
        order_id=f"o-{_hex(generator)}",
        customer=customer,
        placed_at=placed_at,
        lines=tuple(SeedLine(p.product_id, p.sku, generator.randint(1, 3), p.price_minor) for p in chosen),
        fate=fate,
        reservation_id=f"rsv-{_hex(generator)}",
        payment_id=f"pay-{_hex(generator)}" if fate.payment else None,
        shipment_id=f"shp-{_hex(generator)}" if fate.shipment else None,
        carrier=generator.choice(CARRIERS),
        tracking_number=_hex(generator).upper(),
        cancel_reason=generator.choice(CANCEL_REASONS) if fate.order == "cancelled" else None,
    )


def _fate(age: int) -> Fate:
    """The newest orders are still on their way; of the older ones some were cancelled, before or after the capture."""
    if age < 12:
        return Fate("pending", "held", None, None)
    if age < 30:
        return Fate("confirmed", "held", "captured", "booked")
    if age < 60:
        return Fate("confirmed", "shipped", "captured", "dispatched")
    if age % 10 == 0:
        return Fate("cancelled", "released", "refunded" if age % 20 else "voided", "cancelled")
    return Fate("confirmed", "shipped", "captured", "delivered")


def _stock(products: tuple[SeedProduct, ...], orders: tuple[SeedOrder, ...], *, generator: Random) -> list[SeedStock]:
    held = Counter[str]()
    for order in orders:
        if order.fate.reservation == "held":
            held.update({line.sku: line.quantity for line in order.lines})
    return [
        SeedStock(
            sku=product.sku,
            on_hand=held[product.sku] + available(number, generator.randint(200, 5000)),
            reserved=held[product.sku],
            warehouse=generator.choice(WAREHOUSES),
        )
        for number, product in enumerate(products, 1)
    ]


def _labels(products: tuple[SeedProduct, ...], *, generator: Random) -> list[SeedLabel]:
    return [_label(number, product, generator=generator) for number, product in enumerate(products, 1)]


def _label(number: int, product: SeedProduct, *, generator: Random) -> SeedLabel:
    """Most labels say what the catalogue says.

    Of every 20 products one (p-0010, p-0030, ...) was reduced at the shelf later, and the label of one (p-0005, p-0025, ...) is
    older than its price; of every 100 one (p-0077, ...) says another price of the same instant.
    """
    reduced = product.price_minor - product.price_minor // 10
    apart = (OPENING - product.updated_at) * generator.uniform(0.1, 0.9)
    if number % 100 == 77:
        return SeedLabel(product.sku, reduced, product.updated_at)
    if number % 20 == 10:
        return SeedLabel(product.sku, reduced, product.updated_at + apart)
    if number % 20 == 5:
        return SeedLabel(product.sku, product.price_minor + 100, product.updated_at - apart)
    return SeedLabel(product.sku, product.price_minor, product.updated_at + apart)


def _instant_before_opening(generator: Random) -> datetime:
    return OPENING - timedelta(seconds=generator.randrange(1, int(_YEAR.total_seconds())))


def _hex(generator: Random) -> str:
    return f"{generator.getrandbits(64):016x}"
