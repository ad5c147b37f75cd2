"""Access rules: who may have a field, or begin a saga, as values that are combined with `|` and `&`.

    allow=scope("support") | own(lambda order, identity: order.customer_key == identity.subject)

A rule has three answers: yes and no, where the caller decides it, and "ask the parent". Invariants: what a rule says of a caller
without the parent holds for every parent; so whoever is refused by that is refused before anything is asked for the field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, overload

from ..errors import Forbidden, RequestError, Unauthenticated
from ..identity import Identity

P = TypeVar("P", contravariant=True)
Q = TypeVar("Q")

Allow = Callable[[Any, Identity], bool]
"""The parent object and the caller -> whether the caller may have the field. An `AccessRule` is one; so is a plain function."""


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

    def __call__(self, parent: P, identity: Identity) -> bool:
        said = self.known(identity)
        return self.asks(parent, identity) if said is None else said

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

        return AccessRule(known, asks, f"{one.text} or {two.text}", is_choice=True)

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

        return AccessRule(known, asks, f"{_bracketed(one)} and {_bracketed(two)}")

    def __str__(self) -> str:
        return self.text


def _is_known(identity: Identity) -> bool:
    return not identity.is_anonymous


authenticated: AccessRule[object] = AccessRule(_is_known, lambda _, identity: _is_known(identity), "authenticated")
"""Every caller who is known."""


def scope(name: str) -> AccessRule[object]:
    """Callers whose token has the scope."""
    return AccessRule(lambda identity: identity.has(name), lambda _, identity: identity.has(name), f"scope {name}")


def own(predicate: Callable[[Q, Identity], bool]) -> AccessRule[Q]:
    """Callers to whom the parent belongs, as `predicate` says. An anonymous caller owns nothing, and it is not asked."""
    return AccessRule(lambda identity: False if identity.is_anonymous else None, predicate, f"own {_named(predicate)}")


def rule_of(allow: Callable[[Q, Identity], bool]) -> AccessRule[Q]:
    """A plain function as a rule, which always asks the parent."""
    return allow if isinstance(allow, AccessRule) else AccessRule(lambda _: None, allow, _named(allow))


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


def _named(predicate: Callable[..., Any]) -> str:
    return str(getattr(predicate, "__name__", predicate))


def _bracketed(rule: AccessRule[Any]) -> str:
    return f"({rule.text})" if rule.is_choice else rule.text
