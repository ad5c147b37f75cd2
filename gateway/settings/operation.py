"""The bounds of one operation, and how it is executed."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from ..clock import Seconds
from ..execution.bounds import Bounds
from ..execution.costing import CostMode
from .concern import AsWritten, Concern, LongerThanZero, OptionalPath, OptionalScope, Positive, Scope, Size

_SHORTEST_KEY = 32
"""Characters: half of what SHA-256 is wide, in hexadecimal."""


class OperationSettings(Concern):
    """The bounds of one operation."""

    query_deadline: LongerThanZero = Seconds(10.0)
    """Seconds from the request's arrival to its answer, all calls, retries and waits included."""
    mutation_deadline: LongerThanZero = Seconds(15.0)
    """The same for a mutation. A saga that is not done by then goes on, and the client is told its id."""
    max_deadline: Annotated[LongerThanZero, Field(validate_default=True)] = Seconds(60.0)
    """The most that a client's own deadline header may ask for."""
    critical_scope: Scope = "critical"
    """The scope without which a client's X-Request-Priority: critical is taken as normal: else everybody is critical."""
    explain_scope: OptionalScope = "explain"
    """The scope without which `extensions: {explain: true}` in a request is refused: the answer tells what services are called.
    "": whoever asks is told, as profile dev has it."""
    game_day_key: SecretStr | None = None
    """What headers with faults (X-SagaQL-Faults) are signed with: 32 characters or more. None: such headers are refused."""
    max_tokens: Positive = 2_000
    """Tokens of a document. 2 000: twice the largest one written by hand; parsing and validating cost some 20 µs a token. Trusted
    documents, which build tools write, have no bounds, neither this nor `bounds`."""
    bounds: Annotated[Bounds, AsWritten()] = Bounds()
    """What a document may have: [operation.bounds]."""
    cost: CostMode | None = None
    """Whether what operations cost is estimated before they run: "measure" counts it, and what they really took
    (`sagaql_operation_cost`); "enforce" also refuses what costs more than `max_cost`. None: only where a client asks
    (`extensions: {cost: true}`), and nothing is refused."""
    max_cost: Positive | None = None
    """What an operation may be estimated to cost: 10 for a call to a service, 1 for an object, and what its fields are declared to
    cost. More is OPERATION_TOO_EXPENSIVE. None: no bound; it depends on the graph, so measure before you set it."""
    introspection: bool = True
    """Whether clients may ask for the schema. Off: `__schema` and `__type` are FORBIDDEN, but in trusted documents, and errors
    suggest nothing. On: what is served is no secret by its name, and IDEs and build tools need it."""
    introspection_scope: OptionalScope = None
    """The scope with which a caller may ask for the schema although `introspection` is off, such as developers' and build tools'.
    None: then nobody may."""
    suggestions: bool = True
    """Whether errors in a document name what was perhaps meant. On: they help whoever writes one, and tell no
    more than introspection. Profile production has both off."""
    documents: Positive = 1_000
    """Parsed and validated documents kept; one of more than 500 characters counts as several. 1 000: more than a client
    application has, and at most some 120 MB."""
    trusted: OptionalPath = None
    """Documents that your own clients send: a folder of .graphql files, or a manifest of texts by id (.json, as clients' build
    tools write it), relative to gateway.toml. They are checked and compiled at the start, which fails if one does not fit the
    graph, kept however many others are sent, and may be asked for by id (`documentId`). "": there are none."""
    trusted_only: bool = False
    """Whether nothing but the trusted documents is served, whoever asks."""
    persisted: Size | None = None
    """Characters of documents that clients may have kept under their hash (Apollo's automatic persisted queries), in each
    worker. None: they are told to send texts. 16MiB holds some ten thousand. With `shared.url` all gateways know what one was
    sent."""
    persisted_for: LongerThanZero = Seconds(86_400.0)
    """Seconds that the shared store keeps a document which no gateway asks for there. 1d: whoever comes back after a weekend sends
    the text once, and what nobody uses any more is gone tomorrow. Without `shared.url` it means nothing."""
    compile: bool = True
    """Whether an operation that is seen again is compiled into a plan. Off: graphql-core executes everything, many times slower."""
    incremental: bool = True
    """Whether @defer and @stream are heeded for clients that can take an answer in parts. Off: documents with them are as valid,
    and everything comes at once."""
    max_deferrals: Positive = 32
    """@defer and @stream in one operation, its fragments included. 32: several times what a page has; each costs a part of the
    answer for every object that it stands on."""

    @property
    def secret_of_game_days(self) -> str | None:
        """The key itself."""
        return None if self.game_day_key is None else self.game_day_key.get_secret_value()

    @field_validator("game_day_key")
    @classmethod
    def _cannot_be_guessed(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < _SHORTEST_KEY:
            raise ValueError(
                f"it has fewer than {_SHORTEST_KEY} characters, so it can be guessed: "
                "take those of `openssl rand -hex 32`"
            )
        return key

    @model_validator(mode="after")
    def _something_is_served(self) -> Self:
        if self.trusted_only and self.trusted is None:
            raise ValueError("trusted_only is on and trusted names no documents: nothing would be served")
        return self

    @model_validator(mode="after")
    def _a_bound_is_enforced(self) -> Self:
        if (self.cost == "enforce") is not (self.max_cost is not None) and self.cost != "measure":
            raise ValueError(
                'max_cost is what cost = "enforce" refuses above: set both, or neither, or cost = "measure" to try the bound'
            )
        return self

    @field_validator("max_deadline")
    @classmethod
    def _defaults_fit(cls, longest: Seconds, others: ValidationInfo) -> Seconds:
        for name in ("query_deadline", "mutation_deadline"):
            if others.data.get(name, 0) > longest:
                raise ValueError(
                    f"{longest:g} s is less than {name}, {others.data[name]:g} s: "
                    "what holds for everybody must not be longer than what a client may ask for"
                )
        return longest
