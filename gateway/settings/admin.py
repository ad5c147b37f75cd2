"""The port for whoever runs the gateway, apart from the one for clients."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from ..edge.authentication import LONGEST_TOKEN, SHORTEST_TOKEN
from .concern import Concern
from .identity import digest_of, ensure_digest


class AdminSettings(Concern):
    """Who may see what the gateway says of itself: `/metrics`, and what `/readyz` says of the services."""

    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The TCP port that answers it, to whoever shows the token. None: in dev the clients' port does, to anybody; in production
    nobody is answered."""
    host: str = "127.0.0.1"
    """The address to listen on. Loopback: a collector of metrics on this machine; in a container it is the pod's, 0.0.0.0."""
    token: Annotated[SecretStr, Field(min_length=SHORTEST_TOKEN, max_length=LONGEST_TOKEN)] | None = None
    """What stands after "Bearer". Write ${NAME} and keep it in the environment; or write sha256."""
    sha256: Annotated[SecretStr, Field(min_length=64, max_length=64)] | None = None
    """In place of the token: its SHA-256, as `sagaql hash-token` prints it. Whoever reads it cannot show the token."""
    tls: bool = False
    """Whether the port speaks TLS, with `server.tls_certificate`. Off: for loopback it is not needed, and not every collector
    can be told whom to trust."""

    @model_validator(mode="after")
    def _nobody_is_let_in_without_a_token(self) -> Self:
        if self.token is not None and self.sha256 is not None:
            raise ValueError("token and sha256 are both given: write one of them")
        if self.sha256 is not None:
            ensure_digest(self.sha256)
        if self.port is not None and self.token is None and self.sha256 is None:
            raise ValueError(
                "port is given, and no token: whoever reaches it would be answered. Make one with `openssl rand -hex 32`, and "
                'write token = "${SAGAQL_ADMIN_TOKEN}", or sha256 as `sagaql hash-token` prints it'
            )
        return self

    @property
    def digest(self) -> str | None:
        """What the token is known by."""
        return None if self.token is None and self.sha256 is None else digest_of(self.token, self.sha256)
