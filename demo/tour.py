"""Four things to try: what `sagaql demo` prints once the shop is open. Commands to copy, and what to look for.

Invariant: each works as printed, on a shop that was just seeded; a test runs them.
"""

from __future__ import annotations

from demo import addresses
from demo.people import CUSTOMER, Person

PRODUCTS = (
    "{ products(first: 3) { edges { node { name price { amount currency } stock { quantity } "
    "reviews(first: 1) { rating body author { name } } } } } }"
)
PLACE_ORDER = (
    "mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) { __typename "
    "... on SagaOutcome { sagaId status } ... on SagaRejected { code message } "
    "... on PlaceOrderCompleted { order { id status total { amount currency } shipment { trackingNumber } } } } }"
)
MINE = (
    "{ me { name email orders(first: 3) { edges { node { id status total { amount currency } } } } } "
    "sagas(first: 3) { edges { node { id name status } } } }"
)
ORDER = (
    '{"lines":[{"sku":"SKU-0001","quantity":2}],"paymentToken":"tok_ok","address":'
    '{"name":"Ada Lovelace","street":"12 St James Square","city":"London","postalCode":"SW1Y 4JH","country":"GB"}}'
)


def tour(endpoint: str) -> list[tuple[str, str, str]]:
    """(title, command, what to look for), in the order to try them."""
    fault = f"{addresses.url('reviews')}/__fault"
    ask = _post(endpoint, f'{{"query":"{PRODUCTS}"}}')
    buy = _post(
        endpoint, f'{{"query":"{PLACE_ORDER}","variables":{{"input":{ORDER}}}}}', key="my-first-order", by=CUSTOMER
    )
    look = _post(endpoint, f'{{"query":"{MINE}"}}', by=CUSTOMER)
    return [
        (
            "1. Ask four services at once",
            ask,
            "products with stock, reviews and their authors: one call to each service, whatever the number of products",
        ),
        (
            "2. Place an order: reserve, authorise, capture, ship; or undo it all",
            buy,
            (
                "the order. Send it again: the same key gives the same order, and nothing is charged twice. "
                "With tok_declined and another key: SagaRejected, and the stock is as before"
            ),
        ),
        (
            "3. See what is yours",
            look,
            (
                "the order, and the saga that made it. Without the authorization header: UNAUTHENTICATED. "
                'With demo-support, who is no customer: nobody at "me", and the sagas of everybody'
            ),
        ),
        (
            "4. Break the reviews, and ask again",
            f"""curl -sX PUT {fault} -d '{{"status":503}}' && {ask} && curl -sX DELETE {fault}""",
            'the products are still there; "extensions" says under "degraded" what was served instead, and why',
        ),
    ]


def _post(endpoint: str, body: str, *, key: str | None = None, by: Person | None = None) -> str:
    headers = [f"-H '{by.header}'"] if by is not None else []
    if key is not None:
        headers.append(f"-H 'idempotency-key: {key}'")
    return " ".join(["curl -s", endpoint, "-H 'content-type: application/json'", *headers, f"-d '{body}'"])
