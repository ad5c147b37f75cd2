"""`explain`: what each field is, what it asks of whom, and what waits for what."""

from __future__ import annotations

import pytest
import strawberry

from gateway import Node, Service, entity, field, join
from gateway.execution.explaining import ServiceMissing, TooLarge, VariablesUnfit, explain
from gateway.execution.explaining.explain import MAX_FIELDS
from gateway.graph import build_graph
from gateway.loading import Loader
from gateway.services import HedgeSettings, Retry, ServiceConfig
from tests.unit.execution.explaining.asking import at, explained
from tests.unit.graph import shop

PRODUCTS = """{ products(first: 2) { edges { node {
    __typename name stock { quantity } reviews(first: 1) { rating author { name } } } } } }"""


def test_every_field_says_what_it_is() -> None:
    found = explained(PRODUCTS)

    assert {".".join(each.path[-2:]): each.kind for each in found.all_fields()} == {
        "products": "resolver",
        "products.edges": "column",
        "edges.node": "column",
        "node.__typename": "introspection",
        "node.name": "column",
        "node.stock": "join",
        "stock.quantity": "column",
        "node.reviews": "join",
        "reviews.rating": "column",
        "reviews.author": "join",
        "author.name": "resolver",
    }


def test_a_join_tells_its_declaration() -> None:
    reviews = at(explained(PRODUCTS), "products.edges.node.reviews")
    (call,) = reviews.calls
    assert reviews.join is not None

    assert (reviews.join.on, [(each.kind, each.value) for each in reviews.join.fallbacks]) == (
        "key",
        [("default", "[]")],
    )
    assert (call.service, call.endpoint, call.keys, call.max_batch) == ("reviews", "GET /reviews", "products", 1000)
    assert (call.arguments, call.sharing, call.fresh) == ({"limit": "1"}, "public", 0.0)
    assert call.formula == "1 call per 1000 keys"


def test_a_stale_fallback_ends_in_null() -> None:
    stock = at(explained(PRODUCTS), "products.edges.node.stock")

    assert stock.join is not None
    assert [(each.kind, each.max_age) for each in stock.join.fallbacks] == [("stale", 900.0), ("null", None)]


def test_what_is_asked_of_one_parent_is_one_call_whatever_the_batch() -> None:
    (call,) = at(explained('{ product(id: "x") { stock { quantity } } }'), "product.stock").calls

    assert (call.has_many_keys, call.formula) == (False, "1 call")


def test_what_waits_for_an_answer_is_in_a_later_layer() -> None:
    found = explained(PRODUCTS)
    layers = {each.key: each.layer for each in found.all_fields() if each.calls}

    assert layers == {"products": 1, "stock": 2, "reviews": 2, "author": 3}
    assert at(found, "products.edges.node.stock").waits_for == at(found, "products").number


def test_defaults_of_arguments_are_part_of_the_question() -> None:
    found = explained(
        '{ product(id: "x") { a: reviews { rating } b: reviews(first: 10) { body } c: reviews(first: 9) { body } } }'
    )
    a, b, c = (at(found, f"product.{key}").calls[0] for key in "abc")

    assert a.question == b.question != c.question
    assert (a.same_as, b.same_as, c.same_as) == (None, ("product", "a"), None)
    assert (found.summary.joins, found.summary.calls) == (2, 3)


def test_fields_that_wait_for_different_things_may_be_asked_apart() -> None:
    told = explained(
        '{ a: product(id: "x") { stock { quantity } } b: product(id: "y") { stock { warehouse } } }'
    ).summary

    assert (told.calls, told.calls_at_most) == (2, 4)


# -- fragments, types, conditions --------------------------------------------------------------------------------------

NODE = """query ($id: ID!) { node(id: $id) { __typename id ...P ... on Order { lines { product { name } } }
    ... on Customer { id } } }  fragment P on Product { stock { quantity } ... on Node { id } }"""


def test_a_field_of_an_interface_says_of_which_types_it_may_be() -> None:
    found = explained(NODE)

    assert set(at(found, "node").types) == {"Product", "Review", "Customer", "Order", "Payment", "Shipment"}
    assert at(found, "node.stock").parents == ("Product",)
    assert at(found, "node.lines").parents == ("Order",)
    assert set(at(found, "node.__typename").parents) == set(at(found, "node").types)


def test_each_type_has_what_was_selected_of_it_and_no_more() -> None:
    found = explained(
        """query ($id: ID!) { node(id: $id) {
            ... on Product { reviews { rating author { name } } }
            ... on Order { customer { name } } } }"""
    )

    assert {each.key: each.parents for each in at(found, "node").fields} == {
        "reviews": ("Product",),
        "customer": ("Order",),
    }


def test_members_of_a_union_stand_beside_one_another() -> None:
    found = explained(
        """mutation ($input: CancelOrderInput!) { cancelOrder(input: $input) {
            ... on SagaOutcome { sagaId } ... on SagaRejected { code } ... on CancelOrderCompleted { order { id } } } }"""
    )

    assert at(found, "cancelOrder.code").parents == ("SagaRejected",)
    assert len(at(found, "cancelOrder.sagaId").parents) == 6


