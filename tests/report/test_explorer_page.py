"""The explorer in a real browser: filters, keys, addresses, draws, hostile texts; no request, and axe content."""

import re
from pathlib import Path
from urllib.parse import unquote

import axe_core_python
import pytest

from ft_eval.records import LatentPolicy
from ft_eval.report import build_report, render_html
from tests.report.driver import open_html, start_browser
from tests.report.fakes import baseline, job, latent, sample, store, task

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><script>document.title='trapped'</script><img src=x onerror=\"document.title='trapped'\">"
    "<style>*{display:none}</style>'\"`${1}&lt;\u202e\x00\ud800]]>-->"
)
NUM_DRAWS = 3


@pytest.fixture(scope="module")
def chromium():
    yield from start_browser()


def page_of(name: str = "gsm8k", *, text: str = "") -> str:
    """Two tasks, a baseline, a latent with three draws and another with one; 40 documents each."""
    words, letters = task(name, num_docs=40), task("letters" + text, metric="acc", output_type="multiple_choice")
    base = baseline("base" + text)
    used, plain = latent("used" + text, baseline=base.name), latent("plain", baseline=base.name)
    scores = {}
    for spec in (words, letters):
        num_draws = NUM_DRAWS if spec is words else 1
        owner = job(base, spec)
        scores[owner] = [_said(owner, i, 0, text) for i in range(40)]
        many = job(used, spec, latents=LatentPolicy(num_draws=NUM_DRAWS))
        scores[many] = [_said(many, i, k, text) for i in range(40) for k in range(num_draws)]
        once = job(plain, spec)
        scores[once] = [_said(once, i, 0, text) for i in range(40)]
    return render_html(build_report([store(scores)], title="t" + text))


def _said(owner, doc_id, draw, text):
    """Odd documents are right; a latent turns each fifth over, but in draw 2. A right answer says 42."""
    turned = owner.latents is not None and doc_id % 5 == 0 and draw < 2
    score = float((doc_id % 2 == 1) != turned)
    if owner.task.metric == "acc":
        texts = {"responses": (" yes" + text, " no"), "prompt": f"Is {doc_id}?"}
        return sample(owner, doc_id, score, logprobs_nats=(-1.0, -2.0) if score else (-2.0, -1.0), **texts)
    answer = f"the answer is {42 if score else 41} ok" if draw < 2 else f"so {doc_id} it is"
    prompt = f"few shots\n\nQuestion {doc_id} {text}"
    return sample(owner, doc_id, score, draw=draw, responses=(answer + text,), prompt=prompt)


@pytest.fixture(scope="module")
def html() -> str:
    return page_of()


