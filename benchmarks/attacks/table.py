"""Attacks: requests that want to cost more than they are worth, each with the answer that it must get.

Invariant: no two requests of one attack have the same text, so that no cache refuses them. Read by `benchmarks.attacks`, which
measures them, and by `tests/security`, which holds the answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.errors import BadUserInput, ParseFailed, PayloadTooLarge, RequestError, ValidationFailed

Body = Callable[[int], bytes]

INVALID, SYNTAX, MALFORMED = ValidationFailed.code, ParseFailed.code, RequestError.code
PAGE = "query Page%d($first: Int!) { products(first: $first) { id name pieces reviews(first: 5) { stars body } } }"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Attack:
    """`body`: of its nth request. `code`: of the first error; None: it is answered, and must be cheap."""

    name: str
    body: Body
    code: str | None
    status: int = 400


def honest(number: int) -> bytes:
    """A page that nobody has asked for yet: parsed, validated, executed."""
    return json.dumps({"query": PAGE % number, "variables": {"first": 10}}).encode()


def of_a_size(number: int) -> bytes:
    """The largest document that is taken, and all of it is honest: what it costs is what any document may."""
    fields = " ".join(f"f{at}: reviews {{ stars }}" for at in range(50)) + " id name pieces" * 520
    return _sent(f"query Large{number} {{ products(first: 1) {{ {fields} }} }}")


def of_many_values(number: int) -> bytes:
    """Variables as large as are taken, and honest."""
    variables = {"wanted": {"either": [{"name": "a", "pieces": 1, "either": None}] * 2_400}}
    query = f"query Many{number}($wanted: Wanted) {{ products(wanted: $wanted) {{ id }} }}"
    return json.dumps({"query": query, "variables": variables}).encode()


def of_many_bytes(number: int) -> bytes:
    """A body of nearly a MiB, and honest: a text with lines."""
    query = f"query Long{number}($wanted: Wanted) {{ products(wanted: $wanted) {{ id }} }}"
    return json.dumps({"query": query, "variables": {"wanted": {"name": "a\n" * 300_000}}}).encode()


def _sent(text: str) -> bytes:
    return json.dumps({"query": text}).encode()


def _document(write: Callable[[str], str]) -> Body:
    """`write` is given a name that is new each time."""
    return lambda number: _sent(write(f"A{number}"))


def _chain(name: str, levels: int, end: str) -> str:
    links = (f"fragment {name}{at} on Query {{ ...{name}{at + 1} ...{name}{at + 1} }}" for at in range(levels))
    return f"{{ ...{name}0 }} {' '.join(links)} fragment {name}{levels} on Query {{ {end} }}"


def _circle(name: str) -> str:
    links = (f"fragment {name}{at} on Query {{ ...{name}{(at + 1) % 50} }}" for at in range(50))
    return f"{{ ...{name}0 }} {' '.join(links)}"


def _each(count: int, write: Callable[[int], str]) -> str:
    return " ".join(map(write, range(count)))


def _variables(text: str) -> Body:
    """`text`: of the member, as it is written."""
    query = json.dumps("query V($wanted: Wanted) { products(wanted: $wanted) { id } }")
    return lambda number: f'{{"query": {query}, "operationName": "V", "variables": {text}}}'.encode()


def _raw(body: bytes) -> Body:
    return lambda _: body


ATTACKS: Iterable[Attack] = (
    Attack(
        "a thousand aliases", _document(lambda n: f"{{ {_each(600, lambda at: f'{n}_{at}: __typename')} }}"), INVALID
    ),
    Attack(
        "batching by aliases",
        _document(lambda n: f"{{ {_each(99, lambda at: f'{n}_{at}: products(first: 1) {{ id }}')} }}"),
        INVALID,
    ),
    Attack(
        "five thousand directives", _document(lambda n: f"{{ {n}: __typename {'@skip(if: true) ' * 5000} }}"), INVALID
    ),
    Attack("the same directive many times", _document(lambda n: f"{{ {n}: __typename {'@a ' * 90} }}"), INVALID),
    Attack("fragments in a circle", _document(_circle), INVALID),
    Attack("fragments that double", _document(lambda n: _chain(n, 100, "__typename")), INVALID),
    Attack("one field 1,900 times", _document(lambda n: f"query {n} {{ products {{ {'id ' * 1900} }} }}"), None, 200),
    Attack(
        "one field with 130 arguments",
        _document(
            lambda n: f"query {n} {{ products {{ {_each(130, lambda at: f'reviews(first: {at}) {{ stars }}')} }} }}"
        ),
        INVALID,
    ),
    Attack(
        "unknown fields", _document(lambda n: f"{{ products {{ {_each(1900, lambda at: f'{n}x{at}')} }} }}"), INVALID
    ),
    Attack("a token flood", _document(lambda n: f"query {n} {{ {'a ' * 20_000} }}"), SYNTAX),
    Attack("a MiB of comments", _document(lambda n: f"query {n} {{ __typename }}" + "#\n" * 300_000), INVALID),
    Attack("a string that never ends", _document(lambda n: f'query {n} {{ a(b: """' + '\n\\"""' * 9_000), SYNTAX),
    Attack("deep selections", _document(lambda n: f"query {n} " + "{ a" * 500 + "}" * 500), INVALID),
    Attack(
        "a deep list in the document",
        _document(lambda n: f"query {n} {{ products(wanted: {'[' * 40}{']' * 40}) {{ id }} }}"),
        INVALID,
    ),
    Attack(
        "a long list in the document",
        _document(lambda n: f"query {n} {{ products(wanted: {{either: [{'{} ' * 600}]}}) {{ id }} }}"),
        INVALID,
    ),
    Attack("a huge number", _document(lambda n: f"query {n} {{ products(first: {'9' * 40_000}) {{ id }} }}"), INVALID),
    Attack(
        "introspection in circles",
        _document(lambda n: f"query {n} {{ __schema {{ types {'{ fields { type ' * 5}{{ name }}{' } }' * 5} }} }}"),
        INVALID,
    ),
    Attack(
        "introspection 50 times",
        _document(
            lambda n: f"query {n} {{ {_each(49, lambda at: f'a{at}: __schema {{ types {{ fields {{ name }} }} }}')} }}"
        ),
        INVALID,
    ),
    Attack("deep variables", _variables('{"wanted": ' + '{"either": [' * 200 + "]}" * 200 + "}"), MALFORMED),
    Attack("deeper than JSON is read", _variables("[" * 100_000), MALFORMED),
    Attack("350,000 empty lists", _variables('{"wanted": [' + "[]," * 340_000 + "1]}"), MALFORMED),
    Attack("NaN", _variables('{"wanted": {"pieces": NaN}}'), MALFORMED),
    Attack("an infinite number", _variables('{"wanted": {"pieces": 1e999}}'), MALFORMED),
    Attack("a number of 100,000 digits", _variables('{"wanted": {"pieces": %s}}' % ("9" * 100_000)), MALFORMED),
    Attack("an integer beyond 64 bits", _variables('{"wanted": {"pieces": 36893488147419103232}}'), BadUserInput.code),
    Attack("a member that stands twice", _variables('{"wanted": {"pieces": 1, "pieces": 2}}'), MALFORMED),
    Attack(
        "9,000 members and one twice",
        _variables("{" + "".join(f'"a{at}": 1,' for at in range(9_000)) + '"a1": 1}'),
        MALFORMED,
    ),
    Attack("no UTF-8", _raw(b'{"query": "{ \xff }"}'), MALFORMED),
    Attack("half a surrogate pair", _raw(b'{"query": "{ \\ud800 }"}'), MALFORMED),
    Attack("a body of 5 MB", _raw(b'{"query": "' + b"a" * 5_000_000 + b'"}'), PayloadTooLarge.code, 413),
    Attack("a batch of operations", _raw(json.dumps([{"query": "{ __typename }"}] * 100).encode()), MALFORMED),
    Attack(
        "a hostile string through compiled code",
        lambda number: json.dumps(
            {
                "query": f"query H{number}($wanted: Wanted) {{ products(wanted: $wanted) {{ id }} }}",
                "variables": {"wanted": {"name": "'\"\\\n\u0000{{}}%s__import__('os')" * 100}},
            }
        ).encode(),
        None,
        200,
    ),
)
