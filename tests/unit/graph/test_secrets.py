"""`Secret[str]` in inputs: a String for clients, a Secret for whoever resolves; rules hold as for any text."""

from typing import Annotated, Any

import pytest
import strawberry

from gateway import Length, Secret, entity, field, input_type, resolver
from gateway.graph import build_graph
from gateway.graph.rules import check_for


@input_type
class Inner:
    """A part."""

    pin: Annotated[Secret[str], Length(4, 4)] = field("Four digits.")


@input_type
class SignIn:
    """Who it is."""

    name: str = field("Who.")
    password: "Annotated[Secret[str], Length(1, 9)]" = field("The password.")
    spare: list[Secret[str]] | None = field("Others.", default=None)
    inner: Inner | None = field("More.", default=None)


@entity
class Query:
    """The root."""

    @resolver
    def sign_in(self, who: SignIn) -> str:
        """Tells what a resolver is handed."""
        spare = [each.reveal() for each in who.spare or ()]
        return f"{who.password!r} {who.password.reveal()} {spare} {who.inner}"


GRAPH = build_graph(Query)


def test_clients_see_strings_and_their_rules() -> None:
    assert "password: String! @constraint(minLength: 1, maxLength: 9)" in GRAPH.sdl
    assert "spare: [String!] = null" in GRAPH.sdl
    assert "Secret" not in GRAPH.sdl


def test_an_input_made_of_texts_holds_secrets_however_deep() -> None:
    made: Any = SignIn(name="ann", password="tok", spare=["a"], inner=Inner(pin="1234"))  # type: ignore[arg-type, list-item]
    assert (made.password, made.spare, made.inner.pin) == (Secret("tok"), [Secret("a")], Secret("1234"))
    assert "tok" not in repr(made)
    assert SignIn(name="ann", password=Secret("tok")).password == Secret("tok")


def test_rules_are_checked_on_what_is_inside_and_do_not_tell_it() -> None:
    check = check_for(SignIn)
    assert check is not None
    broken = SignIn(name="ann", password=Secret("x" * 10), inner=Inner(pin=Secret("12345")))
    found = list(check(broken, ("who",)))
    assert [violation.path for violation in found] == [("who", "password"), ("who", "inner", "pin")]
    assert "12345" not in str(found)


@pytest.mark.parametrize("annotation", [Secret[int], Secret, dict[str, Secret[str]]], ids=str)
def test_what_is_no_text_cannot_be_a_clients_secret(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"write Secret\[str\]"):
        input_type(type("Odd", (), {"__annotations__": {"token": annotation}, "__module__": __name__}))


def test_an_own_post_init_sees_secrets() -> None:
    seen: list[Any] = []

    @input_type
    class Own:
        """With a check of its own."""

        token: Secret[str]

        def __post_init__(self) -> None:
            seen.append(self.token)

    Own(token=Secret("tok"))
    Own(token="tok")  # type: ignore[arg-type]
    assert seen == [Secret("tok"), Secret("tok")]


def test_an_output_cannot_hold_a_secret() -> None:
    with pytest.raises(ValueError, match="Secret"):

        @strawberry.type
        class Leak:
            token: Secret[str]
