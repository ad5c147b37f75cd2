"""GraphiQL in a real browser, against the running gateway and shop: it runs, explains, signs in, and never leaves its origin."""

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from demo import people
from gateway.edge.pages import BUILT_PAGE
from tests.e2e.conftest import Demo
from tests.e2e.ordering import CUSTOMER

if TYPE_CHECKING:  # at run time pytest loads it as a plugin, which it must do before anybody imports it
    from tests.browser import Browser

pytest_plugins = ("tests.browser",)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(  # in CI a page that nobody built is a broken build: the tests run, and fail
        not (BUILT_PAGE / "index.html").is_file() and os.environ.get("CI") != "true",
        reason="GraphiQL is not built: run `make web`",
    ),
]

QUERY_EDITOR = ".graphiql-query-editor .monaco-editor"
HEADERS_EDITOR = ".graphiql-editor-tool .graphiql-editor:not(.hidden) .monaco-editor"
ANSWER = ".graphiql-response .view-lines"
ACTIVE_TAB = ".graphiql-tab-active .graphiql-tab-button"


@pytest.fixture
def page(browser: "Browser", demo: Demo) -> "Iterator[Browser]":
    """The page, open and ready. Afterwards: everything came from its own origin, and the console is clean."""
    browser.open(f"{demo.url}/graphiql")
    browser.wait_for(QUERY_EDITOR, containing="SagaQL: one graph over many services")
    yield browser
    assert {each.origin for each in browser.requests} - {""} == {demo.url}
    assert browser.complaints == []


def write_query(page: "Browser", name: str, selections: str) -> None:
    """A query under `name`, once GraphiQL has taken it over: its state follows the editor late, and the tab shows that state.

    Run sooner, it would send the new text under the name of the operation before it.
    """
    page.write(QUERY_EDITOR, f"query {name} {selections}")
    page.wait_for(ACTIVE_TAB, containing=name)


# -- what a developer does with it -------------------------------------------------------------------------------------


def test_the_default_query_runs_and_shows_its_data(page: "Browser") -> None:
    page.click(QUERY_EDITOR)
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait_for(ANSWER, containing='"products"')
    assert page.driver.title == "SagaQL"
    assert page.wait_for(".graphiql-logo").text == "SagaQL"


def test_the_button_runs_what_the_editor_holds(page: "Browser") -> None:
    write_query(page, "First", "{ products(first: 1) { edges { node { name } } } }")
    page.click(".graphiql-execute-button")
    answer = page.wait_for(ANSWER, containing='"name"')
    assert '"edges"' in answer.text


def test_completion_proposes_what_the_schema_has(page: "Browser") -> None:
    page.write(QUERY_EDITOR, "query { pro")
    page.press(Keys.CONTROL, Keys.SPACE)
    page.wait_for(".suggest-widget", containing="products")


def test_the_documentation_leads_from_the_root_to_products(page: "Browser") -> None:
    page.click('button[aria-label="Show Documentation Explorer"]')
    page.click(".graphiql-doc-explorer-type-name", containing="Query")
    page.wait_for(".graphiql-doc-explorer-field-name", containing="products")


def test_the_headers_tab_signs_requests(page: "Browser") -> None:
    """The customer's own address is for the customer's token only: the server must have received it."""
    write_query(page, "Mine", f'{{ customer(id: "{CUSTOMER}") {{ name email }} }}')
    page.click(".graphiql-editor-tools button", containing="Headers")
    page.write(HEADERS_EDITOR, json.dumps({"Authorization": f"Bearer {people.CUSTOMER.token}"}))
    page.click(".graphiql-execute-button")
    answer = page.wait_for(ANSWER, containing='"email"')
    assert "@" in answer.text
    assert '"errors"' not in answer.text


