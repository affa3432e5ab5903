"""How large a report's page is, and how fast it opens and filters in headless Chromium.

    python benchmarks/synthetic_run.py RUN && ft-eval report RUN
    python benchmarks/report_page.py RUN/report.html

Opening is from navigation to the explorer's list being there; filtering is the script's own time from an input event to
the list being drawn, the median and the slowest of the repeats.
"""

import argparse
import shutil
import statistics
from pathlib import Path
from typing import Any

REPEATS = 15
_FILTER = """async ([id, value]) => {
  const field = document.getElementById(id), start = performance.now();
  field.value = value;
  field.dispatchEvent(new Event('input'));
  document.getElementById('x-list').offsetHeight;
  return performance.now() - start;
}"""
_CHANGES = (
    ("search, a frequent word", "x-query", "farmer"),
    ("search, two words", "x-query", "river 12"),
    ("search, nothing", "x-query", "qqqq"),
    ("search, cleared", "x-query", ""),
    ("every outcome", "x-outcome", "any"),
    ("every latent", "x-latent", ""),
    ("lost", "x-outcome", "lost"),
)


def measure(page: Any, url: str) -> list[tuple[str, list[float]]]:
    """Milliseconds per action, one figure per repeat."""
    found: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        page.goto("about:blank")
        page.goto(url)
        page.wait_for_selector("html[data-explorer=ready]", state="attached")
        opened = "performance.getEntriesByType('navigation')[0]"
        found.setdefault("open: document parsed", []).append(page.evaluate(f"{opened}.domContentLoadedEventEnd"))
        found.setdefault("open: explorer there", []).append(page.evaluate("explorerReadyAt"))
        for name, field, value in _CHANGES:
            found.setdefault(name, []).append(page.evaluate(_FILTER, [field, value]))
    return list(found.items())


def main() -> None:
    """Measure the page that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, metavar="REPORT.HTML")
    path = parser.parse_args().page.resolve()
    from playwright.sync_api import sync_playwright

    watch = (
        "new MutationObserver(() => { if (document.documentElement.dataset.explorer && !window.explorerReadyAt) "
        "window.explorerReadyAt = performance.now(); }).observe(document, {attributes: true, subtree: true});"
    )
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(watch)
        rows = measure(page, path.as_uri())
        num_elements = page.evaluate("document.querySelectorAll('*').length")
        print(f"{path.stat().st_size / 1e6:.2f} MB, {num_elements:,} elements")
        for name, times in rows:
            print(f"{name:28} median {statistics.median(times):7.1f} ms, slowest {max(times):7.1f} ms")
        browser.close()


if __name__ == "__main__":
    main()
