"""A headless Chromium that remembers what it asked for and what it complained about.

Invariant: it can reach nothing but the loopback, so a page that needs the internet fails here and not at a user's.
Registered with `pytest_plugins = ("tests.browser",)`; tests take the fixture `browser`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

T = TypeVar("T")

PATIENCE_SECONDS = 20.0  # the first paint on a loaded two-core machine; waits end as soon as the page is ready

_NETWORK_SCHEMES = {"http", "https", "ws", "wss"}
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1440,900",
)
_HOW_TO_INSTALL = "needs Chromium and its driver: apt-get install chromium chromium-driver"


@dataclass(frozen=True, slots=True)
class Requested:
    """One request that the page sent: fetches, scripts, styles, workers, WebSockets."""

    url: str
    method: str
    headers: dict[str, str]

    @property
    def origin(self) -> str:
        """Scheme, host and port; empty for `data:`, `blob:` and `chrome:`, which never leave the browser."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme in _NETWORK_SCHEMES else ""


@dataclass(frozen=True, slots=True)
class Browser:
    """Chromium with waits, typing and two records: `requests` and `complaints`."""

    driver: Chrome
    _requests: list[Requested] = field(default_factory=list[Requested])
    _complaints: list[str] = field(default_factory=list[str])

    def open(self, url: str) -> None:
        self.driver.get(url)

    def wait_for(self, css: str, *, containing: str = "", within: float = PATIENCE_SECONDS) -> WebElement:
        """The first shown element that `css` selects and whose text contains `containing`."""

        def found() -> WebElement | None:
            elements = self.driver.find_elements(By.CSS_SELECTOR, css)
            return next((each for each in elements if each.is_displayed() and containing in plain(each.text)), None)

        return self.wait_until(found, saying=f"{css!r} containing {containing!r}", within=within)

    def wait_until(self, met: Callable[[], T | None], *, saying: str, within: float = PATIENCE_SECONDS) -> T:
        """What `met` answers once that is not None; elements that vanish meanwhile are looked up again."""
        waiting = WebDriverWait(
            self.driver,
            within,
            poll_frequency=0.05,
            ignored_exceptions=(NoSuchElementException, StaleElementReferenceException),
        )

        def ask(_: Any) -> T | None:
            return met()

        answer = waiting.until(ask, f"waited {within:g} s for {saying}; complaints: {self._complaints}")
        assert answer is not None
        return answer

    def click(self, css: str, *, containing: str = "") -> None:
        self.wait_for(css, containing=containing).click()

    def write(self, css: str, text: str) -> None:
        """Replaces an editor's content as a paste would, so that an editor's own bracket closing does not double it."""
        self.click(css)
        self.press(Keys.CONTROL, "a")
        self.driver.execute_cdp_cmd("Input.insertText", {"text": text})

    def press(self, modifier: str, key: str) -> None:
        """A chord, to whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(modifier + key)

    def screenshot(self, path: Path) -> None:
        assert self.driver.save_screenshot(str(path))

    @property
    def requests(self) -> list[Requested]:
        """All requests since the browser started, in the order they were sent."""
        for entry in self._log("performance"):
            event = json.loads(entry["message"])["message"]
            match event["method"], event["params"]:
                case "Network.requestWillBeSent", {"request": sent}:
                    self._requests.append(Requested(sent["url"], sent["method"], sent["headers"]))
                case "Network.webSocketCreated", {"url": url}:
                    self._requests.append(Requested(url, "GET", {}))
                case _:
                    pass
        return self._requests

    @property
    def complaints(self) -> list[str]:
        """The console's warnings and errors: exceptions, failed requests, refusals by a content security policy."""
        entries = self._log("browser")
        self._complaints.extend(str(each["message"]) for each in entries if each["level"] in {"WARNING", "SEVERE"})
        return self._complaints

    def _log(self, kind: str) -> list[dict[str, Any]]:
        """The driver's log, which it forgets once read."""
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]  # selenium left it untyped
        return entries


def plain(text: str) -> str:
    """Monaco writes spaces that do not break; a reader, and an assertion, means ordinary ones."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A fresh profile per test: no history, no storage, no cache."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        _do_without()
    driver = Chrome(options=_options(chromium, profile=tmp_path / "profile"), service=Service(chromedriver))
    try:
        driver.set_page_load_timeout(PATIENCE_SECONDS)
        yield Browser(driver)
    finally:
        driver.quit()


def _do_without() -> NoReturn:
    """In CI a missing browser is a broken build; at home it is a loud skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(_HOW_TO_INSTALL)
    pytest.skip(_HOW_TO_INSTALL)


def _options(chromium: str, *, profile: Path) -> ChromeOptions:
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    return options
