"""How limits of clients are written: what a class inherits, and what is refused with a remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.identity import ANONYMOUS, Identity
from gateway.settings import LimitSettings, Settings


def limits(**given: Any) -> LimitSettings:
    return LimitSettings.model_validate(given)


def rate_of(settings: LimitSettings, identity: Identity) -> tuple[str, float, int] | None:
    found = settings.client_classes.of(identity).rate
    return None if found is None else (found.name, found.rate, found.burst)


CARL = Identity("acme", "carl", frozenset({"partner"}))


def test_nothing_is_limited_unless_it_is_said() -> None:
    assert not Settings().limits.client_classes.are_limits


def test_a_burst_is_ten_seconds_of_the_rate_unless_it_is_said() -> None:
    assert rate_of(limits(rate=25), CARL) == ("default", 25.0, 250)
    assert rate_of(limits(rate=0.05), CARL) == ("default", 0.05, 1)
    assert rate_of(limits(rate=25, burst=30), CARL) == ("default", 25.0, 30)


def test_a_class_has_what_it_says_and_the_rest_as_everybody() -> None:
    found = limits(
        rate=10,
        burst=50,
        concurrent_operations=4,
        subscriptions=3,
        classes={
            "partner": {"scope": "partner", "rate": 100},
            "anonymous": {"burst": 5, "subscriptions": 1},
            "ours": {"tenant": "us", "limited": False},
        },
    )
    assert rate_of(found, CARL) == ("partner", 100.0, 1_000), "a rate of its own brings a burst of its own"
    assert rate_of(found, ANONYMOUS) == ("anonymous", 10.0, 5)
    assert rate_of(found, Identity("us", "anybody")) is None
    of = found.client_classes.of
    assert [(each.operations, each.subscriptions) for each in map(of, (CARL, ANONYMOUS, Identity("us", "x")))] == [
        (4, 3),
        (4, 1),
        (None, None),
    ]


def test_the_first_class_in_the_file_that_fits_is_the_caller_s() -> None:
    classes = {"carl": {"tenant": "acme", "subject": "carl", "rate": 1}, "partner": {"scope": "partner", "rate": 2}}
    assert rate_of(limits(classes=classes), CARL) == ("carl", 1.0, 10)
    assert rate_of(limits(classes=dict(reversed(classes.items()))), CARL) == ("partner", 2.0, 20)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"rate": 0}, "greater than 0"),
        ({"rate": float("nan")}, "finite"),
        ({"burst": 0, "rate": 1}, "greater than or equal to 1"),
        ({"rate": 0.001, "burst": 1_000}, "a higher rate or a smaller burst"),
        ({"classes": {"slow": {"scope": "s", "rate": 0.001, "burst": 1_000}}}, "a higher rate or a smaller burst"),
        ({"burst": 10}, "burst is given, and nothing has a rate"),
        ({"concurrent_operations": 0}, "greater than or equal to 1"),
        ({"subscriptions": 0}, "greater than or equal to 1"),
        ({"when_unreachable": "ajar"}, "'open' or 'closed'"),
        ({"shared": True}, "nothing has a rate"),
        ({"shared": True, "subscriptions": 1}, "nothing has a rate"),
        ({"classes": {"nobody": {"rate": 1}}}, "give it a scope, a tenant or a subject"),
        ({"classes": {"default": {"scope": "s", "rate": 1}}}, r"write it into \[limits\] itself"),
        ({"classes": {"anonymous": {"scope": "s", "rate": 1}}}, "callers without credentials"),
        ({"classes": {"Not a label": {"scope": "s"}}}, "pattern"),
        ({"classes": {"free": {"scope": "s", "limited": False, "rate": 1}}}, "limited is off, and it has limits"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(given: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValidationError, match=remedy):
        limits(**given)


def test_shared_rates_need_a_store() -> None:
    with pytest.raises(ValidationError, match=r"shared\.url names no store"):
        Settings.model_validate({"limits": {"rate": 1, "shared": True}})
    Settings.model_validate(
        {"limits": {"rate": 1, "shared": True}, "shared": {"url": SecretStr("redis://127.0.0.1:1")}}
    )
