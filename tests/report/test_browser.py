"""A real browser opens the page without an error, a request or a sideways scroll of the page."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ft_eval.report import build_report, render_html
from tests.report.arms import arms_store
from tests.report.driver import open_html, start_browser
from tests.report.example import example_report
from tests.report.fakes import baseline, job, latent, sample, store, task

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from start_browser()


class Listener:
    """A port on this machine that counts who comes."""

    def __init__(self) -> None:
        self.num_visits = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            self.num_visits += 1
            visitor.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


def traps(url: str) -> str:
    """What a page must not act on: each asks the listener, or changes the title."""
    return (
        f'<img src="{url}/img"><script src="{url}/script"></script><link rel=stylesheet href="{url}/css">'
        f"<style>body{{background:url({url}/bg)}}</style><iframe src='{url}/frame'></iframe>"
        "<script>document.title = 'trapped'</script>"
    )


def test_the_traps_work_on_a_page_without_defence(browser, listener, tmp_path):
    with open_html(browser, f"<title>free</title>{traps(listener.url)}", tmp_path) as opened:
        assert opened.page.title() == "trapped"
    assert listener.num_visits > 0


def test_hostile_answers_reach_nobody_and_run_nothing(browser, listener, tmp_path):
    trap = traps(listener.url)
    base, other = job(baseline(trap), task(trap)), job(latent("l" + trap, baseline=trap), task(trap))
    texts = {"prompt": trap, "target": trap, "responses": (f"</pre></details>{trap}",)}
    scores = {base: [sample(base, 0, 1.0, **texts)], other: [sample(other, 0, 0.0, **texts)]}
    with open_html(browser, render_html(build_report([store(scores)])), tmp_path) as opened:
        assert opened.page.title() == "Latent against baseline · ft-eval"
        assert opened.console == []
    assert listener.num_visits == 0


def test_the_whole_page_loads_without_a_console_line(browser, tmp_path):
    with open_html(browser, render_html(example_report()), tmp_path) as opened:
        assert "How to read this" in opened.page.content()
        assert opened.console == []


def long_words() -> str:
    """A page on which every name and text is one word of 300 letters."""
    word = "x" * 300
    spec, arms = task(word, metric=word), (baseline(word), latent("l" + word, baseline=word))
    texts = {"prompt": word, "target": word, "responses": (word,)}
    owners = [job(arm, spec) for arm in arms]
    errors = [sample(owner, 1, 0.0, error=word) for owner in owners]
    scores = {owner: [sample(owner, 0, float(place), **texts), errors[place]] for place, owner in enumerate(owners)}
    return render_html(build_report([store(scores)], title=word))


def example() -> str:
    return render_html(example_report())


def arms() -> str:
    """A page on which two checkpoints of long names were run under five sources of Z, one of them collapsed."""
    return render_html(build_report([arms_store("x" * 300)], max_flips=2))


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("make", [example, arms, long_words], ids=["example", "arms", "long words"])
def test_the_page_fits_its_window_with_everything_unfolded(browser, tmp_path, width, make):
    """Wide tables scroll in their own box; the page does not scroll sideways."""
    page = make().replace("<details", "<details open").replace('type="checkbox"', 'type="checkbox" checked')
    with open_html(browser, page, tmp_path, viewport={"width": width, "height": 900}) as opened:
        root = "(({clientWidth, scrollWidth, scrollHeight}) => [clientWidth, scrollWidth, scrollHeight])"
        inner, content, height = opened.page.evaluate(f"{root}(document.documentElement)")
    assert content <= inner
    assert height > 900