def test_a_link_signs_the_page_in_and_the_token_is_neither_kept_in_the_address_nor_sent_in_one(
    browser: "Browser", demo: Demo
) -> None:
    browser.open(f"{demo.url}/graphiql#token={people.SUPPORT.token}")
    browser.wait_for(QUERY_EDITOR, containing="SagaQL: one graph over many services")
    assert browser.driver.current_url == f"{demo.url}/graphiql"
    write_query(browser, "Mine", f'{{ customer(id: "{CUSTOMER}") {{ email }} }}')
    browser.click(".graphiql-execute-button")
    assert "@" in browser.wait_for(ANSWER, containing='"email"').text

    browser.driver.execute_script(f"window.location.hash = '#token={people.CUSTOMER.token}'")
    browser.wait_until(lambda: browser.driver.current_url == f"{demo.url}/graphiql" or None, saying="it is loaded anew")
    browser.wait_for(QUERY_EDITOR, containing="SagaQL: one graph over many services")
    browser.click(".graphiql-execute-button")
    browser.wait_for(ANSWER, containing='"products"')
    shown = {each.headers.get("Authorization") for each in browser.requests if each.method == "POST"}
    assert {f"Bearer {people.SUPPORT.token}", f"Bearer {people.CUSTOMER.token}"} <= shown
    assert not any("token=" in each.url for each in browser.requests)
    assert browser.complaints == []


def test_a_broken_service_shows_what_is_missing_and_why(page: "Browser", demo: Demo) -> None:
    demo.service("reviews").fault({"status": 503})
    write_query(page, "Broken", "{ products(first: 1) { edges { node { reviews { rating } } } } }")
    page.click(".graphiql-execute-button")
    page.wait_for(ANSWER, containing="degraded")


def test_the_root_leads_a_browser_to_the_page(browser: "Browser", demo: Demo) -> None:
    browser.open(demo.url)
    browser.wait_for(QUERY_EDITOR)
    assert browser.driver.current_url == f"{demo.url}/graphiql"


def test_what_a_smuggled_script_would_do_is_refused_by_the_policy(browser: "Browser", demo: Demo) -> None:
    browser.open(f"{demo.url}/graphiql")
    browser.wait_for(QUERY_EDITOR)
    assert browser.complaints == []
    told = browser.driver.execute_async_script(SMUGGLED, demo.service("reviews").url)

    assert told == {"inline": False, "attribute": False, "eval": False, "fetch": False, "worker": False, "frame": False}
    for directive in ("script-src 'self", "connect-src 'self", "worker-src 'self", "default-src 'none"):
        assert any(directive in each for each in browser.complaints), browser.complaints


SMUGGLED = """
const [elsewhere, done] = arguments;
const told = {inline: false, attribute: false, eval: false, fetch: false, worker: false, frame: false};
window.told = told;
const script = document.createElement('script');
script.textContent = 'window.told.inline = true';
document.body.append(script);
const image = document.createElement('img');
image.setAttribute('onerror', 'window.told.attribute = true');
image.src = 'data:,';
document.body.append(image);
const tries = [fetch(elsewhere, {mode: 'no-cors'}).then(() => { told.fetch = true }, () => {})];
tries.push(new Promise(then => setTimeout(() => {  // the driver's own call may evaluate what pages may not
  try { told.eval = new Function('return true')() } catch {}
  then();
})));
try {
  const worker = new Worker(URL.createObjectURL(new Blob(['postMessage(1)'])));
  tries.push(new Promise(then => { worker.onmessage = () => { told.worker = true; then() }; worker.onerror = then }));
} catch {}
const frame = document.createElement('iframe');
frame.onload = () => { try { told.frame = frame.contentDocument.title.length > 0 } catch { told.frame = false } };
frame.src = '/graphiql';
document.body.append(frame);
Promise.all(tries).then(() => setTimeout(() => done(told), 300));
"""


def test_the_page_works_with_a_slash_at_its_end(browser: "Browser", demo: Demo) -> None:
    browser.open(f"{demo.url}/graphiql/")
    browser.wait_for(QUERY_EDITOR)
    assert browser.complaints == []
