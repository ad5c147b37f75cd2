"""What is plain for `overlapping.py` has no conflict for graphql-core; the rest it judges itself, so the verdicts are equal."""

from __future__ import annotations

from collections import Counter
from random import Random

from graphql import build_schema, parse, validate
from graphql.validation import NoFragmentCyclesRule, OverlappingFieldsCanBeMergedRule

from gateway.execution.overlapping import are_plainly_the_same

SCHEMA = build_schema(
    """
    interface Named { name: String  self: Named }
    type Cat implements Named { name: String  size: Int  self: Cat  all: [Cat]  old(since: Int): Int }
    type Dog implements Named { name: String  size: String  self: Dog  all: [Dog!]  old(since: Int): Int }
    union Pet = Cat | Dog
    type Query { cat: Cat  dog: Dog  pet: Pet  named: Named  self: Query }
    directive @stream(if: Boolean! = true, label: String, initialCount: Int = 0) on FIELD
    """
)
CONDITIONS = ("Cat", "Dog", "Named", "Pet", "Query")
FRAGMENTS = ("F", "G", "H")
LEAVES = ("name", "size", "name: size", "size: name", "old", "old(since: 1)", "old(since: 2)", "__typename", "x: name")
FIELDS = ("cat", "dog", "pet", "named", "self", "all", "x: cat", "x: dog", "all @stream")
SEEDS = 6_000


def test_what_is_plain_has_no_conflict_that_graphql_core_would_see() -> None:
    verdicts = Counter[tuple[bool, bool]]()
    for seed in range(SEEDS):
        text = _document(Random(seed))
        document = parse(text)
        if validate(SCHEMA, document, [NoFragmentCyclesRule]):
            continue
        is_plain = are_plainly_the_same(SCHEMA, document)
        is_valid = not validate(SCHEMA, document, [OverlappingFieldsCanBeMergedRule])
        assert is_valid or not is_plain, (seed, text)
        verdicts[is_plain, is_valid] += 1
    assert min(verdicts[True, True], verdicts[False, True], verdicts[False, False]) > SEEDS / 50, verdicts


def _document(random: Random) -> str:
    """Its fragments are those that its operation reaches: others are refused by another rule, and no part of what is executed."""
    fragments = {name: f"{random.choice(CONDITIONS)} {_set(random, 2)}" for name in FRAGMENTS}
    body = _set(random, 3)
    reached, open_ = set[str](), [body]
    while open_:
        part = open_.pop()
        found = {name for name in FRAGMENTS if f"...{name}" in part} - reached
        reached |= found
        open_ += [fragments[name] for name in found]
    return body + "".join(f" fragment {name} on {fragments[name]}" for name in sorted(reached))


def _set(random: Random, depth: int) -> str:
    return "{ " + " ".join(_selection(random, depth) for _ in range(random.randint(1, 3))) + " }"


def _selection(random: Random, depth: int) -> str:
    kind = random.random()
    if kind < 0.15:
        return f"...{random.choice(FRAGMENTS)}"
    if not depth or kind < 0.45:
        return random.choice(LEAVES)
    opening = random.choice(FIELDS) if kind < 0.8 else f"... on {random.choice(CONDITIONS)}"
    return f"{opening} {_set(random, depth - 1)}"


def test_the_usual_is_plain() -> None:
    for text in (
        "{ cat { name } ...F } fragment F on Query { cat { name size ...G } } fragment G on Cat { name old(since: 1) }",
        "{ pet { ... on Cat { name } ... on Dog { name } } }",
        "{ cat { a: old(since: 1) b: old(since: 2) } cat { a: old(since: 1) } }",
    ):
        assert are_plainly_the_same(SCHEMA, parse(text)), text


def test_what_differs_is_left_to_graphql_core() -> None:
    for text in (
        "{ cat { name name: size } }",
        "{ pet { ... on Cat { size } ... on Dog { size } } }",
        "{ cat { old(since: 1) old(since: 2) } }",
        "{ cat { all { name } all @stream { name } } }",
        "{ cat { self { x: name } } ...F } fragment F on Query { cat { self { x: size } } }",
    ):
        assert not are_plainly_the_same(SCHEMA, parse(text)), text
