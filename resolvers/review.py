"""Reviews: what customers think of a product."""

from datetime import UTC, datetime

import msgspec
import strawberry

from gateway import Node, entity, field, join

from .customer import Customer, customers_by_key
from .services import reviews


@entity
class Review(Node):
    """What a customer thinks of a product."""

    author_key: strawberry.Private[str]
    rating: int = field("From one star to five.")
    body: str = field("In the author's words.")
    created_at: datetime = field("When it was written.")
    author: Customer | None = join(customers_by_key, on="author_key", description="Who wrote it.")


class ReviewRecord(msgspec.Struct, rename="camel"):
    """The review service's own shape: times are milliseconds since 1970."""

    review_id: str
    product_id: str
    stars: int
    text: str
    customer_id: str
    posted_at: int


def review_from(record: ReviewRecord) -> Review:
    return Review(
        key=record.review_id,
        author_key=record.customer_id,
        rating=record.stars,
        body=record.text,
        created_at=datetime.fromtimestamp(record.posted_at / 1000, UTC),
    )


reviews_by_key = reviews.loader(
    "/reviews/by-id",
    keys="ids",
    key="reviewId",
    into=Review,
    record=ReviewRecord,
    to=review_from,
    max_batch=1000,
    shared="public",
)
reviews_by_product = reviews.loader(
    "/reviews",
    keys="products",
    key="productId",
    into=Review,
    record=ReviewRecord,
    to=review_from,
    many=True,
    params={"first": "limit"},
    max_batch=1000,
    shared="public",
)
