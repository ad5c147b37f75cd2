"""Settings of a service: plain values that a settings library can fill, and that refuse the impossible."""

import pytest
from pydantic import BaseModel, ValidationError

from gateway.services import ServiceConfig


class Tree(BaseModel):
    services: dict[str, ServiceConfig]


def test_a_settings_tree_can_hold_it() -> None:
    values = {
        "instances": ["http://catalog:8000"],
        "attempt_timeout": 1,
        "retry": {"attempts": 2},
        "breaker": {"consecutive": 5},
        "bulkhead": {"limit": 8},
        "send_headers": ["x-tenant"],
    }
    config = Tree.model_validate({"services": {"catalog": values}}).services["catalog"]
    assert (config.retry.attempts, config.breaker.consecutive, config.bulkhead.longest_queue) == (2, 5, 16)
    assert (config.attempt_timeout, config.send_headers) == (1.0, ("x-tenant",))


@pytest.mark.parametrize(
    "values", [{"retries": 3}, {"retry": {"attemps": 3}}, {"breaker": {"x": 1}}, {"bulkhead": {"x": 1}}]
)
def test_an_unknown_key_is_refused_at_every_level(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Tree.model_validate({"services": {"catalog": {"instances": ["http://catalog"], **values}}})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "catalog:8000",
        "ftp://catalog",
        "http://",
        "http://me:secret@catalog",
        "http://catalog?x=1",
        "http://c#x",
        "http://catalog:99999",
        "http://catalog:0",
        "http://catalog:http",
        "http://[::1",
        "http://bücher.example",
        "http://cata log",
        "http://catalog/a b",
        "http://" + "a" * 64 + ".example",
    ],
)
def test_only_an_address_is_an_address_and_it_is_not_repeated_in_the_error(url: str) -> None:
    with pytest.raises(ValueError, match="url") as caught:
        ServiceConfig(instances=(url,))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("field", ["attempt_timeout", "connect_timeout", "max_response"])
def test_a_limit_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        ServiceConfig(instances=("http://catalog",), **{field: 0})  # type: ignore[arg-type]


def test_certificates_that_are_not_there_are_told_when_built() -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        ServiceConfig(instances=("https://catalog",), ca_file="/nowhere/ca.pem")


@pytest.mark.parametrize(
    "url", ["http://[::1]:8000/api", "https://xn--bcher-kva.example", "http://10.0.0.1", "http://a_b:1"]
)
def test_an_address_may_be_of_any_family_and_have_a_path(url: str) -> None:
    assert ServiceConfig(instances=(url,)).instances == (url,)
