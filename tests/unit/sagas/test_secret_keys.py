"""Keys of the settings and data keys of sagas: what opens what, and what nobody can open."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sagas import KeyRing, new_secret_key
from gateway.sagas.secret_keys import SecretKeyUnknown
from gateway.sagas.vault import Vault

OLD, NEW = new_secret_key(), new_secret_key()
KEY = bytes(range(32))


def sealed_in(vault: Vault) -> str:
    return str(vault.of_step("payment").seal(("card", 0), "tok"))


def test_a_seal_opens_where_it_was_made() -> None:
    vault = Vault("s1", KEY)
    assert vault.of_step("payment").unseal(("card", 0), sealed_in(vault)) == b'"tok"'


@pytest.mark.parametrize(
    ("saga_id", "step", "path"),
    [
        ("s2", "payment", ("card", 0)),
        ("s1", "refund", ("card", 0)),
        ("s1", "payment", ("card", 1)),
        ("s1", "payment", ("card", "0")),
    ],
    ids=["another saga", "another step", "another place", "a name for a number"],
)
def test_a_seal_opens_nowhere_else(saga_id: str, step: str, path: tuple[str | int, ...]) -> None:
    with pytest.raises(ValueError, match="stands where it was not put"):
        Vault(saga_id, KEY).of_step(step).unseal(path, sealed_in(Vault("s1", KEY)))


def test_a_step_named_input_is_not_the_input() -> None:
    vault = Vault("s1", KEY)
    with pytest.raises(ValueError, match="was not put"):
        vault.of_input().unseal(("a",), str(vault.of_step("input").seal(("a",), "tok")))


@given(st.data())
def test_a_seal_that_was_changed_in_any_bit_does_not_open(data: st.DataObject) -> None:
    vault = Vault("s1", KEY)
    seal = bytearray(sealed_in(vault).encode())
    at = data.draw(st.integers(0, len(seal) - 1))
    seal[at] ^= 1 << data.draw(st.integers(0, 6))
    try:
        opened = vault.of_step("payment").unseal(("card", 0), seal.decode())
    except ValueError:
        return
    assert opened == b'"tok"', "base64 may be written in two ways, and means the same"


def test_two_seals_of_one_text_have_nothing_in_common() -> None:
    vault = Vault("s1", KEY)
    assert sealed_in(vault) != sealed_in(vault)


# -- the keys of the settings ------------------------------------------------------------------------------------------


def test_a_data_key_is_wrapped_and_unwrapped() -> None:
    vault, wrapped = KeyRing(NEW).new_vault("s1")
    assert KeyRing(NEW).vault("s1", wrapped).of_step("payment").unseal(("card", 0), sealed_in(vault)) == b'"tok"'


def test_after_a_rotation_old_data_keys_open_and_new_ones_are_wrapped_under_the_new_key() -> None:
    _, wrapped = KeyRing(OLD).new_vault("s1")
    rotated = KeyRing(NEW, old=[OLD])
    rotated.vault("s1", wrapped)
    assert (rotated.knows(wrapped), KeyRing(NEW).knows(wrapped)) == (True, False)
    assert KeyRing(NEW).knows(rotated.new_vault("s2")[1])


def test_an_unknown_key_is_told_with_its_remedy() -> None:
    _, wrapped = KeyRing(OLD).new_vault("s1")
    with pytest.raises(SecretKeyUnknown, match="old_secret_keys"):
        KeyRing(NEW).vault("s1", wrapped)


def test_a_data_key_is_of_one_saga() -> None:
    ring = KeyRing(NEW)
    with pytest.raises(ValueError, match="s2 is damaged"):
        ring.vault("s2", ring.new_vault("s1")[1])


def test_an_input_has_a_fingerprint_under_each_key_and_they_differ() -> None:
    rotated = KeyRing(NEW, old=[OLD]).fingerprints(b"input")
    assert rotated == [*KeyRing(NEW).fingerprints(b"input"), *KeyRing(OLD).fingerprints(b"input")]
    assert len({*rotated, *KeyRing(NEW).fingerprints(b"other")}) == 3


@pytest.mark.parametrize(
    "text", ["", "short", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode(), "ä" * 44]
)
def test_what_is_no_key_is_refused_with_the_command_that_makes_one_and_not_told(text: str) -> None:
    with pytest.raises(ValueError, match="new-key secret") as raised:
        KeyRing(text)
    assert not text or text not in str(raised.value)


def test_a_key_may_be_written_in_either_alphabet_and_shows_nothing() -> None:
    key = base64.b64encode(b"\xff" * 32).decode()
    urlsafe = KeyRing(key.replace("/", "_").replace("+", "-"))
    assert urlsafe.fingerprints(b"x") == KeyRing(f"{key}\n").fingerprints(b"x")
    assert key not in repr(urlsafe)
