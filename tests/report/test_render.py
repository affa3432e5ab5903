"""The page holds the report's numbers, asks for nothing, runs nothing, and shows hostile text as text."""

import base64
import hashlib
import math
import os
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from ft_eval.errors import StoreError
from ft_eval.records import TaskGroup
from ft_eval.report import Report, Verdict, build_report, recorded_runs, render_html, score_records, write_report
from ft_eval.report.scores import ScoreRecord
from ft_eval.resources import templates_dir
from tests.report.example import example_report
from tests.report.fakes import FakeStore, baseline, job, latent, sample, store, task
from tests.report.page import Page

HOSTILE = (
    "<script>alert(1)</script></script></style></pre>\"'><img src=x onerror=alert(1)>"
    "{{ 7 * 7 }}{% raw %}\x1b[31m\x00\u202e&lt;&#60;]]>--><!--\ud800"
)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_html(example_report()))


def hostile_store(text: str) -> FakeStore:
    """A run in which every text that a user, a task or a model can choose is the same hostile one."""
    spec = task(text, metric=text, version=text, dataset=text, output_type=text)
    grouped = task("leaf", metric=text)
    group = TaskGroup(name=text + text, tasks=("leaf",), metric=text)
    base, other = baseline(text, dtype=text, digest=text), latent("latent " + text, baseline=text, digest=text)
    fake = FakeStore(plan=store({}).plan)
    for arm in (base, other):
        for owned in (spec, grouped):
            owner = job(arm, owned)
            texts = {"prompt": text, "target": text, "responses": (text, text), "details": {text: text}}
            samples = [sample(owner, i, float((i + (arm is base)) % 2), **texts) for i in range(4)]
            samples = [replace(s, logprobs_nats=(-1.0, -2.0)) if owned is grouped else s for s in samples]
            samples.append(replace(samples[0], doc_id=9, error=text))
            finished = store({owner: samples})
            fake.stored |= finished.stored
            fake.results |= {owner.id: replace(finished.results[owner.id], scoring={text: text + arm.name})}
    jobs = tuple(job(arm, owned) for arm in (base, other) for owned in (spec, grouped))
    environment = replace(fake.plan.environment, python=text, platform=text, processor=text, versions={text: text})
    fake.plan = replace(fake.plan, jobs=jobs, groups=(group,), environment=environment, command=text, created_at=text)
    return fake


def test_hostile_text_never_becomes_markup():
    hostile = Page(render_html(build_report([hostile_store(HOSTILE)], title=HOSTILE)))
    harmless = Page(render_html(build_report([hostile_store("harmless")], title="harmless")))
    assert Counter(tag for tag, _ in hostile.tags) - Counter({"wbr": 10**6}) == Counter(
        tag for tag, _ in harmless.tags
    ) - Counter({"wbr": 10**6})
    assert not hostile.open_elements
    assert "{{ 7 * 7 }}" in hostile.text
    assert "<script>alert(1)</script>" in hostile.text


def test_hostile_text_leaves_no_control_character_on_the_page():
    html = render_html(build_report([hostile_store(HOSTILE)], title=HOSTILE))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", html)
    assert "\\x1b[31m\\x00\\u202e" in html


def test_the_page_runs_its_own_script_alone_and_asks_for_nothing(page):
    """One script is data, the other is ours."""
    assert [a.get("type") for tag, a in page.tags if tag == "script"] == ["application/octet-stream", None]
    names = {tag for tag, _ in page.tags}
    assert not names & {"link", "img", "iframe", "object", "embed", "form", "base", "audio", "video", "use"}
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on") or key == "src"]
    assert all(value and value.startswith("#") for value in page.attributes("href"))
    assert "url(" not in render_html(example_report())
    assert "@import" not in render_html(example_report())


def test_the_policy_forbids_everything_but_the_pages_own_style_and_script(page):
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy is not None
    html = render_html(example_report())
    style, script = (re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL) for tag in ("style", "script"))
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style[0], script[-1])]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}';")
    assert "unsafe" not in policy
    assert not page.attributes("style")


def test_the_page_is_well_formed_and_its_ids_are_unique(page):
    assert not page.open_elements
    assert max(Counter(page.attributes("id")).values()) == 1
    targets = {value[1:] for value in page.attributes("href") if value}
    labels = {part for value in page.attributes("aria-labelledby") for part in (value or "").split()}
    assert targets | labels <= set(page.attributes("id"))


def test_every_table_has_a_caption_and_scoped_headings(page):
    assert all(table.caption.strip() for table in page.tables)
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in page.tags if tag == "th")


