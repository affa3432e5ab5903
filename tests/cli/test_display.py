"""A display says where a run stands in any terminal, and in a pipe by lines now and then."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress as Bars

from ft_eval.cli.code_settings import code_settings
from ft_eval.cli.display import BarProgress, LineProgress, Style, _columns, live_progress
from ft_eval.cli.verdicts import _table
from ft_eval.harness.mirror import DataSource
from ft_eval.records import Answer
from ft_eval.report import RowKind, SummaryRow, Verdict
from ft_eval.run.labels import label
from tests.store import made


def answer(index: int) -> Answer:
    return Answer(key=f"k/{index}", text="x", num_prompt_tokens=700, num_generated_tokens=300)


@pytest.fixture
def plan():
    return made.plan(name="a_task_whose_name_is_longer_than_a_narrow_terminal_is_wide", num_docs=4)


@pytest.mark.parametrize("width", [50, 60, 80, 109, 110, 200])
def test_in_any_width_a_line_says_how_far_a_job_is_and_what_is_left(plan, width):
    written = io.StringIO()
    console = Console(file=written, width=width, force_terminal=True, color_system=None)
    bars = Bars(*_columns(width), console=console, auto_refresh=False)
    display = BarProgress(plan, bars)
    display.job_started(plan.jobs[0], 8000)
    for index in range(120):
        display.answered(plan.jobs[0], answer(index))
    console.print(bars.get_renderable())
    _, line = written.getvalue().splitlines()
    assert "120/8000" in line
    assert "left" in line
    assert ":" in line.partition("left")[2]
    assert ("tokens/s" in line) == (width >= 80)
    assert len(line) <= width


def test_a_pipe_gets_whole_lines_and_at_most_four_a_minute(plan, capsys):
    display, (job, _) = LineProgress(plan), plan.jobs
    now = 0.0
    display.clock = lambda: now
    display.job_started(job, 1000)
    for index in range(120):
        now += 0.5
        display.answered(job, answer(index))
    display.job_finished(job)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err + "\r"
    lines = err.splitlines()
    assert all(line.startswith(f"[1/2] {label(job)}: ") for line in lines)
    assert lines[0].endswith("1000 requests")
    assert [line.partition(": ")[2] for line in lines[1:]] == [
        "30 of 1000 requests, about 8 min left",
        "60 of 1000 requests, about 8 min left",
        "90 of 1000 requests, about 8 min left",
        "120 of 1000 requests, about 7 min left",
        "done in 60.0 s",
    ]


def test_quiet_says_only_what_is_odd(plan, capsys):
    with live_progress(plan, Style.QUIET) as display:
        display.job_started(plan.jobs[0], 8)
        display.answered(plan.jobs[0], answer(0))
        display.job_finished(plan.jobs[0])
        display.noticed("a file was damaged")
    assert capsys.readouterr() == ("", "warning: a file was damaged\n")


@pytest.mark.parametrize(
    ("tells", "said"), [(True, "gold check, toy: 1 of 2 of its own solutions were run\n"), (False, "")]
)
def test_quiet_says_nothing_of_the_gold_check(tells, said, capsys):
    settings = code_settings(DataSource(), "auto", allow_unsafe_code=False, check_references=True, tells=tells)
    settings.on_check("toy", 1, 2)
    assert capsys.readouterr() == ("", said)


def row(latent: str) -> SummaryRow:
    return SummaryRow(
        task="toy_gsm8k",
        kind=RowKind.TASK,
        metric="exact_match/strict-match",
        num_items="1,319 × 8",
        baseline="toy-baseline",
        latent=latent,
        baseline_score="82.5",
        latent_score="68.8",
        difference="−13.8",
        interval="[−27.8, +10.3]",
        relative_gain="−16.7 % [−32.5 %, +10.3 %]",
        smallest_detectable="12.5",
        split="5/16/19",
        p_value="0.11",
        p_corrected="0.078",
        test="mid-p McNemar",
        verdict=Verdict.UNRESOLVED,
        remark="",
    )


@pytest.mark.parametrize("width", [60, 79, 80, 109, 110, 150])
def test_in_any_width_a_verdicts_row_says_task_latent_scores_difference_and_verdict(width):
    written = io.StringIO()
    console = Console(file=written, width=width, force_terminal=True, color_system=None)
    console.print(_table([row("toy-latent prior ×4"), row("toy-latent zero")], width))
    lines = written.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    table = written.getvalue()
    for whole in ("82.5 → 68.8", "−13.8", "[−27.8, +10.3]", "○ unresolved"):
        assert table.count(whole) == 2, f"{whole} is cut\n{table}"
    assert "prior" in table
    assert ("1,319 × 8" in table) == (width >= 80)
