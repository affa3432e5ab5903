"""Lays out the pages of the probe and of the synthetic experiment, each as one HTML file.

With the report's style and environment, so every string is made visible and escaped. No script, no request.
"""

from pathlib import Path

from ft_eval.report.pages import Page
from ft_eval.report.render import page_environment
from ft_eval.store.files import make_folder, write_atomically


def render_probe_page(page: Page) -> str:
    """The page as one HTML file, the same for the same page."""
    return page_environment().get_template("probe.html.j2").render(page=page)


def write_probe_page(page: Page, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        StoreError: it can't be written.
    """
    make_folder(path.parent)
    write_atomically(path, [render_probe_page(page).encode("utf-8")])
