"""Payload bytes -> rows -> values of the graph: the canonical model's border.

msgspec decodes and type-checks in C; a value object is built only from a row that passed. Invariant: a payload is never
half-read: a record that breaks the contract fails its own key, or the whole batch when its key cannot be read either.

Why Structs beside the strawberry classes: a strawberry class with resolvers cannot be decoded into, and a dataclass cannot be
decoded with renaming (measured 2026-11); a Struct derived from the class's plain fields can, and is copied over in one pass.
"""

from __future__ import annotations

import dataclasses
import inspect
import keyword
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, NamedTuple, Union, overload

import msgspec

from ..services import UNREADABLE
from .calls import Wanted, covers
from .loader import Loader, Page, Pages, Shape

Hydrate = Callable[[Any], Any]
"""Row (a Struct) -> value of the graph."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a derived record stands for: whoever only reads attributes may read the record's own in place of the object's."""

    into: type[Any]
    hydrate: Hydrate
    plain: frozenset[str]
    """Attributes whose values are the object's own."""
    nested: frozenset[str]
    """Attributes that hold derived records, where the object has what they stand for."""


def origin_of(kind: type[Any]) -> Origin | None:
    """What records of this class stand for; None for any other class."""
    return getattr(kind, _ORIGIN, None)


_ORIGIN = "__record_origin__"


def objects_of(values: Sequence[Any]) -> Sequence[Any]:
    """The same with objects in place of the records that stand for them; one for each record, however often it is there."""
    origins = {kind: origin for kind in set(map(type, values)) if (origin := origin_of(kind)) is not None}
    if not origins:
        return values
    made: dict[int, Any] = {}

    def made_of(value: Any) -> Any:
        origin = origins.get(type(value))
        if origin is None:
            return value
        found = made.get(id(value))
        if found is None:
            found = made[id(value)] = origin.hydrate(value)
        return found

    return [made_of(value) for value in values]


class Records(NamedTuple):
    """A payload's records in its order: each one's key, and its row or what is wrong with it."""

    keys: list[str]
    rows: list[Any]
    is_whole: bool
    """Whether none is broken."""


class RecordBroken(Exception):
    """A payload, or one record of it, does not have the agreed shape. `where` is msgspec's own path into it."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Decodes one endpoint's payload into rows by key."""

    rows: msgspec.json.Decoder[Any]
    raw_rows: msgspec.json.Decoder[Any]
    row: msgspec.json.Decoder[Any]
    key_only: msgspec.json.Decoder[Any]
    unwrap: Callable[[Any], Any]
    key_of: Callable[[Any], str | int]
    has_numbers: bool
    """Whether keys may be numbers."""
    hydrate: Hydrate
    """Of what a key has: a row, or a list of them."""
    stands_for_object: bool
    """Whether a row is a derived record, so that hydrating it changes nothing that an attribute says, and cannot fail."""

    def decode(self, body: bytes) -> Records:
        """A broken record stands as `RecordBroken` at its key.

        Raises: RecordBroken when the payload is not a list of records, or a record's key cannot be read.
        """
        try:
            rows = self.unwrap(self.rows.decode(body))
        except UNREADABLE:
            return self._decode_one_by_one(body)
        keys: list[Any] = list(map(self.key_of, rows))
        is_text = not self.has_numbers or {str}.issuperset(map(type, keys))
        return Records(keys if is_text else [*map(_text, keys)], rows, is_whole=True)

    def _decode_one_by_one(self, body: bytes) -> Records:
        """The slow way, taken only when the fast one failed: finds which record is broken."""
        try:
            raw_rows = self.unwrap(self.raw_rows.decode(body))
            keys = [_text(self.key_only.decode(raw).key) for raw in raw_rows]
        except UNREADABLE as error:
            raise RecordBroken(str(error)) from error
        return Records(keys, [self._decode_row(raw) for raw in raw_rows], is_whole=False)

    def _decode_row(self, raw: msgspec.Raw) -> Any | RecordBroken:
        try:
            return self.row.decode(raw)
        except UNREADABLE as error:
            return RecordBroken(str(error))


