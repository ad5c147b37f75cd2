"""The demo as other people's clients find it: with trusted documents, texts kept for clients, and a gateway with status 294.

Invariant: the gateway's own timeouts are longer than a test's patience, so whatever ends early was ended by the client.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from typing import Any

import httpx

from .client_builds import manifest
from .client_expectations import OPINIONS, PRODUCT_ID, TRUSTED
from .conftest import GATEWAY, ROOT, Demo, ServiceSwitches, free_ports, wait_until
from .ordering import AS_CUSTOMER, PLACE_ORDER, order_input, place
from .test_graphql_over_http import NGINX, proxied

UNHURRIED = {
    "SAGAQL_OPERATION__QUERY_DEADLINE": "60s",
    **{
        f"SAGAQL_SERVICES__{name}__{knob}": value
        for name in ("CUSTOMERS", "PAYMENTS", "REVIEWS")
        for knob, value in (
            ("ATTEMPT_TIMEOUT", "60s"),
            ("ATTEMPT_TIMEOUT_FLOOR", "60s"),
            ("BREAKER__CONSECUTIVE", "10000"),  # a fault is one client's, and is not counted against the next
            ("BREAKER__VOLUME", "10000"),
        )
    },
}


class Shop(Demo):
    order: dict[str, Any]
    """One that was placed: its saga has ended."""
    product_name: str
    authors: list[str]
    """Of the product's first two reviews."""
    first_names: list[str]
    """Of the first three products."""
    partial_urls: list[str]
    """Of a second gateway to the same services, which has a status for partial answers; and of an nginx before it."""

    def __enter__(self) -> Shop:
        self._touched = set[str]()
        documents = {**manifest(), self.trusted_ids["Trusted"]: TRUSTED}
        (self.data / "trusted.json").write_text(json.dumps(documents), encoding="utf-8")
        super().__enter__()
        return self

    @contextmanager
    def open(self) -> Generator[Shop]:
        """Looked round in, and with the second gateway."""
        self._look_around()
        with _with_a_status_for_partial_answers(self) as self.partial_urls:
            yield self

    @property
    def graphql_url(self) -> str:
        return f"{self.url}/graphql"

    @property
    def trusted_ids(self) -> dict[str, str]:
        """By the name of the operation."""
        return {"Trusted": f"sha256:{sha256(TRUSTED.encode()).hexdigest()}"}

    @property
    def environment(self) -> dict[str, str]:
        documents = {"TRUSTED": str(self.data / "trusted.json"), "PERSISTED": "1MiB"}
        return {
            **super().environment,
            **UNHURRIED,
            **{f"SAGAQL_OPERATION__{name}": value for name, value in documents.items()},
        }

    def service(self, name: str) -> ServiceSwitches:
        self._touched.add(name)
        return super().service(name)

    def tidy(self) -> None:
        """As it was at the beginning. Cost: nothing for what no test has touched."""
        if GATEWAY not in self._supervisors:
            self.start_gateway()
        for name in self._touched:
            super().service(name).reset()
        self._touched.clear()

    def metric(self, name: str) -> float:
        """Its sum, over all labels that `name` does not say."""
        told = httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in told if line.startswith((f"{name} ", f"{name}{{")))

    def calls_in_flight(self, service: str) -> float:
        return self.metric(f'sagaql_service_calls_in_flight{{service="{service}"}}')

    def stuck_saga(self) -> str:
        """Its shipment cannot be booked, until shipping is healed."""
        self.service("shipping").fault({"status": 503})
        query = PLACE_ORDER.replace("idempotencyKey: $key", "idempotencyKey: $key, mode: ASYNC")
        begun = self.graphql(query, {"input": order_input(), "key": str(uuid.uuid4())}, AS_CUSTOMER)
        saga_id: str = begun["data"]["placeOrder"]["sagaId"]
        return saga_id

    def _look_around(self) -> None:
        """What the right answers are."""
        product = self.graphql(OPINIONS, {"id": PRODUCT_ID})["data"]["product"]
        shelf = self.graphql("{ products(first: 3) { edges { node { name } } } }")["data"]["products"]["edges"]
        self.product_name = product["name"]
        self.authors = [review["author"]["name"] for review in product["reviews"]]
        self.first_names = [edge["node"]["name"] for edge in shelf]
        self.order = place(self)


@contextmanager
def _with_a_status_for_partial_answers(shop: Shop) -> Generator[list[str]]:
    """Without nginx its address is left out; in CI a machine without it is a broken build."""
    port, folder = free_ports(1), shop.data / "partial"
    folder.mkdir()
    settings = {
        "SAGAQL_PORT": str(port),
        "SAGAQL_SERVER__PARTIAL_SUCCESS_STATUS": "294",
        "SAGAQL_SAGAS__JOURNAL": str(folder / "journal.sqlite3"),
    }
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(ROOT / "gateway.toml")]
    with ExitStack() as stack:
        output = stack.enter_context((folder / "output").open("wb"))
        environment = {**os.environ, **shop.environment, **settings}
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        stack.callback(_ended, process)
        wait_until(lambda: _is_ready(port), saying=f"the second gateway is ready: {folder / 'output'}")
        ports = [port]
        if NGINX is not None or os.environ.get("CI") == "true":
            ports.append(stack.enter_context(proxied(folder, to=port)))
        yield [f"http://127.0.0.1:{each}/graphql" for each in ports]


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).is_success
    except httpx.TransportError:
        return False
