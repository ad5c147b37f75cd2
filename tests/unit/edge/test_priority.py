"""How important an operation is: said by the client, limited by its scopes, told to the services."""

import pytest

from gateway.edge.requests import allowed_priority
from gateway.errors import RequestError
from gateway.services import Priority
from gateway.testing import ScriptedWire, in_virtual_time
from tests.unit.graph.shop import STAFF, inventory_answers, shop

QUERY = '{ products(keys: ["a"]) { stock { quantity } } }'


@pytest.mark.parametrize(
    ("header", "may_be_critical", "priority"),
    [
        (None, True, Priority.NORMAL),
        ("normal", False, Priority.NORMAL),
        ("sheddable", False, Priority.SHEDDABLE),
        (" Critical ", True, Priority.CRITICAL),
        ("critical", False, Priority.NORMAL),
    ],
)
def test_a_client_may_lower_itself_and_needs_a_scope_to_raise_itself(
    header: str | None, may_be_critical: bool, priority: Priority
) -> None:
    assert allowed_priority(header, may_be_critical=may_be_critical) is priority


def test_a_word_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(RequestError, match="sheddable, normal, critical"):
        allowed_priority("urgent", may_be_critical=True)


@pytest.mark.parametrize(("scope", "priority"), [("staff", Priority.CRITICAL), ("critical", Priority.NORMAL)])
@in_virtual_time
async def test_it_travels_with_every_call_of_the_operation(scope: str, priority: Priority) -> None:
    wire = ScriptedWire(otherwise=inventory_answers)
    async with shop(wires={"inventory": wire}, operation={"critical_scope": scope}) as gateway:
        found = await gateway.execute(QUERY, headers={**STAFF, "x-request-priority": "critical"})
    assert found.errors == []
    assert {request.priority for request in wire.requests} == {priority}