@entity
class Found(Node):
    """Something that is found."""

    name: str = field("Its name.")


@strawberry.interface
class Holder:
    key: strawberry.Private[str]
    holds: Found | None = None


def found_by(service: str) -> Loader[Found]:
    return Service(service).loader("/found", keys="ids", key="id", into=Found)


anywhere = found_by("orders")


@entity
class Shelf(Holder):
    """Holds what the catalog knows."""

    holds: Found | None = join(found_by("catalog"), on="key")
    also: Found | None = join(anywhere, on="key")


@entity
class Box(Holder):
    """Holds what the inventory knows."""

    holds: Found | None = join(found_by("inventory"), on="key")
    also: Found | None = join(anywhere, on="key")


@strawberry.type
class Query:
    @strawberry.field
    def holder(self) -> Holder | None:
        return None

    shelf: Shelf | None = None
    box: Box | None = None


def test_types_that_declare_a_field_differently_are_told_apart() -> None:
    found = explained("{ holder { holds { name } } }", graph=build_graph(Query))

    told = {each.parents: [call.service for call in each.calls] for each in at(found, "holder").fields}
    assert told == {("Shelf",): ["catalog"], ("Box",): ["inventory"]}


def test_types_that_are_asked_for_different_things_are_told_apart() -> None:
    document = "{ holder { ... on Shelf { also { id } } ... on Box { also { name } } } }"
    found = explained(document, graph=build_graph(Query))

    told = {each.parents: [below.key for below in each.fields] for each in at(found, "holder").fields}
    assert told == {("Shelf",): ["id"], ("Box",): ["name"]}


def test_what_is_skipped_for_certain_is_not_there() -> None:
    document = """query ($with: Boolean!) { products { edges { node {
        name stock @include(if: $with) { quantity } sku @skip(if: true) } } } }"""
    node = "products.edges.node"

    assert [each.key for each in at(explained(document, {"with": False}), node).fields] == ["name"]
    assert [each.key for each in at(explained(document, {"with": True}), node).fields] == ["name", "stock"]


@pytest.mark.parametrize(
    ("selection", "condition"),
    [
        ("sku @include(if: $a)", "$a"),
        ("sku @skip(if: $a)", "not $a"),
        ("... @include(if: $a) { sku @skip(if: $b) }", "$a and not $b"),
        ("sku @include(if: $a) ... @include(if: $b) { sku }", "$a or $b"),
        ("sku @include(if: $a) sku", None),
        ("...S @include(if: $a) ...S @include(if: $a)", "$a"),
        ("...S @include(if: $a) ...S", None),
    ],
)
def test_a_condition_that_is_not_known_is_told(selection: str, condition: str | None) -> None:
    second = ", $b: Boolean!" if "$b" in selection else ""
    fragment = "fragment S on Product { sku }" if "...S" in selection else ""
    document = f"query ($id: ID!, $a: Boolean!{second}) {{ product(id: $id) {{ {selection} name }} }} {fragment}"

    assert at(explained(document), "product.sku").only_if == condition


def test_a_field_that_could_never_be_selected_is_not_there() -> None:
    document = "query ($id: ID!, $a: Boolean!) { product(id: $id) { name ... @include(if: $a) { sku @skip(if: $a) } } }"

    assert [each.key for each in at(explained(document), "product").fields] == ["name"]


def test_a_condition_is_told_where_it_stands_and_not_again_below() -> None:
    document = """query ($id: ID!, $a: Boolean!) { product(id: $id) {
        reviews @include(if: $a) { rating } stock { quantity } stock @include(if: $a) { warehouse } } }"""
    found = explained(document)

    told = {".".join(each.path): each.only_if for each in found.all_fields() if each.only_if}
    assert told == {"product.reviews": "$a", "product.stock.warehouse": "$a"}


def test_introspection_costs_nothing_and_is_not_gone_into() -> None:
    found = explained("{ __typename __schema { types { name fields { name } } } }")

    assert [(each.key, each.kind, each.fields) for each in found.fields] == [
        ("__typename", "introspection", ()),
        ("__schema", "introspection", ()),
    ]
    assert (found.summary.calls, found.summary.layers, found.services) == (0, 0, ())


# -- variables ---------------------------------------------------------------------------------------------------------

BY_ID = "query ($id: ID!, $n: Int! = 3) { product(id: $id) { reviews(first: $n) { rating } } }"


def test_without_variables_it_is_told_for_all_values() -> None:
    found = explained(BY_ID)

    assert at(found, "product").arguments == {"id": "$id"}
    assert at(found, "product.reviews").calls[0].arguments == {"limit": "3"}


def test_variables_that_are_given_are_put_in() -> None:
    found = explained(BY_ID, {"id": "x", "n": 7})

    assert at(found, "product").arguments == {"id": '"x"'}
    assert at(found, "product.reviews").calls[0].arguments == {"limit": "7"}


def test_a_variable_that_is_not_sent_leaves_the_argument_s_default() -> None:
    found = explained("query ($s: String) { products(first: 1, search: $s) { totalCount } }", {})

    assert at(found, "products").arguments == {"first": "1"}


