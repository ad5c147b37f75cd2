"""The door with a certificate of its own, and a proxy that shows one: real handshakes with workers, real headers."""

from __future__ import annotations

import datetime as dt
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .conftest import free_ports, wait_until
from .test_serve import Serving, serving

pytestmark = pytest.mark.e2e

NOW = dt.datetime.now(dt.UTC)
TOML = """
server.tls_certificate = "server.pem"
server.tls_key = "server.key"
server.tls_client_ca = "ca.pem"
[admin]
port = {admin}
tls = true
token = "0123456789abcdef0123456789abcdef"
[identity.proxy]
names = "proxy.shop"
subject_header = "x-subject"
tenant_header = "x-tenant"
"""
GRAPH = '''
import strawberry
from gateway import Ctx, resolver

@strawberry.type
class Query:
    @resolver
    def whoami(self, ctx: Ctx) -> str:
        """The caller."""
        return f"{ctx.identity.tenant}/{ctx.identity.subject}"
'''


class Authority:
    """Signs certificates, into files of a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._certificate(self._name, self._key.public_key(), is_authority=True)
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def signs(self, file: str, *names: str) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        holder = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._certificate(holder, key.public_key(), names=names)
        paths = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(paths[0]), str(paths[1])

    def _certificate(
        self, holder: x509.Name, key: Any, *, names: tuple[str, ...] = (), is_authority: bool = False
    ) -> x509.Certificate:
        built = (
            x509.CertificateBuilder()
            .subject_name(holder)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=1))
            .not_valid_after(NOW + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            built = built.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            built = built.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return built.sign(self._key, hashes.SHA256())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    authority.signs("server", "localhost")
    authority.signs("proxy", "proxy.shop")
    authority.signs("other", "other.shop")
    Authority(folder, "stranger").signs("forged", "proxy.shop")
    return folder


@pytest.fixture(scope="module")
def gateway(folder: Path) -> Iterator[Serving]:
    (folder / "who.py").write_text(GRAPH, encoding="utf-8")
    ports = free_ports(2)
    with serving(folder, "--workers", "2", toml=TOML.format(admin=ports + 1), port=ports, graph="who:Query") as gateway:
        gateway.wait_for("all processes ready")
        yield gateway


def whoami(gateway: Serving, folder: Path, shows: str | None, **headers: str) -> str:
    found: str = asked(gateway, folder, shows, **headers).json()["data"]["whoami"]
    return found


def asked(gateway: Serving, folder: Path, shows: str | None, **headers: str) -> httpx.Response:
    """By a connection of its own: whichever worker takes it."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if shows is not None:
        context.load_cert_chain(folder / f"{shows}.pem", folder / f"{shows}.key")
    return httpx.post(
        f"https://localhost:{gateway.port}/graphql",
        json={"query": "{ whoami }"},
        headers=headers,
        verify=context,
        timeout=10,
    )


def test_a_proxy_with_its_certificate_says_who_is_calling_to_every_worker(gateway: Serving, folder: Path) -> None:
    def have_both_answered() -> bool:
        """Whoever of them accepts the next connection."""
        assert whoami(gateway, folder, "proxy", **{"x-subject": "bob", "x-tenant": "acme"}) == "acme/bob"
        lines = map(json.loads, gateway.said.splitlines())
        return {each["process"] for each in lines if each["event"] == "operation"} == {"worker-1", "worker-2"}

    wait_until(have_both_answered, saying="each worker has answered")
    assert whoami(gateway, folder, "proxy", **{"X-Subject": "ann", "x-tenant": "acme"}) == "acme/ann"
    assert whoami(gateway, folder, "proxy") == "public/anonymous"


@pytest.mark.parametrize("shows", [None, "other"])
def test_nobody_else_is_believed(gateway: Serving, folder: Path, shows: str | None) -> None:
    assert whoami(gateway, folder, shows, **{"x-subject": "ann"}) == "public/anonymous"


def test_a_certificate_of_a_stranger_does_not_get_through_the_handshake(gateway: Serving, folder: Path) -> None:
    with pytest.raises(httpx.TransportError):
        whoami(gateway, folder, "forged", **{"x-subject": "ann"})


def test_plain_http_is_not_spoken(gateway: Serving) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.post(f"http://localhost:{gateway.port}/graphql", json={"query": "{ whoami }"}, timeout=5)


def test_browsers_are_told_to_come_by_tls_again(gateway: Serving, folder: Path) -> None:
    assert asked(gateway, folder, None).headers["strict-transport-security"] == "max-age=2592000"


def test_the_port_for_admins_shows_the_same_certificate(gateway: Serving, folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    bearer = {"authorization": "Bearer 0123456789abcdef0123456789abcdef"}

    found = httpx.get(f"https://localhost:{gateway.port + 1}/readyz", headers=bearer, verify=context, timeout=10)

    assert found.json()["sagas"] == "none"


def test_the_line_in_the_log_says_https(gateway: Serving) -> None:
    assert f"https://127.0.0.1:{gateway.port}" in gateway.said