def loader_codec(loader: Loader[Any], *, only: Collection[str] | None = None) -> Codec:
    """The codec of a batch endpoint. `only`: the attributes that are wanted of derived records; the rest of a payload is skipped.

    Raises: TypeError when the record has no field that carries `key`, or a field's type cannot be decoded.
    """
    if loader.page:
        row_type, key_attribute, hydrate = _page_row(loader)
    else:
        row_type, key_attribute, hydrate = _keyed_row(loader.shape, loader.key, where=repr(loader), only=only)
    key_only = msgspec.defstruct("KeyOnly", [("key", str | int, msgspec.field(name=loader.key))])
    payload, raw_payload, unwrap = _enveloped(row_type, loader.envelope)
    return Codec(
        rows=msgspec.json.Decoder(payload),
        raw_rows=msgspec.json.Decoder(raw_payload),
        row=msgspec.json.Decoder(row_type),
        key_only=msgspec.json.Decoder(key_only),
        unwrap=unwrap,
        key_of=attrgetter(key_attribute),
        has_numbers=_may_be_number(row_type, key_attribute),
        hydrate=_list_copier(hydrate) if loader.many else hydrate,
        stands_for_object=origin_of(row_type) is not None,
    )


@dataclass(frozen=True, slots=True)
class PageCodec:
    """Decodes a listing's payload: one page. `hydrate`: the page of its row."""

    row: msgspec.json.Decoder[Any]
    hydrate: Hydrate
    stands_for_objects: bool
    """Whether its records are derived, as in `Codec`."""


def page_codec(pages: Pages[Any], *, only: Collection[str] | None = None) -> PageCodec:
    """`only`: the attributes that are wanted of derived records, in this order; the rest of a payload is skipped."""
    row_type, hydrate_item = record_type(pages.shape, only=only)
    payload = msgspec.defstruct(
        f"{row_type.__name__}Page",
        [
            ("items", list[row_type], msgspec.field(name=pages.items)),  # type: ignore[valid-type]
            ("next", str | None, msgspec.field(name=pages.cursor, default=None)),
            ("total", int | None, msgspec.field(name=pages.total, default=None)),
        ],
    )
    is_derived = origin_of(row_type) is not None
    return PageCodec(msgspec.json.Decoder(payload), _page_hydration(hydrate_item, is_derived=is_derived), is_derived)


def record_type(shape: Shape, *, only: Collection[str] | None = None) -> tuple[type[Any], Hydrate]:
    """The type that msgspec decodes a record into, and what turns it into `shape.into`."""
    if shape.record is not None and shape.to is not None:
        return shape.record, shape.to
    return derive(shape.into, renamed=shape.fields, only=only)


def _may_be_number(row_type: type[Any], attribute: str) -> bool:
    """Whether the attribute is declared as anything but a text."""
    declared = next(column.type for column in msgspec.structs.fields(row_type) if column.name == attribute)
    return getattr(declared, "__supertype__", declared) is not str


def _keyed_row(shape: Shape, key: str, *, where: str, only: Collection[str] | None) -> tuple[type[Any], str, Hydrate]:
    """Row type, the attribute of it that carries the key, hydration."""
    row_type, hydrate = record_type(shape, only=only)
    if not issubclass(row_type, msgspec.Struct):
        raise TypeError(f"{where}: {row_type.__name__} must be a msgspec.Struct")
    for column in msgspec.structs.fields(row_type):
        if column.encode_name == key:
            return row_type, column.name, hydrate
    if shape.record is not None:
        raise TypeError(
            f"{where}: {row_type.__name__} has no field that reads {key!r}, which names the key of a record"
        )
    extended = msgspec.defstruct(
        f"Keyed{row_type.__name__}", [("row_key", str | int, msgspec.field(name=key))], bases=(row_type,), kw_only=True
    )
    return extended, "row_key", hydrate


def _page_row(loader: Loader[Any]) -> tuple[type[Any], str, Hydrate]:
    item_type, hydrate_item = record_type(loader.shape)
    row_type = msgspec.defstruct(
        f"{item_type.__name__}Page",
        [
            ("row_key", str | int, msgspec.field(name=loader.key)),
            ("items", list[item_type]),  # type: ignore[valid-type]
            ("next", str | None, msgspec.field(name="nextCursor", default=None)),
            ("total", int | None, None),
        ],
    )
    return row_type, "row_key", _page_hydration(hydrate_item, is_derived=origin_of(item_type) is not None)


def _page_hydration(hydrate_item: Hydrate, *, is_derived: bool) -> Hydrate:
    """`is_derived`: hydrating an item cannot fail, so it may wait until somebody looks."""

    def hydrate(row: Any) -> Page[Any]:
        def objects() -> list[Any]:
            return [hydrate_item(item) for item in row.items]

        return Page(items=Rows(row.items, objects) if is_derived else objects(), next=row.next, total=row.total)

    return hydrate


