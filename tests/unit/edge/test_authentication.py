"""Static tokens: known, unknown, absent; and that they show nothing."""

from __future__ import annotations

import pytest

from gateway.edge import StaticTokens, hashed
from gateway.errors import Unauthenticated
from gateway.identity import ANONYMOUS, Identity

ANN = Identity("acme", "ann", frozenset({"customer"}))
TOKENS = StaticTokens({hashed("s3cret"): ANN})


@pytest.mark.parametrize("header", ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "])
async def test_a_known_token_is_its_identity(header: str) -> None:
    assert await TOKENS.authenticate({"authorization": header}) == ANN


async def test_no_header_is_the_anonymous_caller() -> None:
    assert await TOKENS.authenticate({}) is ANONYMOUS


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "s3cret", "Basic s3cret", "Bearer S3CRET", "Bearer s3cret x"]
)
async def test_credentials_that_are_not_valid_are_never_taken_for_none(header: str) -> None:
    with pytest.raises(Unauthenticated):
        await TOKENS.authenticate({"authorization": header})


def test_neither_repr_nor_memory_shows_a_token() -> None:
    assert repr(TOKENS) == "<StaticTokens 1 known>"
    assert "s3cret" not in str(vars(TOKENS))