def test_an_argument_that_may_not_be_null_has_its_default_too() -> None:
    found = explained('query ($n: Int) { product(id: "x") { reviews(first: $n) { rating } } }', {})

    assert at(found, "product.reviews").calls[0].arguments == {"limit": "10"}


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, r"\$id"),
        ({"id": "x", "n": "many"}, "Int cannot represent"),
        ({"id": "x", "nn": 1}, r"\$nn is no variable of the operation \(it has: \$id, \$n\)"),
    ],
)
def test_variables_that_do_not_fit_are_refused(variables: dict[str, object], problem: str) -> None:
    with pytest.raises(VariablesUnfit, match=problem):
        explained(BY_ID, variables)


# -- policies ----------------------------------------------------------------------------------------------------------


def test_a_call_tells_the_policies_of_its_service() -> None:
    config = ServiceConfig(
        instances=("http://a.test", "http://b.test"),
        retry=Retry(attempts=2),
        hedge=HedgeSettings(enabled=True),
        coalesce=False,
        send_headers=("accept-language",),
    )
    found = explained("{ products { edges { node { reviews { author { id } } } } } }", customers=config, reviews=config)
    reviews, author = (
        at(found, path).calls[0] for path in ("products.edges.node.reviews", "products.edges.node.reviews.author")
    )

    assert (author.attempts, author.is_hedged, author.is_coalesced) == (2, True, False)
    assert author.headers == ("accept-language",)
    assert reviews.headers == (), "what is shared with everybody is asked without any header of one client"
    assert {each.name: each.instances for each in found.services} == {"catalog": 1, "reviews": 2, "customers": 2}


def test_a_service_without_settings_is_told_with_the_remedy() -> None:
    found = explained("{ products { totalCount } }")
    documents = shop.shop().parts.engine.documents
    assert found.services

    with pytest.raises(ServiceMissing, match=r"add \[services.catalog\]"):
        explain(
            shop.graph,
            documents.operation('{ must(key: "a") { sku } }', None),
            None,
            services={},
            deadline=found.deadline,
            saga_wait=found.deadline,
        )


def test_who_may_have_a_field_is_told() -> None:
    found = explained("query ($id: ID!) { customer(id: $id) { email orders { totalCount } } }")

    rule = "scope support or own are_themselves"
    assert at(found, "customer.email").guard == at(found, "customer.orders").guard == rule


def test_a_batched_resolver_is_told_as_such() -> None:
    found = explained('{ products(keys: ["a"]) { days slow margin } }', graph=shop.graph)

    assert [(each.key, each.kind, each.calls) for each in at(found, "products").fields] == [
        ("days", "batched", ()),
        ("slow", "resolver", ()),
        ("margin", "resolver", ()),
    ]


# -- bounds ------------------------------------------------------------------------------------------------------------


def doubling(times: int) -> str:
    """Fragments that open to 2 ** `times` fields."""
    chain = "".join(
        f" fragment F{n} on Customer {{ a{n}: orders {{ edges {{ node {{ customer {{ ...F{n + 1} }} }} }} }} "
        f"b{n}: orders {{ edges {{ node {{ customer {{ ...F{n + 1} }} }} }} }} }}"
        for n in range(times)
    )
    return f"query ($id: ID!) {{ customer(id: $id) {{ ...F0 }} }} {chain} fragment F{times} on Customer {{ name }}"


def test_an_operation_that_opens_to_too_much_is_refused_soon() -> None:
    with pytest.raises(TooLarge, match=f"more than {MAX_FIELDS} fields"):
        explained(doubling(14))


PRICES = "{ product(id: 1) { currentPrice { amount { amount } } shelfPrice { amount { amount } } } }"


def test_a_join_of_several_sources_tells_who_is_asked_and_by_which_rule() -> None:
    price = at(explained(PRICES), "product.currentPrice")
    assert price.join is not None

    assert [call.endpoint for call in price.calls] == ["GET /products/by-sku", "GET /labels"]
    assert price.join.reconcile == "newest('updated_at')"


def test_a_chain_of_fallbacks_is_told_in_its_order_with_the_call_of_its_alternative() -> None:
    price = at(explained(PRICES), "product.shelfPrice")
    (call,) = price.calls
    assert price.join is not None

    assert (call.fresh, call.revalidate) == (2.0, 30.0)
    assert [each.kind for each in price.join.fallbacks] == ["alternative", "stale", "null"]
    assert price.join.fallbacks[0].call is not None
    assert price.join.fallbacks[0].call.service == "catalog"


def test_a_strong_join_is_neither_cached_nor_shared_nor_hedged() -> None:
    document = "{ order(id: 1) { payment { status } } }"
    hedging = ServiceConfig(instances=("http://payments.test",), hedge=HedgeSettings(enabled=True))
    payment = at(explained(document, payments=hedging), "order.payment")
    (call,) = payment.calls
    assert payment.join is not None

    assert payment.join.is_strong
    assert (call.fresh, call.is_coalesced, call.is_hedged) == (0.0, False, False)
