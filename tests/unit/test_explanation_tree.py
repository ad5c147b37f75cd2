"""What a person reads of an explanation: golden texts of small operations over the shop's graph."""

from __future__ import annotations

import textwrap

from rich.console import Console

from gateway.execution.explaining import Explanation
from gateway.explanation_tree import WIDTH, explained
from tests.unit.execution.explaining import asking


def printed(explanation: Explanation) -> list[str]:
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False, color_system=None)
    with console.capture() as captured:
        console.print(explained(explanation))
    return [line.rstrip() for line in captured.get().splitlines()]


def tree(document: str) -> str:
    """Everything above the summary."""
    lines = printed(asking.explained(document))
    return "\n".join(lines[: lines.index("")]) + "\n"


def row(document: str, title: str) -> str:
    """A row of the summary, its lines joined."""
    lines = printed(asking.explained(document))
    at = next(index for index, line in enumerate(lines) if line.startswith(f"{title}  "))
    rest = lines[at + 1 :]
    more = next((index for index, line in enumerate(rest) if not line.startswith("    ")), len(rest))
    return " ".join(line.strip() for line in [lines[at][len(title) :], *rest[:more]])


def test_a_query_is_a_tree_whose_fields_say_whom_they_ask() -> None:
    found = tree('{ product(id: "x") { name price { amount } few: reviews(first: 2) { rating author { id name } } } }')

    assert found == textwrap.dedent(
        """\
        query · answered within 10 s
        └── product(id: "x"): Product · resolver
            layer 1: catalog GET /products/by-id · 1 call per 1000 keys (ids) · named in its code:
            products_by_key
              not cached · public · 3 attempts of ≤ 2 s · coalesced · no client headers
            ├── columns: name, price.amount
            └── few = reviews(first: 2): [Review!]! · join on key
                layer 2: reviews GET /reviews · 1 call (products) · limit: 2
                  not cached · public · 3 attempts of ≤ 2 s · coalesced · no client headers
                if that fails: the default []
                ├── columns: rating
                └── author: Customer · join on author_key
                    layer 3: customers GET /customers · 1 call per 1000 keys (ids)
                      not cached · within one identity · 3 attempts of ≤ 2 s · coalesced · no client headers
                    if that fails: null, with an error
                    └── computed: id, name
        """
    )


def test_a_saga_tells_its_steps_their_commands_and_the_point_of_no_return() -> None:
    found = tree("mutation ($i: CancelOrderInput!) { cancelOrder(input: $i) { __typename } }").splitlines()

    assert found[1:9] == [
        "└── cancelOrder(input: $i, mode: SYNC): CancelOrderPayload! · saga CancelOrder v1 · guarded by scope",
        "    support or scope customer and own is_for_themselves",
        "    idempotency key optional; answers SagaAccepted if not done within 9.9 s",
        "    after 30 s it is undone unless recall, its pivot, is done",
        "    ├── steps; what they call is named in their code",
        "    │   ├── 1 purchase",
        "    │   │   orders GET /orders/by-id · orders_by_key",
        "    │   │   3 attempts, 5 s each; nothing to undo",
    ]
    assert "    │   ├── 2 recall · pivot: after it there is no way back · after purchase" in found


def test_conditions_types_guards_and_shared_calls_are_told() -> None:
    found = tree(
        """query ($id: ID!, $s: Boolean!) { node(id: $id) { id ... on Customer { email @include(if: $s) }
            ... on Product { a: reviews { rating } b: reviews { body } } } }"""
    )

    assert "columns: " in found
    assert "email (of Customer; only if $s; guarded by scope support or own are_themselves)" in " ".join(
        found.replace("│", " ").split()
    )
    assert "layer 2: the same call as node.a" in found
    assert "named in its code: customers /customers, one of NODES" in " ".join(found.split())


def test_the_number_of_calls_says_what_it_supposes() -> None:
    one = "{ products { edges { node { stock { quantity } } } } }"
    two = '{ a: product(id: "x") { stock { quantity } } b: product(id: "y") { stock { quantity } } }'

    assert row(one, "calls") == "at most 2 calls, in 2 layers, as long as every batch fits in one call"
    assert row(two, "calls").endswith("; only 2, where the fields of a layer are asked for at the same time")
    assert row("{ __typename }", "calls") == "no call to any service"


def test_the_slowest_path_is_held_against_the_deadline() -> None:
    assert row("{ products { edges { node { stock { quantity } } } } }", "slowest path") == (
        "products → products.edges.node.stock 6 attempts and the waits between them: at most 12.9 s; "
        "the deadline ends it after 10 s"
    )


def test_services_that_are_called_alike_are_told_once() -> None:
    said = row("{ products { edges { node { stock { quantity } reviews { rating } } } } }", "services")

    assert said.startswith(
        "catalog, inventory, reviews catalog, inventory, reviews: 1 instance · reads cut after 250 ms"
    )
    assert "bulkhead 64, 128 wait 100 ms" in said


def test_every_outage_is_a_line() -> None:
    document = "{ products { edges { node { stock { quantity } reviews { rating } } } } }"

    assert row(document, "catalog down") == "products: null, with an error"
    assert row(document, "reviews down") == "products.edges.node.reviews: the default []"
    assert row(document, "inventory down") == (
        "products.edges.node.stock: the last answer, at most 15 min old, else null, with an error"
    )


def test_no_line_is_wider_than_a_terminal() -> None:
    lines = printed(
        asking.explained(
            """mutation ($i: PlaceOrderInput!) { placeOrder(input: $i) { ... on SagaOutcome { sagaId }
                ... on PlaceOrderCompleted { order { lines { product { stock { quantity } } } } } } }"""
        )
    )

    assert max(map(len, lines)) <= WIDTH
