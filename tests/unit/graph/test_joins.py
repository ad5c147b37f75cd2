"""Joins: what they ask, what stands in when a service fails, who may read them."""

import asyncio
from typing import Any

import pytest

from gateway.errors import ServiceUnavailable
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .shop import CUSTOMER, STAFF, Product, inventory_answers, reviews_answers, shop


def away(service: str) -> ScriptedWire:
    return ScriptedWire(otherwise=lambda _: ServiceUnavailable(f"{service} is away", service=service, applied=False))


def degraded(path: list[Any], to: str, service: str, **more: Any) -> dict[str, Any]:
    said = {"code": "SERVICE_UNAVAILABLE", "reason": f"{service} is away", "service": service, "retryable": True}
    return {"path": path, "to": to, **said, **more}


@in_virtual_time
async def test_a_join_without_fallback_is_null_with_an_error_at_its_path_and_the_rest_is_answered() -> None:
    async with shop(wires={"inventory": away("inventory")}) as gateway:
        found = await gateway.execute('{ products(keys: ["a"]) { sku stockIn { quantity } days } }')
    assert found.status == 200
    assert found.data == {"products": [{"sku": "a", "stockIn": None, "days": 1}]}
    (error,) = found.errors
    assert error["path"] == ["products", 0, "stockIn"]
    assert error["extensions"] == {"code": "SERVICE_UNAVAILABLE", "retryable": True, "service": "inventory"}
    assert found.degraded == [degraded(["products", 0, "stockIn"], "NULL", "inventory")]


@in_virtual_time
async def test_a_default_is_served_without_an_error_and_said_to_be_one() -> None:
    async with shop(wires={"reviews": away("reviews")}) as gateway:
        found = await gateway.execute('{ products(keys: ["a", "b"]) { reviews { stars } } }')
    assert found.data == {"products": [{"reviews": []}, {"reviews": []}]}
    assert found.errors == []
    assert found.degraded == [degraded(["products", n, "reviews"], "DEFAULT", "reviews") for n in (0, 1)]


@in_virtual_time
async def test_the_path_of_what_is_degraded_has_the_client_s_alias() -> None:
    async with shop(wires={"reviews": away("reviews")}) as gateway:
        found = await gateway.execute('{ mine: products(keys: ["a"]) { opinions: reviews { stars } } }')
    assert [note["path"] for note in found.degraded] == [["mine", 0, "opinions"]]


@in_virtual_time
async def test_the_last_known_answer_is_served_with_its_age_and_without_an_error() -> None:
    wire = ScriptedWire(inventory_answers, otherwise=away("inventory")._otherwise)
    query = '{ products(keys: ["a"]) { stock { quantity } } }'
    async with shop(wires={"inventory": wire}) as gateway:
        fresh = await gateway.execute(query)
        await asyncio.sleep(60)
        stale = await gateway.execute(query)
        await asyncio.sleep(15 * 60)
        too_old = await gateway.execute(query)
    assert (fresh.degraded, fresh.errors) == ([], [])
    assert stale.data == fresh.data
    assert stale.errors == []
    assert stale.degraded == [degraded(["products", 0, "stock"], "STALE", "inventory", ageSeconds=60.0)]
    assert too_old.data == {"products": [{"stock": None}]}
    assert too_old.codes == ["SERVICE_UNAVAILABLE"]
    assert [note["to"] for note in too_old.degraded] == ["NULL"]


@in_virtual_time
async def test_what_one_caller_read_is_not_the_stale_answer_of_another() -> None:
    wire = ScriptedWire(inventory_answers, otherwise=away("inventory")._otherwise)
    query = '{ products(keys: ["a"]) { stock { quantity } } }'
    async with shop(wires={"inventory": wire}) as gateway:
        await gateway.execute(query, headers=STAFF)
        found = await gateway.execute(query, headers=CUSTOMER)
    assert found.data == {"products": [{"stock": None}]}


@in_virtual_time
async def test_there_is_none_is_null_without_an_error() -> None:
    async with shop(wires={"inventory": ScriptedWire(answer([]))}) as gateway:
        found = await gateway.execute('{ products(keys: ["a"]) { stock { quantity } } }')
    assert found.json == {"data": {"products": [{"stock": None}]}}


@in_virtual_time
async def test_a_join_on_nothing_is_there_is_none_and_asks_nobody() -> None:
    async with shop() as gateway:
        found = await gateway.execute('{ products(keys: ["nobody"]) { madeBy { name } } }')
        (wire,) = [gateway.parts.services["catalog"]._wire]
    assert found.data == {"products": [{"madeBy": None}]}
    assert [request.path for request in wire.requests] == ["/products"]  # type: ignore[attr-defined]


@in_virtual_time
async def test_arguments_are_part_of_the_batch_and_go_to_the_service_with_their_defaults() -> None:
    wire = ScriptedWire(otherwise=inventory_answers)
    async with shop(wires={"inventory": wire}) as gateway:
        found = await gateway.execute(
            '{ products(keys: ["a", "b"]) { n: stockIn { quantity } s: stockIn(warehouse: "south") { quantity } } }'
        )
    assert found.errors == []
    assert sorted(request.query for request in wire.requests) == [
        (("skus", "a"), ("skus", "b"), ("wh", "north")),
        (("skus", "a"), ("skus", "b"), ("wh", "south")),
    ]


