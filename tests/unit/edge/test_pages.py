"""GraphiQL's routes against a small pretended build: what is served, encoded how, and what is refused."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from gateway.edge.pages import CONTENT_SECURITY_POLICY, accepts_gzip, graphiql_routes, landing

SCRIPT = b"console.info('graphiql');\n" * 100
SMALL = b"body { margin: 0 }\n"
PAGE = """<!doctype html><meta name="sagaql-endpoint" content="/graphql" />
<script type="module" crossorigin src="./assets/index-1a2b.js"></script>
<link rel="stylesheet" crossorigin href="./assets/index-3c4d.css">"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Vite's output in small, with a secret beside it that no request may reach."""
    (tmp_path / "secret.js").write_text("secret")
    static = tmp_path / "graphiql"
    assets = static / "assets"
    assets.mkdir(parents=True)
    (static / "index.html").write_text(PAGE, encoding="utf-8")
    (assets / "index-1a2b.js").write_bytes(SCRIPT)
    (assets / "index-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    (assets / "index-3c4d.css").write_bytes(SMALL)
    (assets / ".hidden.js").write_text("secret")
    (assets / "folder").mkdir()
    return static


def client_of(static: Path, *, endpoint: str = "/graphql", page_path: str = "/graphiql") -> httpx.AsyncClient:
    routes = [
        *graphiql_routes(endpoint=endpoint, page_path=page_path, static_dir=static),
        landing(endpoint=endpoint, page_path=page_path),
    ]
    return httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=routes)), base_url="http://gateway.test")


@pytest.fixture
async def client(build: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(build) as client:
        yield client


@pytest.mark.parametrize("path", ["/graphiql", "/graphiql/"])
async def test_the_page_finds_its_assets_with_and_without_the_slash(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'src="/graphiql/assets/index-1a2b.js"' in answer.text
    assert 'href="/graphiql/assets/index-3c4d.css"' in answer.text
    assert "./assets" not in answer.text


async def test_the_page_is_told_where_the_graph_is(build: Path) -> None:
    async with client_of(build, endpoint='/api/"><script>', page_path="/ide") as client:
        answer = await client.get("/ide")
        script = await client.get("/ide/assets/index-1a2b.js")
    assert 'content="/api/&quot;&gt;&lt;script&gt;"' in answer.text
    assert 'src="/ide/assets/index-1a2b.js"' in answer.text
    assert script.status_code == 200


async def test_the_page_is_revalidated_and_its_assets_are_kept_for_ever(client: httpx.AsyncClient) -> None:
    page, script = await client.get("/graphiql"), await client.get("/graphiql/assets/index-1a2b.js")
    assert page.headers["cache-control"] == "no-cache"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/graphiql", "/graphiql/assets/index-1a2b.js"])
async def test_page_and_assets_carry_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert {"camera=()", "geolocation=()", "clipboard-read=()"} <= {*headers["permissions-policy"].split(", ")}


def test_the_policy_names_no_other_host_and_no_inline_script() -> None:
    assert "http" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY
    assert "unsafe-eval" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.count("unsafe-inline") == 1  # of styles only
    assert "blob:" not in CONTENT_SECURITY_POLICY


async def test_an_asset_is_sent_compressed_to_those_who_accept_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphiql/assets/index-1a2b.js", headers={"Accept-Encoding": "br, gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert int(answer.headers["content-length"]) < len(SCRIPT)
    assert answer.content == SCRIPT


async def test_an_asset_is_sent_plain_to_those_who_do_not(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphiql/assets/index-1a2b.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.content == SCRIPT


async def test_an_asset_without_a_compressed_copy_is_sent_plain(client: httpx.AsyncClient) -> None:
    answer = await client.get("/graphiql/assets/index-3c4d.css", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.content == SMALL


@pytest.mark.parametrize("path", ["/graphiql", "/graphiql/assets/index-1a2b.js"])
async def test_head_answers_what_get_would_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["content-type"] == get.headers["content-type"]


async def test_the_page_is_only_read(client: httpx.AsyncClient) -> None:
    assert (await client.post("/graphiql")).status_code == 405


@pytest.mark.parametrize(
    "name",
    [
        "absent.js",
        "index-1a2b.js.gz",
        "folder",
        ".hidden.js",
        ".",
        "..",
        "%2e%2e",
        "..%2fsecret.js",
        "..%2f..%2fsecret.js",
        "..%5c..%5csecret.js",
        "%2fetc%2fpasswd",
        "index-1a2b.js%00.css",
        "folder%2f..%2findex-1a2b.js",
        "index-1a2b.js%0a",
    ],
)
async def test_only_a_plain_name_of_an_asset_is_found(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/graphiql/assets/{name}")
    # httpx folds "." and ".." before it asks, so those two arrive at other routes; none of them may show a file.
    assert answer.status_code == 404 or answer.text.startswith("<!doctype html>")
    assert "secret" not in answer.text


async def test_without_a_build_the_page_says_how_to_get_it_and_how_to_ask_meanwhile(tmp_path: Path) -> None:
    async with client_of(tmp_path / "never-built") as client:
        answer = await client.get("/graphiql", headers={"Host": 'shop.test"><script>'})
        asset = await client.get("/graphiql/assets/index-1a2b.js")
    assert answer.status_code == 200
    assert "GraphiQL is not built: install Node 20 and run <code>make web</code>, then reload." in answer.text
    assert "curl http://shop.test&quot;&gt;&lt;script&gt;/graphql -H" in answer.text
    assert "<script>" not in answer.text
    assert asset.status_code == 404


async def test_a_build_shows_on_reload(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        before = await client.get("/graphiql")
        (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
        after = await client.get("/graphiql")
    assert "not built" in before.text
    assert "not built" not in after.text


async def test_browsers_land_on_the_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.status_code == 307
    assert answer.headers["location"] == "/graphiql"
    assert answer.headers["vary"] == "Accept"


async def test_programs_are_told_where_the_graph_is(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={"Accept": "*/*"})
    assert answer.status_code == 200
    assert answer.json() == {"graphql": "/graphql", "graphiql": "/graphiql"}


@pytest.mark.parametrize("path", ["graphql", "https://elsewhere.test/graphql", "//elsewhere.test/graphql", "/", ""])
def test_an_address_on_another_origin_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="endpoint must be an absolute path on this origin"):
        graphiql_routes(endpoint=path)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("GZIP, deflate, br", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
        ("gzip;q=much", False),
        ("gzip;q=nan", False),
    ],
)
def test_gzip_is_chosen_exactly_when_the_client_permits_it(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
