"""GraphiQL's page: an IDE for the graph, served whole from the gateway's own origin.

Invariant: a browser that opens the page asks no other host for anything. The content security policy enforces it, a
browser test proves it. Source: Vite's output in `static/graphiql/`, which `make web` builds from `web/`; without it the
page says how to get it.

What the policy allows, and who needs it (without any one of these the console complains):
- scripts, workers and requests from 'self' only: no `blob:`, no `unsafe-eval`; Monaco's workers are files of ours, and
  'self' covers the WebSocket of subscriptions too, on the same host and port;
- inline styles: Monaco and the dialogs place things by `style` attributes and write colours into <style> elements;
- `data:` images and fonts: the page's icon, and what GraphiQL's and Monaco's style sheets carry inline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from .security_headers import PERMISSIONS

BUILT_PAGE: Final = Path(__file__).parent / "static" / "graphiql"

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "connect-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src data:",
        "font-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": PERMISSIONS,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On the page and on each asset: a worker is governed by the headers of its own script, not by its page's."""

# The machine's own table of types may call a script text/plain, and under nosniff that is a blank page.
_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".ttf": "font/ttf", ".woff2": "font/woff2"}
_ASSET_NAME: Final = re.compile(r"[\w-][\w.-]*", re.ASCII)  # one plain file name: no slash, no leading dot
_ENDPOINT_META: Final = re.compile(r'(<meta name="sagaql-endpoint" content=")[^"]*(")')

_IMMUTABLE: Final = "public, max-age=31536000, immutable"  # a year; an asset's name carries the hash of its content
_REVALIDATE: Final = "no-cache"  # the page names the hashes, so it must be today's

_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>SagaQL</title>
<style>body {{ font: 1rem/1.6 system-ui, sans-serif; margin: 3rem auto; max-width: 48rem; padding: 0 1rem }}</style>
</head>
<body>
<h1>SagaQL</h1>
<p>GraphiQL is not built: install Node 20 and run <code>make web</code>, then reload.</p>
<p>The graph answers at <code>{url}</code>:</p>
<pre>curl {url} -H 'content-type: application/json' -d '{{"query": "{{ __typename }}"}}'</pre>
</body>
</html>
"""


def graphiql_routes(
    *, endpoint: str = "/graphql", page_path: str = "/graphiql", static_dir: Path | None = None
) -> list[BaseRoute]:
    """The page at `page_path`, with and without a slash at its end, and its assets below it.

    Both paths are as the browser sees them. `static_dir` is Vite's output, read anew each time: builds show on reload.
    Raises: ValueError if a path is not absolute on our own origin.
    """
    _refuse_foreign(endpoint, name="endpoint")
    _refuse_foreign(page_path, name="page_path")
    page = _Page(endpoint=endpoint, path=page_path.rstrip("/"), static_dir=static_dir or BUILT_PAGE)
    return [
        Route(page.path, page.show, name="graphiql"),
        Route(f"{page.path}/", page.show, name="graphiql_with_slash"),
        Route(f"{page.path}/assets/{{name}}", page.asset, name="graphiql_asset"),
    ]


def landing(*, endpoint: str = "/graphql", page_path: str = "/graphiql") -> Route:
    """`GET /`: browsers go to the page; anything else is told where the graph is."""

    async def land(request: Request) -> Response:
        vary = {"Vary": "Accept"}
        if "text/html" in request.headers.get("accept", "").lower():
            return RedirectResponse(page_path, status_code=307, headers=vary)
        return JSONResponse({"graphql": endpoint, "graphiql": page_path}, headers=vary)

    return Route("/", land, name="landing")


@dataclass(frozen=True, slots=True)
class _Page:
    """Answers of the page's routes: plain functions, because they read files and Starlette runs those off the loop."""

    endpoint: str
    path: str
    static_dir: Path

    def show(self, request: Request) -> Response:
        html = self._built() or self._how_to_build(request)
        return HTMLResponse(html, headers={**SECURITY_HEADERS, "Cache-Control": _REVALIDATE})

    def asset(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        file = self.static_dir / "assets" / name
        # A compressed copy has no address of its own: it is the same asset, encoded.
        if not _ASSET_NAME.fullmatch(name) or file.suffix == ".gz" or not file.is_file():
            raise HTTPException(404, headers={"Cache-Control": _REVALIDATE})
        headers = {**SECURITY_HEADERS, "Cache-Control": _IMMUTABLE, "Vary": "Accept-Encoding"}
        media_type = _MEDIA_TYPES.get(file.suffix, "application/octet-stream")
        compressed = file.with_name(f"{name}.gz")
        if accepts_gzip(request.headers.get("accept-encoding", "")) and compressed.is_file():
            return FileResponse(compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
        return FileResponse(file, headers=headers, media_type=media_type)

    def _built(self) -> str | None:
        """Vite's page with our two addresses written in; None when nobody has built it."""
        try:
            html = (self.static_dir / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        # Absolute, because at /graphiql (no slash) a relative "./assets/" would mean /assets/.
        html = html.replace('"./assets/', f'"{escape(self.path)}/assets/')
        return _ENDPOINT_META.sub(lambda meta: f"{meta[1]}{escape(self.endpoint)}{meta[2]}", html)

    def _how_to_build(self, request: Request) -> str:
        origin = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
        return _NOT_BUILT.format(url=escape(origin + self.endpoint))


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether RFC 9110's Accept-Encoding permits gzip; an unreadable weight is a no: plain is always right."""
    weights: dict[str, float] = {}
    for choice in accept_encoding.lower().split(","):
        coding, _, parameters = choice.partition(";")
        weights[coding.strip()] = _weight(parameters.replace(" ", ""))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weight(parameters: str) -> float:
    if not parameters:
        return 1.0
    try:
        return float(parameters.removeprefix("q="))
    except ValueError:
        return 0.0


def _refuse_foreign(path: str, *, name: str) -> None:
    """`//host/path` is an address on another host, and `/` alone is the landing's."""
    if not path.startswith("/") or path.startswith("//") or path == "/":
        raise ValueError(f"{name} must be an absolute path on this origin, such as /graphql; got {path!r}")
