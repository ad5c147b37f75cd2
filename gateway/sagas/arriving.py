"""What comes from outside as JSON, a signal's payload or an operator's result, before the journal has it.

Invariant: what the journal takes decodes as the type that the saga's author wrote; what is unknown is dropped, secrets are sealed.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from .codec import OPENLY, Codec
from .definition import Definition
from .events import Event, OperatorResolved, SignalReceived
from .mistakes import shown
from .operating import Refused
from .vault import Vault


def admitted(event: Event, definition: Definition, *, codec: Codec, vault: Vault | None) -> Event | Refused:
    """`event` with its value as the journal shall hold it; Refused, with what does not fit."""
    match event:
        case SignalReceived(step=step, payload=payload):
            stored = recoded(payload, definition, step=step, codec=codec, vault=vault)
            return stored if isinstance(stored, Refused) else replace(event, payload=stored)
        case OperatorResolved(step=step, verdict="done", result=msgspec.Raw() as result):
            stored = recoded(result, definition, step=step, codec=codec, vault=vault)
            return stored if isinstance(stored, Refused) else replace(event, result=stored)
        case _:
            return event


def recoded(
    value: msgspec.Raw, definition: Definition, *, step: str, codec: Codec, vault: Vault | None
) -> msgspec.Raw | Refused:
    """Decode what `step` yields from plain JSON, strictly, and encode it anew."""
    into = definition.bindings[step].yields
    try:
        decoded = codec.decode(value, into, place=OPENLY)
    except msgspec.MsgspecError as error:  # tells of types and places, never of values
        return Refused(f"{step} yields {shown(into)}, and this is none: {error}")
    return msgspec.Raw(codec.encode(decoded, place=None if vault is None else vault.of_step(step)))
