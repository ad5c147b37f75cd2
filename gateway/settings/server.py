"""The listening side: the port, its certificate, and the bounds of whatever comes in by it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..clock import Seconds
from ..head_limits import HeadLimits
from .concern import Concern, Duration, LongerThanZero, OptionalPath, Positive, Size, Words
from .sources import number, origins


class ServerSettings(Concern):
    """The listening side."""

    host: str = "127.0.0.1"
    """The address to listen on. Loopback: who may reach a gateway is decided on purpose; 0.0.0.0 in a container, which needs
    profile production."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    """The TCP port."""
    max_body: Size = 1024 * 1024
    """Bytes of a request's body. 1 MiB: a hundred times a large document with its variables."""
    body_timeout: LongerThanZero = Seconds(10.0)
    """Seconds in which a request's body has to be here, else 408. 10 s: a MiB over a poor mobile line takes five."""
    max_head: Size = 32 * 1024
    """Bytes of a request's line and headers, else 431. 32 KiB: four times what browsers and proxies send."""
    max_headers: Positive = 100
    """Headers of a request, else 431. 100: as other servers have it."""
    head_timeout: LongerThanZero = Seconds(10.0)
    """Seconds in which a request's line and headers have to be here, from the connection's beginning or from their first byte;
    else 408."""
    max_connections: Positive = 10_000
    """Connections of each worker; more are answered with 503 and closed. 10 000: some 100 MB."""
    workers: Positive = 1
    """Processes that answer requests, all on the one port. More than one: a process of its own runs the sagas, and each worker
    brings its own caches and breakers. 1: about as many as there are processors is the most that helps."""
    max_operations: Positive = 512
    """Operations in flight on this machine; more are refused with OVERLOADED. Each worker admits its share, rounded up. 512:
    eight services' bulkheads full at once."""
    max_subscriptions: Positive = 1_000
    """Subscriptions under way on this machine, shared as above; more are refused with OVERLOADED. 1 000: some 20 MB."""
    drain: Annotated[Duration, Field(ge=0)] = Seconds(10.0)
    """Seconds that running operations may take once nothing is accepted any more. 10 s: `operation.query_deadline`."""
    drain_delay: Annotated[Duration, Field(ge=0)] = Seconds(0.0)
    """Seconds between SIGTERM and the drain, in which /readyz answers 503 and requests are still served: longer than a balancer
    takes to notice. 0: right where nobody looks at /readyz. SIGINT and a second SIGTERM do not wait for it."""
    partial_success_status: Annotated[Literal[200, 294], BeforeValidator(number)] = 200
    """The status of data with errors beside it, as application/graphql-response+json: 294 shows it to whoever reads statuses only,
    and is no error. 200: not every client, proxy and dashboard has heard of 294."""
    compress: bool = True
    """Whether answers are compressed, with gzip or zstd, for clients that say they take it. Off where a proxy does it."""
    compress_above: Size = 1024
    """Bytes of an answer that is not worth compressing yet. 1 KiB: shorter ones go in one packet either way."""
    cors_origins: Annotated[Words, AfterValidator(origins)] = ()
    """Origins whose pages may come here, as "https://app.example"; or "*" for all, without cookies. None: our own pages only.
    It holds for WebSockets too."""
    csrf_prevention: bool = True
    """Whether a query by GET is refused that a browser sends for a page of another origin without having asked first."""
    http_caching: bool = True
    """Whether answers to queries by GET may be kept by browsers and proxies, for as long as all that they read is declared `fresh`.
    Off: none is, as with answers by POST."""
    graphiql: bool = True
    """Whether the IDE is served to browsers. It shows nothing that introspection does not. Profile production has it off."""
    watch: Annotated[Duration, Field(ge=0)] = Seconds(2.0)
    """Seconds between two looks at gateway.toml: a changed one is applied to the services while they run. 0 looks never."""
    control: OptionalPath = Path("control.sock")
    """The Unix socket on which `sagaql services` speaks to the running gateway, relative to the journal's folder; "" has none."""

    tls_certificate: OptionalPath = None
    """Our certificate with its chain (PEM), relative to gateway.toml. None: plain HTTP, as behind a proxy on this machine. Renewed
    files are read at a restart."""
    tls_key: OptionalPath = None
    """The private key of `tls_certificate` (PEM, without a passphrase)."""
    tls_client_ca: OptionalPath = None
    """Who signs certificates of clients (PEM): one that a client shows must be of these. None: nobody is asked for one."""
    tls_client_required: bool = False
    """Whether nobody gets in without such a certificate, health checks included."""
    tls_hsts: Annotated[Duration, Field(ge=0)] = Seconds(30 * 86_400.0)
    """Seconds for which a browser that came by TLS comes by it only (Strict-Transport-Security). 30 d: longer than people stay
    away, and no year in which a name cannot go back to plain HTTP. 0 says nothing."""

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: give both, or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca is given, and no tls_certificate: without TLS nobody shows a certificate")
        if self.tls_client_required and self.tls_client_ca is None:
            raise ValueError("tls_client_required is on, and there is no tls_client_ca to verify certificates against")
        return self

    @property
    def heads(self) -> HeadLimits:
        """The bounds of connections and of the heads of requests."""
        return HeadLimits(
            bytes=self.max_head, count=self.max_headers, within=self.head_timeout, connections=self.max_connections
        )

    @property
    def operations_each(self) -> int:
        """What one worker admits of `max_operations`."""
        return math.ceil(self.max_operations / self.workers)

    @property
    def subscriptions_each(self) -> int:
        """What one worker admits of `max_subscriptions`."""
        return math.ceil(self.max_subscriptions / self.workers)
