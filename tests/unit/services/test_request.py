"""Which requests may be sent twice."""

import pytest
from msgspec.structs import replace

from .calling import ORDER, STOCK


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_may_be_sent_twice(method: str) -> None:
    assert replace(STOCK, method=method).is_retryable


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_may_be_sent_twice_only_under_a_key(method: str) -> None:
    assert not replace(ORDER, method=method).is_retryable
    assert replace(ORDER, method=method, idempotency_key="k").is_retryable


def test_a_read_that_needs_a_body_may_be_sent_twice() -> None:
    assert replace(ORDER, is_read=True).is_retryable
