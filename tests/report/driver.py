"""A headless Chromium under a driver, and a page of a report in it: what it logged, and what it asked for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")


@dataclass
class Opened:
    """A page that is open, and what came of it."""

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def rows(self) -> list[str]:
        """The first lines of the list's rows in sight, from the top."""
        script = (
            "rows => rows.map(r => [parseFloat(r.style.top), r.firstChild.textContent]).sort((a, b) => a[0] - b[0])"
        )
        return [text for _, text in self.page.eval_on_selector_all(".x-row", script)]

    def selected(self) -> str:
        """The first line of the selected row."""
        return str(self.page.text_content('.x-row[aria-selected="true"] > div'))

    def detail(self) -> str:
        return str(self.page.text_content("#x-detail"))

    def count(self) -> int:
        """Pairs that fit the filters."""
        return int(self.page.text_content("#x-count").split()[0].replace(",", ""))


def start_browser() -> Iterator[Any]:
    """A fixture's body: the system's Chromium, or a skip with its reason."""
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no {' or '.join(BROWSERS)} on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@contextmanager
def open_html(chromium: Any, html: str, folder: Path, *, anchor: str = "", **options: Any) -> Iterator[Opened]:
    """The page from a file, with the explorer ready where there is one and scripts are on."""
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    opened = Opened(context.new_page())
    opened.page.on("console", lambda message: opened.console.append(message.text))
    opened.page.on("pageerror", lambda error: opened.console.append(str(error)))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.goto(path.as_uri() + anchor)
    if 'id="explorer"' in html and options.get("java_script_enabled", True):
        opened.page.wait_for_selector("html[data-explorer=ready]", state="attached")
    yield opened
    context.close()