def test_headings_never_skip_a_level(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_every_drawing_is_named_and_described(page):
    outer = [attributes for tag, attributes in page.tags if tag == "svg" and "role" in attributes]
    assert outer
    assert all(attributes["role"] == "img" and attributes["aria-labelledby"] for attributes in outer)


def numbers_of(record: ScoreRecord) -> list[float]:
    """The numbers of a comparison's row in the order of its columns; those that are nan are not printed."""
    numbers = [
        record.num_pairs, record.baseline_score, record.baseline_stderr, record.latent_score, record.latent_stderr,
        record.difference, record.relative_gain_percent, record.smallest_detectable,
        record.smallest_detectable_percent, record.num_wins, record.num_losses, record.num_ties, record.p_corrected,
        record.p_value if record.correction else math.nan, record.p_exact, record.p_permutation,
    ]  # fmt: skip
    return [number for number in numbers if not math.isnan(number)]


def test_every_number_of_a_comparison_stands_in_its_table(page):
    records = [r for r in score_records(example_report()) if r.is_primary and r.verdict]
    for latent_label in ("κ-1/4", "κ-1/2", "κ-2"):
        (table,) = [t for t in page.tables if t.caption.startswith(f"{latent_label} against")]
        rows = {row.heading.split()[0]: row.numbers for row in table.rows if row.heading}
        mine = [record for record in records if record.latent == latent_label]
        assert len(mine) == 12
        for record in mine:
            assert rows[record.task] == numbers_of(record)


def test_every_other_metric_stands_in_its_tasks_table(page):
    records = [r for r in score_records(example_report()) if not r.is_primary and r.verdict]
    assert records
    for record in records:
        tables = [t for t in page.tables if t.caption == f"Other metrics of {record.task}, {record.latent}"]
        rows = {row.heading.split()[0]: row.numbers for table in tables for row in table.rows if row.heading}
        assert rows[record.metric] == numbers_of(record)


def test_the_same_report_is_the_same_page_to_the_byte():
    assert len({render_html(build_report([hostile_store(HOSTILE)])) for _ in range(2)}) == 1


def test_a_verdict_has_a_word_and_a_shape_besides_its_colour(page):
    words = {"better": "▲", "worse": "▼", "unresolved": "○", "equivalent": "◆"}
    assert all(f"{shape} {word}" in page.text for word, shape in words.items())
    assert set(words) == set(Verdict)
    assert len(set(words.values())) == len(words)


def text_of(report: Report) -> str:
    return " ".join(Page(render_html(report)).text.split())


def test_a_gain_that_is_left_out_is_said_with_its_reason():
    spec = task()
    text = text_of(build_report([store({job(baseline(), spec): [0.0] * 5, job(latent(), spec): [1.0] * 5})]))
    assert "left out the baseline's 95 % interval reaches 0" in text.replace("left out", "left out ").replace("  ", " ")


def test_a_run_in_progress_and_a_limit_are_marked_on_the_page():
    spec = task(limit=5)
    text = text_of(build_report([store({job(baseline(), spec): [0.0] * 5, job(latent(), spec): None})]))
    assert "in progress: 1 of 2 jobs unfinished" in text
    assert "partial: first 5 documents" in text
    assert "latent: gsm8k" in text
    assert "not finished" in text


@pytest.mark.parametrize("arm", [baseline(), latent()])
def test_a_checkpoint_alone_has_a_page(arm):
    text = text_of(build_report([store({job(arm, task()): [0.0, 1.0]})]))
    assert f"{arm.name}, alone" in text
    assert "50.0 ± 50.0" in text


def test_nothing_finished_has_a_page():
    text = text_of(build_report([store({job(baseline(), task()): None, job(latent(), task()): None})]))
    assert "No job has finished yet." in text


def test_provenance_is_on_the_page(page):
    report = example_report()
    wanted = [run.command for run in report.runs] + [c.checkpoint.digest for c in report.contenders]
    wanted += [card.task.dataset_digest for card in report.tasks]
    wanted += ["torch 2.13.0", "AMD EPYC", "3.11.7", "Linux-6.1-x86_64", "bfloat16", "prior", "sandbox: bubblewrap"]
    assert [text for text in wanted if text not in page.text] == []


def test_write_report_leaves_whole_files(tmp_path):
    report = build_report([store({job(baseline(), task()): [1.0, 0.0]})])
    paths = write_report(report, tmp_path / "deep" / "er")
    names = ["report.html", "scores.csv", "scores.md", "scores.tex", "scores.json", "base.json"]
    names[5:5] = ["sections.csv", "sections.tex"]
    names += ["scores.parquet", "sections.parquet"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "deep").rglob("*.*")) == sorted(names)
    assert paths[0].read_text(encoding="utf-8") == render_html(report)


@pytest.mark.parametrize("name", ["report.html", "scores.csv", "every_eval_ever", "samples.parquet"])
@pytest.mark.parametrize("what", ["a link", "a pipe"])
def test_what_is_no_file_is_neither_replaced_nor_followed(tmp_path, name, what):
    if what == "a pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / name).symlink_to("elsewhere")
    runs = [store({job(baseline(), task()): [1.0, 0.0]})]
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(StoreError, match="move it away"), recorded_runs(runs, tmp_path / "samples.parquet") as recorded:
        write_report(build_report(recorded), tmp_path)
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_contrasts_with_every_background_in_both_schemes():
    """WCAG 2: at least 4.5 to 1."""
    style = (templates_dir() / "_style.css.j2").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    light, dark = schemes[:2]
    for scheme in (light, dark):
        for text in ("text", "muted", "blue", "orange"):
            for ground in ("bg", "raised", "warn-bg", "accent-bg"):
                bright, dim = sorted((luminance(scheme[text]), luminance(scheme[ground])), reverse=True)
                assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground, scheme)