def test_the_changed_come_first_under_the_first_candidate(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        assert it.count() == 16
        assert all(re.match("[▼▲] (lost|gained)", row) and "used" in row for row in it.rows())
        assert it.console == []
        assert [url for url in it.requests if not url.startswith("file:")] == []


def test_filters_narrow_the_list(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        it.page.select_option("#x-outcome", "any")
        it.page.select_option("#x-latent", "")
        assert it.count() == 160
        it.page.select_option("#x-latent", "plain")
        assert it.count() == 80
        it.page.select_option("#x-task", "letters")
        assert it.count() == 40
        it.page.select_option("#x-outcome", "lost")
        assert (it.count(), {row[0] for row in it.rows()}) == (4, {"▼"})
        it.page.select_option("#x-outcome", "right")
        assert it.count() == 16
        it.page.fill("#x-query", "IS 13?")
        assert it.rows() == ["= equal letters 13 · plain"]
        it.page.fill("#x-query", "nowhere")
        assert it.count() == 0
        assert "Nothing fits" in it.detail()
        assert it.console == []


def test_one_draw_alone_decides_where_it_is_chosen(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        it.page.select_option("#x-task", "gsm8k")
        assert it.count() == 8
        it.page.select_option("#x-draw", "2")
        assert it.count() == 0
        it.page.select_option("#x-draw", "1")
        assert it.count() == 8


def test_draws_are_grouped_and_differences_are_marked(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        it.page.select_option("#x-task", "gsm8k")
        it.page.select_option("#x-outcome", "lost")
        detail = it.detail()
        assert "2 of 3 draws (0, 1), score 0" in detail
        assert "1 of 3 draws (2), score 1" in detail
        assert it.page.eval_on_selector_all("#x-detail del", "all => all.map(one => one.textContent)") == ["42"]
        assert it.page.eval_on_selector_all("#x-detail ins", "all => all.map(one => one.textContent)")[0] == "41"
        it.page.click('#x-detail a:text-is("plain")')
        assert it.selected().endswith("· plain")


def test_a_link_opens_its_sample_also_where_the_address_is_the_pages_already(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        it.page.click('#x-detail a:text-is("plain")')
        plain, address = it.selected(), it.page.evaluate("location.hash")
        it.page.select_option("#x-latent", "used")
        assert it.selected().endswith("· used")
        assert it.page.evaluate("location.hash") == address
        it.page.click('#x-detail a:text-is("plain")')
        assert it.selected() == plain


def test_choices_are_a_table_with_the_likeliest_named(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        it.page.select_option("#x-task", "letters")
        cells = it.page.eval_on_selector_all("#x-detail table.choices td", "all => all.map(one => one.textContent)")
        assert sorted(cells) == sorted(["−1likeliest", "−2", "−2", "−1likeliest"])
        assert it.page.eval_on_selector("#x-detail table.choices caption", "one => one.textContent")


def test_keys_walk_search_and_come_back(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        it.page.focus("#x-list")
        first, second, third = it.rows()[:3]
        it.page.keyboard.press("j")
        it.page.keyboard.press("ArrowDown")
        assert it.selected() == third
        it.page.keyboard.press("k")
        assert it.selected() == second
        it.page.keyboard.press("G")
        it.page.keyboard.press("g")
        assert it.selected() == first
        it.page.keyboard.press("/")
        assert it.page.evaluate("document.activeElement.id") == "x-query"
        it.page.keyboard.type("jok question 10")
        assert it.count() == 0
        it.page.keyboard.press("Escape")
        assert it.page.evaluate("document.activeElement.id") == "x-list"
        it.page.keyboard.press("Escape")
        assert it.count() == 16
        it.page.keyboard.press("o")
        assert it.page.input_value("#x-outcome") == "lost"
        it.page.keyboard.press("Enter")
        assert it.page.evaluate("document.activeElement.id") == "x-detail"


def test_letters_elsewhere_on_the_page_do_nothing(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        before = it.selected()
        it.page.focus("nav a")
        it.page.keyboard.press("j")
        assert it.selected() == before


def test_the_address_of_a_sample_opens_it(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        it.page.focus("#x-list")
        it.page.keyboard.press("j")
        chosen, anchor = it.selected(), it.page.evaluate("location.hash")
    assert unquote(anchor).startswith("#s=0/")
    with open_html(chromium, html, tmp_path, anchor=anchor) as it:
        assert it.selected() == chosen
        it.page.evaluate("location.hash = '#s=0/letters/13/plain'")
        it.page.wait_for_function("document.querySelector('#x-detail h3').textContent == 'letters, document 13'")
        it.page.evaluate("location.hash = '#s=0/nowhere/13/plain'")
        it.page.wait_for_function("document.querySelector('#x-count').textContent.includes('not among those')")


def test_only_rows_in_sight_exist(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path) as it:
        it.page.select_option("#x-outcome", "any")
        it.page.select_option("#x-latent", "")
        assert it.count() == 160
        assert len(it.rows()) < 50
        it.page.focus("#x-list")
        it.page.keyboard.press("G")
        it.page.wait_for_function("document.getElementById('x-row-159') !== null")
        assert len(it.rows()) < 50


def test_hostile_texts_are_texts(chromium, tmp_path):
    """In names, prompts, answers, choices and the address."""
    with open_html(chromium, page_of("gsm8k" + HOSTILE, text=HOSTILE), tmp_path) as it:
        it.page.select_option("#x-outcome", "any")
        it.page.select_option("#x-latent", "")
        for _ in range(12):
            it.page.focus("#x-list")
            it.page.keyboard.press("j")
        detail = it.detail()
        assert "<script>document.title='trapped'</script>" in detail
        assert "\\u202e\\x00" in detail
        assert "trapped" not in it.page.title().split("·")[-1]
        assert it.page.title().startswith("t</script>")
        assert it.page.query_selector_all("img, #x-detail script, #x-list script, #x-detail style") == []
        chosen = it.selected()
        it.page.reload()
        it.page.wait_for_selector("html[data-explorer=ready]", state="attached")
        assert it.selected() == chosen
        assert it.console == []
        assert [url for url in it.requests if not url.startswith("file:")] == []


def test_a_script_that_is_not_the_pages_own_does_not_run(chromium, html, tmp_path):
    broken = html.replace("</main>", "<script>document.title = 'trapped'</script></main>")
    with open_html(chromium, broken, tmp_path) as it:
        assert it.page.title() != "trapped"
        assert any("Content Security Policy" in line for line in it.console)


def test_without_a_script_the_page_says_so_and_shows_what_changed(chromium, html, tmp_path):
    with open_html(chromium, html, tmp_path, java_script_enabled=False) as it:
        assert it.page.is_visible("#samples noscript p")
        assert it.page.is_hidden("#explorer")
        assert it.page.locator("article.flip").count() > 0


AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium, html, tmp_path, scheme):
    """With the page's own policy on: the checker runs in the driver's world, not in the page's scripts."""
    unfolded = html.replace("<details", "<details open")
    with open_html(chromium, unfolded, tmp_path, color_scheme=scheme, bypass_csp=True) as it:
        it.page.evaluate(AXE)
        found = it.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [node["html"][:120] for node in v["nodes"][:3]]) for v in serious] == []
