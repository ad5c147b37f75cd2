"""The canonical model's border: what is derived from a class, and what a declaration may not say."""

from __future__ import annotations

import dataclasses
import sys
from datetime import UTC, datetime
from enum import Enum
from types import ModuleType
from typing import Annotated, Any, Optional

import msgspec
import pytest
import strawberry

from gateway.loading import Loader, Service, lazy_loader
from gateway.loading.records import camel, derive, loader_codec

SHOP = Service("shop")


class Colour(Enum):
    RED = "red"


@strawberry.type
class Amount:
    minor_units: int
    currency: str = "EUR"


@strawberry.type
class Thing:
    thing_id: strawberry.ID
    secret_key: strawberry.Private[str]
    colour: Colour
    price: Amount
    made_at: datetime
    tags: list[str]
    offers: list[Amount]
    note: str | None
    old_price: Amount | None
    older: Optional[list[Amount]]  # noqa: UP045  (both spellings are in use)
    size: Annotated[int, "in centimetres"] = 3
    labels: list[str] = strawberry.field(default_factory=list)

    @strawberry.field
    def shown(self) -> str:
        return f"{self.colour.value} {self.size}"


WHOLE: dict[str, Any] = {
    "thingId": "1",
    "secretKey": "k",
    "colour": "red",
    "price": {"minorUnits": 5, "currency": "USD"},
    "madeAt": "2026-01-02T00:00:00Z",
    "tags": ["x"],
    "offers": [{"minorUnits": 1}, {"minorUnits": 2}],
    "note": "n",
    "oldPrice": {"minorUnits": 9},
    "older": [{"minorUnits": 8}],
    "size": 7,
    "labels": ["l"],
}


def read(payload: dict[str, Any], into: Any = Thing, **renamed: str) -> Any:
    struct, hydrate = derive(into, renamed=renamed)
    return hydrate(msgspec.json.decode(msgspec.json.encode(payload), type=struct))


def test_plain_fields_nested_types_lists_enums_and_private_fields_are_read() -> None:
    thing = read(WHOLE)
    assert isinstance(thing, Thing)
    assert (thing.thing_id, thing.secret_key, thing.colour) == ("1", "k", Colour.RED)
    assert thing.price == Amount(minor_units=5, currency="USD")
    assert thing.made_at == datetime(2026, 1, 2, tzinfo=UTC)
    assert thing.offers == [Amount(minor_units=1), Amount(minor_units=2)]
    assert (thing.old_price, thing.older) == (Amount(minor_units=9), [Amount(minor_units=8)])


def test_a_derived_object_is_a_whole_one_with_its_methods() -> None:
    assert read(WHOLE).shown() == "red 7"


def test_what_is_nullable_may_be_null_or_missing_and_defaults_stand_in() -> None:
    optional = ("note", "oldPrice", "older", "size", "labels")
    missing = read({name: value for name, value in WHOLE.items() if name not in optional})
    null = read({**WHOLE, "note": None, "oldPrice": None, "older": None})
    assert (missing.note, missing.old_price, missing.older, missing.size, missing.labels) == (None, None, None, 3, [])
    assert (null.note, null.old_price, null.older) == (None, None, None)


def test_default_lists_are_not_shared_between_objects() -> None:
    without = {name: value for name, value in WHOLE.items() if name != "labels"}
    one, other = read(without), read(without)
    one.labels.append("mine")
    assert other.labels == []


def test_a_renamed_field_is_read_by_its_name_on_the_wire() -> None:
    renamed = {("colourCode" if name == "colour" else name): value for name, value in WHOLE.items()}
    assert read(renamed, colour="colourCode").colour is Colour.RED


@pytest.mark.parametrize("member", ["thingId", "secretKey", "colour", "price", "madeAt", "tags", "offers"])
def test_what_is_not_nullable_and_has_no_default_must_be_there(member: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=member):
        read({name: value for name, value in WHOLE.items() if name != member})


@pytest.mark.parametrize(
    ("member", "value"),
    [("colour", "blue"), ("size", "7"), ("tags", None), ("offers", [{"minorUnits": "1"}]), ("madeAt", "yesterday")],
)
def test_what_has_another_type_is_not_read(member: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        read({**WHOLE, member: value})


def test_a_plain_dataclass_is_derived_from_as_well() -> None:
    @dataclasses.dataclass
    class Plain:
        sku: str

    assert read({"sku": "s"}, into=Plain) == Plain("s")


@pytest.mark.parametrize(("name", "wire"), [("sku", "sku"), ("posted_at", "postedAt"), ("a_b_c", "aBC")])
def test_names_are_camel_case_on_the_wire(name: str, wire: str) -> None:
    assert camel(name) == wire


# -- mistakes ----------------------------------------------------------------------------------------------------------


class NoKey(msgspec.Struct):
    name: str


def test_a_class_that_cannot_be_derived_from_says_what_to_give_instead() -> None:
    with pytest.raises(TypeError, match=r"int is no strawberry type or dataclass; give `record=` and `to=`"):
        derive(int)


def test_a_renaming_of_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Thing has no plain field 'color' to rename"):
        derive(Thing, renamed={"color": "c"})


def test_a_record_without_the_key_is_refused_by_name() -> None:
    loader: Loader[str] = SHOP.loader("/x", keys="ids", key="id", into=str, record=NoKey, to=lambda row: row.name)
    with pytest.raises(TypeError, match=r"<Loader shop /x>: NoKey has no field that reads 'id'"):
        loader_codec(loader)


def test_a_record_that_is_no_struct_is_refused_by_name() -> None:
    loader: Loader[str] = SHOP.loader("/x", keys="ids", key="id", into=str, record=Amount, to=str)
    with pytest.raises(TypeError, match=r"<Loader shop /x>: Amount must be a msgspec.Struct"):
        loader_codec(loader)


def test_record_and_to_belong_together() -> None:
    with pytest.raises(TypeError, match=r"`record` and `to` belong together"):
        SHOP.loader("/x", keys="ids", key="id", into=str, record=NoKey)


def test_renaming_is_for_derived_records_only() -> None:
    with pytest.raises(TypeError, match=r"with `record` name the fields there"):
        SHOP.loader("/x", keys="i", key="id", into=str, record=NoKey, to=lambda row: row.name, fields={"name": "n"})


def test_a_key_that_is_no_field_of_the_graph_is_read_beside_it() -> None:
    loader = SHOP.loader("/x", keys="ids", key="ownerId", into=Amount)
    ((key,), (row,), _) = loader_codec(loader).decode(b'[{"ownerId": "o", "minorUnits": 4}]')
    assert (key, loader_codec(loader).hydrate(row)) == ("o", Amount(minor_units=4))


def test_a_lazy_loader_says_how_to_write_it_and_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = ModuleType("a_shop.amounts")
    declared.__dict__["by_id"] = by_id = SHOP.loader("/x", keys="ids", key="id", into=Amount)
    monkeypatch.setitem(sys.modules, "a_shop.amounts", declared)
    with pytest.raises(ValueError, match=r'write "package.module:name"'):
        lazy_loader("a_shop.amounts")
    with pytest.raises(LookupError, match=r"a_shop.amounts has no loader named 'nothing'"):
        lazy_loader("a_shop.amounts:nothing").resolve()
    assert lazy_loader("a_shop.amounts:by_id").resolve() is by_id


def test_a_declaration_is_not_asked_for_values() -> None:
    with pytest.raises(TypeError, match=r"is a declaration: ask for a key with ctx.load"):
        SHOP.loader("/x", keys="ids", key="id", into=Amount).yields()
