"""Access rules: who may have a field, read a type's objects, or begin a saga, as values that are combined with `|` and `&`.

    allow=scope("support") | own(lambda order, identity: order.customer_key == identity.subject)

A rule has three answers: yes and no, where the caller decides it, and "ask the parent". Of a type the parent is the object itself.
Invariants: what a rule says of a caller without the parent holds for every parent; so whoever is refused by that is refused before
anything is asked for the field.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any, Generic, Literal, NamedTuple, TypeVar, overload

from ..errors import Forbidden, RequestError, Unauthenticated
from ..identity import Identity

P = TypeVar("P", contravariant=True)
Q = TypeVar("Q")

Allow = Callable[[Any, Identity], bool]
"""The parent object and the caller -> whether the caller may have the field. An `AccessRule` is one; so is a plain function."""


class Term(NamedTuple):
    """What a rule is made of, as the schema names it."""

    kind: Literal["authenticated", "scope", "policy"]
    name: str


Ways = tuple[tuple[Term, ...], ...]
"""One of these will do; of it all."""
Needs = tuple[Ways, ...]
"""Each of these is needed."""


def _never(_: Identity) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class AccessRule(Generic[P]):
    """Whether a caller may. It is itself a function of the parent and the caller."""

    known: Callable[[Identity], bool | None]
    """What the caller alone decides; None: the parent is asked."""
    asks: Callable[[P, Identity], bool]
    """The whole answer, with the parent."""
    text: str
    """As `sagaql explain` shows it."""
    is_choice: bool = False
    """Whether it needs brackets inside an `and`."""
    needs: Needs = ()
    """The same for the schema. Empty where nothing is known of it but that it asks the parent."""
    refuses_alone: bool = True
    """Whether it may refuse a caller without the parent; a plain function never does."""
    stops: Callable[[Identity], bool] = _never
    """Whether an operation that asks for what it guards is refused as a whole to the caller."""

    def __call__(self, parent: P, identity: Identity) -> bool:
        said = self.known(identity)
        return lets(self.asks, parent, identity) if said is None else said

    @property
    def asks_parent(self) -> bool:
        """Whether the caller alone may not be enough for it."""
        return not self.needs or any(term.kind == "policy" for term in _terms(self.needs))

    @property
    def may_stop(self) -> bool:
        """Whether a whole operation may be refused for its sake."""
        return self.stops is not _never

    def rejects(self) -> AccessRule[P]:
        """The same, and whoever it refuses without asking the parent is refused the whole operation, before anything is called."""

        def stops(identity: Identity) -> bool:
            return self.known(identity) is False

        return replace(self, stops=stops, text=f"{self.text}, or nothing at all")

    @overload
    def __or__(self, other: Callable[[P, Identity], bool]) -> AccessRule[P]: ...
    @overload
    def __or__(self: AccessRule[object], other: Callable[[Q, Identity], bool]) -> AccessRule[Q]: ...
    def __or__(self, other: Callable[[Any, Identity], bool]) -> AccessRule[Any]:
        """Whoever one of them lets."""
        one: AccessRule[Any] = self
        two = rule_of(other)

        def known(identity: Identity) -> bool | None:
            said = one.known(identity), two.known(identity)
            return True if True in said else None if None in said else False

        def asks(parent: Any, identity: Identity) -> bool:
            return one(parent, identity) or two(parent, identity)

        def stops(identity: Identity) -> bool:
            return known(identity) is False and (one.stops(identity) or two.stops(identity))

        return AccessRule(
            known,
            asks,
            f"{one.text} or {two.text}",
            is_choice=True,
            needs=(_ways(one.needs) + _ways(two.needs),) if one.needs and two.needs else (),
            refuses_alone=one.refuses_alone and two.refuses_alone,
            stops=stops if one.may_stop or two.may_stop else _never,
        )

    @overload
    def __and__(self, other: Callable[[P, Identity], bool]) -> AccessRule[P]: ...
    @overload
    def __and__(self: AccessRule[object], other: Callable[[Q, Identity], bool]) -> AccessRule[Q]: ...
    def __and__(self, other: Callable[[Any, Identity], bool]) -> AccessRule[Any]:
        """Whoever both of them let."""
        one: AccessRule[Any] = self
        two = rule_of(other)

        def known(identity: Identity) -> bool | None:
            said = one.known(identity), two.known(identity)
            return False if False in said else None if None in said else True

        def asks(parent: Any, identity: Identity) -> bool:
            return one(parent, identity) and two(parent, identity)

        def stops(identity: Identity) -> bool:
            return one.stops(identity) or two.stops(identity)

        return AccessRule(
            known,
            asks,
            f"{_bracketed(one)} and {_bracketed(two)}",
            needs=one.needs + two.needs if one.needs and two.needs else (),
            refuses_alone=one.refuses_alone or two.refuses_alone,
            stops=stops if one.may_stop or two.may_stop else _never,
        )

    def __str__(self) -> str:
        return self.text


def _is_known(identity: Identity) -> bool:
    return not identity.is_anonymous


def _needs(kind: Literal["authenticated", "scope", "policy"], name: str) -> Needs:
    return (((Term(kind, name),),),)


authenticated: AccessRule[object] = AccessRule(
    _is_known, lambda _, identity: _is_known(identity), "authenticated", needs=_needs("authenticated", "authenticated")
)
"""Every caller who is known."""


def scope(name: str) -> AccessRule[object]:
    """Callers whose token has the scope."""
    return AccessRule(
        lambda identity: identity.has(name),
        lambda _, identity: identity.has(name),
        f"scope {name}",
        needs=_needs("scope", name),
    )


def own(predicate: Callable[[Q, Identity], bool]) -> AccessRule[Q]:
    """Callers to whom the parent belongs, as `predicate` says. An anonymous caller owns nothing, and it is not asked."""
    _ensure_at_once(predicate)
    return AccessRule(
        lambda identity: False if identity.is_anonymous else None,
        predicate,
        f"own {_named(predicate)}",
        needs=_needs("policy", _policy(predicate)),
    )


def rule_of(allow: Callable[[Q, Identity], bool]) -> AccessRule[Q]:
    """A plain function as a rule, which always asks the parent."""
    if isinstance(allow, AccessRule):
        return allow
    _ensure_at_once(allow)
    return AccessRule(lambda _: None, allow, _named(allow), needs=_needs("policy", _policy(allow)), refuses_alone=False)


def lets(allow: Callable[[Q, Identity], bool], parent: Q, identity: Identity) -> bool:
    """What a rule or a function says of the parent. Raises: TypeError for an answer that has to be awaited, which says nothing."""
    said: object = allow(parent, identity)
    if said is True or said is False:
        return said
    if inspect.isawaitable(said):
        if inspect.iscoroutine(said):
            said.close()
        raise TypeError(
            f"{_named(allow)} gives an awaitable, and an access rule answers at once: load what it needs before"
        )
    return bool(said)


def open_for(allow: Allow | None, identity: Identity) -> bool:
    """Whether the caller may have the field of every parent, so that nobody asks each of them."""
    return allow is None or (isinstance(allow, AccessRule) and allow.known(identity) is True)


def closed_for(allow: Allow | None, identity: Identity) -> bool:
    """Whether the caller may have the field of no parent, so that none is needed to refuse."""
    return isinstance(allow, AccessRule) and allow.known(identity) is False


def told(allow: Allow | None) -> str | None:
    """The rule in words, for an explanation."""
    return None if allow is None else rule_of(allow).text


def refusal(identity: Identity, asked: Literal["field", "object", "mutation"] = "field") -> RequestError:
    """What a caller is told who may not have what was asked for."""
    to_do = f"begin this {asked}" if asked == "mutation" else f"read this {asked}"
    if identity.is_anonymous:
        return Unauthenticated(f'sign in to {to_do}: send a header "Authorization: Bearer …" with your token')
    return Forbidden(f"this {asked} is not yours to {to_do.split()[0]}")


def _ways(needs: Needs) -> Ways:
    """All that is needed as one choice."""
    return tuple(tuple(dict.fromkeys(chain.from_iterable(each))) for each in product(*needs))


def _terms(needs: Needs) -> list[Term]:
    return [term for ways in needs for way in ways for term in way]


def _named(predicate: Callable[..., Any]) -> str:
    return str(getattr(predicate, "__name__", predicate))


def _policy(predicate: Callable[..., Any]) -> str:
    """What the schema calls it. A function without a name of its own is somebody's ownership, and no more is told."""
    name = getattr(predicate, "__name__", "own")
    return name if name.isidentifier() else "own"


def _ensure_at_once(predicate: Callable[..., Any]) -> None:
    """Raises: TypeError for a predicate that has to be awaited: taken for an answer, what it gives would let everybody."""
    if inspect.iscoroutinefunction(predicate) or inspect.iscoroutinefunction(getattr(predicate, "__call__", None)):  # noqa: B004 - whether it is one, not whether it can be called
        raise TypeError(
            f"{_named(predicate)} is declared with async def, and an access rule answers at once: load what it needs"
        )


def _bracketed(rule: AccessRule[Any]) -> str:
    return f"({rule.text})" if rule.is_choice else rule.text