class Rows(Sequence[Any]):
    """What a page has, made of its records when somebody looks: a plan that only copies attributes reads these themselves.

    State: the objects, once one was looked at. They stay the same.
    """

    __slots__ = ("_make", "_objects", "_read", "_records")

    def __init__(self, records: list[Any], make: Callable[[], list[Any]], *, read: Wanted = None) -> None:
        """`make` the objects, with all that they have; `read`: what was read into the records."""
        self._records = records
        self._make = make
        self._read = read
        self._objects: list[Any] | None = None

    def records(self, wanted: Wanted) -> list[Any] | None:
        """What stands for the objects for whoever reads no more than `wanted`. None where it does not: something that is wanted was
        not read, or somebody has looked, and may have changed an object."""
        return self._records if self._objects is None and covers(self._read, wanted) else None

    def _made(self) -> list[Any]:
        if self._objects is None:
            self._objects = self._make()
        return self._objects

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._made()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._made())

    def __eq__(self, other: object) -> bool:
        return self._made() == (list(other) if isinstance(other, Rows) else other)

    def __repr__(self) -> str:
        return f"<Rows {len(self._records)}>"


def _enveloped(row_type: type[Any], envelope: str | None) -> tuple[Any, Any, Callable[[Any], Any]]:
    if envelope is None:
        return list[row_type], list[msgspec.Raw], lambda payload: payload  # type: ignore[valid-type]
    member = msgspec.field(name=envelope)
    typed = msgspec.defstruct("Envelope", [("rows", list[row_type], member)])  # type: ignore[valid-type]
    raw = msgspec.defstruct("RawEnvelope", [("rows", list[msgspec.Raw], member)])
    return typed, raw, lambda payload: payload.rows


def _text(key: str | int) -> str:
    return key if isinstance(key, str) else str(key)


# -- deriving a Struct from a strawberry class -------------------------------------------------------------------------


def derive(
    into: type[Any], *, renamed: Mapping[str, str] | None = None, only: Collection[str] | None = None
) -> tuple[type[Any], Hydrate]:
    """A Struct with the plain fields of dataclass `into` (camelCase on the wire unless `renamed`), and the copy back.

    `only` some of them, in that order: what is copied back then has these and no others, for who reads no others.
    Joins and resolvers are left out: they are not in the payload. A nullable field may be absent from it.
    Raises: TypeError for a class that is no dataclass, or for a name in `renamed` that it does not have.
    """
    if not dataclasses.is_dataclass(into):
        raise TypeError(f"{into.__name__} is no strawberry type or dataclass; give `record=` and `to=`")
    renamed = renamed or {}
    plain = plain_fields(into)
    unknown = set(renamed) - {column.name for column in plain}
    if unknown:
        raise TypeError(f"{into.__name__} has no plain field {', '.join(sorted(map(repr, unknown)))} to rename")

    columns: list[tuple[str, Any, Any]] = []
    copies: list[tuple[str, Hydrate | None]] = []
    by_name = {column.name: column for column in plain}
    for column in plain if only is None else [by_name[name] for name in only if name in by_name]:
        wire_type, copy = _wire_type(_annotation(into, column))
        name = renamed.get(column.name) or camel(column.name)
        columns.append((column.name, wire_type, _wire_field(name, wire_type, column)))
        copies.append((column.name, copy))
    hydrate = _copier(into, copies)
    namespace: dict[str, Any] = {}
    if _is_read_as_set(into, [name for name, _ in copies]) and all(map(origin_of, _structs_in(columns))):
        nested = frozenset(name for name, copy in copies if copy is not None)
        namespace[_ORIGIN] = Origin(into, hydrate, frozenset(name for name, _ in copies) - nested, nested)
    struct = msgspec.defstruct(into.__name__, columns, kw_only=True, gc=False, namespace=namespace)
    return struct, hydrate


def _structs_in(columns: Sequence[tuple[str, Any, Any]]) -> Iterator[type[Any]]:
    """The records that are in a record. Where one of them does not stand for its object, neither does what holds it."""
    types_left = [wire_type for _, wire_type, _ in columns]
    while types_left:
        wire_type = types_left.pop()
        types_left += typing.get_args(wire_type)
        if isinstance(wire_type, type) and issubclass(wire_type, msgspec.Struct):
            yield wire_type