@in_virtual_time
async def test_a_broken_rule_of_a_join_s_argument_is_told_before_anything_is_asked() -> None:
    wire = ScriptedWire()
    async with shop(wires={"inventory": wire}) as gateway:
        found = await gateway.execute('{ products(keys: ["a"]) { stockIn(warehouse: "southern") { quantity } } }')
    (error,) = found.errors
    assert error["path"] == ["products", 0, "stockIn"]
    assert error["extensions"]["violations"] == [
        {"path": ["warehouse"], "message": "must have 1 to 5 characters, not 8", "rule": "length"}
    ]


@pytest.mark.parametrize(
    ("headers", "codes"),
    [({}, ["UNAUTHENTICATED"] * 2), (CUSTOMER, ["FORBIDDEN"] * 2), (STAFF, [])],
    ids=["anonymous", "known", "allowed"],
)
@in_virtual_time
async def test_a_guarded_field_is_refused_alone_and_asks_nobody(headers: dict[str, str], codes: list[str]) -> None:
    wire = ScriptedWire(otherwise=inventory_answers)
    async with shop(wires={"inventory": wire}) as gateway:
        found = await gateway.execute('{ products(keys: ["a"]) { sku cost { quantity } margin } }', headers=headers)
    assert found.status == 200
    assert found.codes == codes
    assert found.data["products"][0]["sku"] == "a"
    assert (found.data["products"][0]["margin"], len(wire.sent)) == ((7, 1) if not codes else (None, 0))


@in_virtual_time
async def test_a_refusal_is_not_called_degradation() -> None:
    async with shop() as gateway:
        found = await gateway.execute('{ products(keys: ["a"]) { cost { quantity } } }')
    assert found.degraded == []


@in_virtual_time
async def test_so_many_notes_are_kept_and_the_rest_counted() -> None:
    keys = [f"k{number}" for number in range(600)]
    async with shop(wires={"reviews": away("reviews")}) as gateway:
        found = await gateway.execute(
            "query($keys: [String!]!) { products(keys: $keys) { a: reviews { stars } b: reviews { stars } } }",
            {"keys": keys},
        )
    assert len(found.degraded) == 1000
    assert found.json["extensions"]["degradedBeyond"] == 200


@in_virtual_time
async def test_a_join_that_is_given_a_value_is_not_loaded_and_is_guarded_all_the_same() -> None:
    from gateway.graph.join import JoinField

    from .guarding import context

    product = Product(key="k", sku="s")
    vars(product)["cost"] = "loaded before"
    field: JoinField = Product.cost  # type: ignore[assignment]
    info: Any = context(scopes={"staff"})
    assert await field.get_result(product, info, [], {}) == "loaded before"
    with pytest.raises(Exception, match='sign in to read this field: send a header "Authorization: Bearer'):
        field.get_result(product, context(), [], {})


def test_reading_an_unresolved_join_says_how_to_load_it() -> None:
    with pytest.raises(LookupError, match=r"Product.stock is a join and was not loaded: await ctx.load\(<Loader inv"):
        Product(key="k", sku="s").stock  # noqa: B018


def test_a_join_is_not_in_the_constructor_the_repr_or_the_comparison() -> None:
    product = Product(key="k", sku="s")
    assert repr(product).endswith("Product(key='k', sku='s', maker=None)")
    assert product == Product(key="k", sku="s")
    with pytest.raises(TypeError, match="stock"):
        Product(key="k", sku="s", stock=None)  # type: ignore[call-arg]


# -- connections -------------------------------------------------------------------------------------------------------

PAGE = """query($first: Int!, $after: String) { products(keys: ["p"]) {
    pages(first: $first, after: $after) {
        edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } } }"""


@pytest.mark.parametrize("first", [1, 5, 7, 11, 12, 13, 100])
@in_virtual_time
async def test_paging_through_a_list_gives_each_item_once_whatever_the_page_size(first: int) -> None:
    seen: list[str] = []
    after: str | None = None
    async with shop() as gateway:
        for turn in range(13):
            found = await gateway.execute(PAGE, {"first": first, "after": after})
            page = found.data["products"][0]["pages"]
            seen += [edge["node"]["id"] for edge in page["edges"]]
            assert page["pageInfo"]["hasPreviousPage"] == (turn > 0)
            assert page["totalCount"] == 12
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
    assert len(seen) == len(set(seen)) == 12


@in_virtual_time
async def test_a_connection_whose_service_fails_is_what_was_declared() -> None:
    async with shop(wires={"reviews": away("reviews")}) as gateway:
        found = await gateway.execute(
            '{ products(keys: ["p"]) { pages { totalCount } some { edges { cursor } pageInfo { hasNextPage } } } }'
        )
    assert found.data["products"] == [{"pages": None, "some": {"edges": [], "pageInfo": {"hasNextPage": False}}}]
    assert [(note["path"][-1], note["to"]) for note in found.degraded] == [("pages", "NULL"), ("some", "DEFAULT")]


@pytest.mark.parametrize("after", ["", "x", "W10", "bm90IG91cnM", "W251bGwsLTFd", "é", "W251bGwsMV0=="])
@in_virtual_time
async def test_a_forged_cursor_is_refused_and_asks_nobody(after: str) -> None:
    wire = ScriptedWire(otherwise=reviews_answers)
    async with shop(wires={"reviews": wire}) as gateway:
        found = await gateway.execute(PAGE, {"first": 1, "after": after})
    assert found.codes == ["BAD_USER_INPUT"]
    assert found.errors[0]["extensions"]["violations"][0]["rule"] == "cursor"
    assert len(wire.sent) == 0
