"""URLs of shared stores: what is read of them, and that no refusal repeats a password."""

from __future__ import annotations

import pytest

from gateway.shared import StoreAddress, address_of

SECRET = "hunter2"


def test_everything_but_the_host_may_be_left_out() -> None:
    assert address_of("redis://store") == StoreAddress(host="store", port=6379, database=0)
    assert address_of("rediss://u:p%2Fw@store:7000/3") == StoreAddress(
        host="store", port=7000, database=3, user="u", password="p/w", is_encrypted=True
    )
    assert address_of(f"redis://:{SECRET}@[::1]").password == SECRET


def test_it_is_shown_without_user_and_password() -> None:
    address = address_of(f"rediss://me:{SECRET}@[::1]:7000/3")
    assert str(address) == "rediss://[::1]:7000/3"
    assert SECRET not in repr(address)


@pytest.mark.parametrize(
    ("url", "because"),
    [
        (f"http://u:{SECRET}@store", "scheme is 'http'"),
        (f"valkey://u:{SECRET}@store", "Valkey speaks the same"),
        ("store:6379", "scheme is 'store'"),
        ("", "scheme is ''"),
        (f"redis://u:{SECRET}@", "no host"),
        (f"redis://u:{SECRET}@store:0x1", "port is none"),
        (f"redis://u:{SECRET}/more@store", "%2F"),
        (f"redis://u:{SECRET}@[::1", "no URL"),
        (f"redis://u:{SECRET}@store/one", "database is no number"),
        (f"rediss://u:{SECRET}@store?ssl_cert_reqs=none", "parameters"),
        (f"redis://u:{SECRET}@store#1", "parameters"),
    ],
)
def test_what_is_no_address_is_refused_with_a_remedy_and_without_the_password(url: str, because: str) -> None:
    with pytest.raises(ValueError, match=because) as caught:
        address_of(url)
    assert "redis://user:password@host" in str(caught.value)
    assert SECRET not in str(caught.value)