def plain_fields(into: type[Any]) -> list[dataclasses.Field[Any]]:
    """What a payload has of a class: neither joins nor resolvers."""
    return [column for column in dataclasses.fields(into) if column.init]


def _copier(into: type[Any], copies: Sequence[tuple[str, Hydrate | None]]) -> Hydrate:
    """Row -> instance without running `__init__`: its fields were checked by the decoder already.

    Written out as source, attribute by attribute: four times as fast as a loop over their names, and an instance that is filled so
    is read faster afterwards. All names are the author's own, from the class.
    """
    if not all(_is_plain(into, name) for name, _ in copies):
        return _careful_copier(into, copies)
    names: dict[str, Any] = {"new": object.__new__, "into": into}
    lines = ["def hydrate(row):", "    value = new(into)"]
    for index, (name, copy) in enumerate(copies):
        names[f"copy{index}"] = copy
        lines.append(f"    value.{name} = " + (f"row.{name}" if copy is None else f"copy{index}(row.{name})"))
    exec("\n".join([*lines, "    return value"]), names)  # noqa: S102 - see above
    hydrate: Hydrate = names["hydrate"]
    return hydrate


def _is_plain(into: type[Any], name: str) -> bool:
    """Whether setting the attribute does no more than that: the class is not frozen, and no property stands there."""
    is_settable = not _overrides(into, "__setattr__") and not _is_property(into, name)
    return is_settable and name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


def _is_read_as_set(into: type[Any], names: Sequence[str]) -> bool:
    """Whether reading these attributes of an object yields what its record holds: else no record stands for the object."""
    return not _overrides(into, "__getattribute__") and not any(_is_property(into, name) for name in names)


def _overrides(into: type[Any], method: str) -> bool:
    return any(method in vars(base) for base in into.__mro__ if base is not object)


def _is_property(into: type[Any], name: str) -> bool:
    return hasattr(getattr(into, name, None), "__set__")


def _careful_copier(into: type[Any], copies: Sequence[tuple[str, Hydrate | None]]) -> Hydrate:
    def hydrate(row: Any) -> Any:
        value = object.__new__(into)
        for name, copy in copies:
            column = getattr(row, name)
            value.__dict__[name] = column if copy is None else copy(column)
        return value

    return hydrate


def _wire_field(name: str, wire_type: Any, column: dataclasses.Field[Any]) -> Any:
    if column.default is not dataclasses.MISSING:
        return msgspec.field(name=name, default=column.default)
    if column.default_factory is not dataclasses.MISSING:
        return msgspec.field(name=name, default_factory=column.default_factory)
    if _is_nullable(wire_type):
        return msgspec.field(name=name, default=None)
    return msgspec.field(name=name)


def _annotation(owner: type[Any], column: dataclasses.Field[Any]) -> Any:
    """As written in the class: strawberry's own fields answer with their GraphQL type instead."""
    for base in owner.__mro__:
        written = inspect.get_annotations(base).get(column.name)
        if isinstance(written, str):
            return eval(written, vars(sys.modules[base.__module__]))  # noqa: S307 - the author's own annotation
        if written is not None:
            return written
    return column.type


def _wire_type(annotation: Any) -> tuple[Any, Hydrate | None]:
    """What msgspec shall decode, and how a decoded value is copied (None: as it is)."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        return _wire_type(arguments[0])
    if origin in (Union, types.UnionType):
        return _wire_union(arguments)
    if origin is list:
        element, copy = _wire_type(arguments[0])
        return list.__class_getitem__(element), (None if copy is None else _list_copier(copy))
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return derive(annotation)
    return annotation, None


def _wire_union(members: tuple[Any, ...]) -> tuple[Any, Hydrate | None]:
    """Only "T or null" needs a copy; msgspec tells other unions apart by itself."""
    wired = [_wire_type(member) for member in members]
    copies = [copy for _, copy in wired if copy is not None]
    union: Any = Union[tuple(wire_type for wire_type, _ in wired)]  # noqa: UP007 - made at run time
    if not copies:
        return union, None
    copy = copies[0]
    return union, lambda value: None if value is None else copy(value)


def _list_copier(copy: Hydrate) -> Hydrate:
    return lambda values: [copy(value) for value in values]


def _is_nullable(wire_type: Any) -> bool:
    return type(None) in typing.get_args(wire_type)


def camel(name: str) -> str:
    """`posted_at` -> `postedAt`."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
