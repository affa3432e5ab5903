"""A report held to a policy: outcomes by intervals, JUnit XML, and a strict policy file."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ft_eval.errors import ConfigError, ReportError
from ft_eval.records import Job, LatentPolicy, LatentSource, SampleResult
from ft_eval.report import EXIT_CODES, GateResult, Outcome, Terms, build_report, check_policy, junit_xml, load_policy
from tests.report import fakes

TASK = fakes.task(num_docs=100)
BASE, LATENT = fakes.job(fakes.baseline(), TASK), fakes.job(fakes.latent(), TASK)
Scores = dict[Job, Sequence[float | SampleResult] | None]
SAME, BETTER, WORSE = [1.0] * 50 + [0.0] * 50, [1.0] * 70 + [0.0] * 30, [1.0] * 30 + [0.0] * 70


def _gate(tmp_path: Path, text: str, scores: Scores) -> GateResult:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    policy = load_policy(path)
    terms = Terms(primary=policy.primary, margin_points=policy.margin_points)
    return check_policy(build_report([fakes.store(scores)], terms=terms), policy)


@pytest.mark.parametrize(
    ("rule", "latent", "wanted"),
    [
        ("no_worse_than = 5", SAME, Outcome.PASS),
        ("no_worse_than = 5", BETTER, Outcome.PASS),
        ("no_worse_than = 5", WORSE, Outcome.FAIL),
        ("no_worse_than = 20", WORSE, Outcome.INCONCLUSIVE),
        ("better_than = 0", BETTER, Outcome.PASS),
        ("better_than = 5", BETTER, Outcome.PASS),
        ("better_than = 20", BETTER, Outcome.INCONCLUSIVE),
        ("better_than = 40", BETTER, Outcome.FAIL),
        ("better_than = 0", SAME, Outcome.INCONCLUSIVE),
        ("better_than = 0", WORSE, Outcome.FAIL),
        ("min_score = 50", BETTER, Outcome.PASS),
        ("min_score = 50", SAME, Outcome.INCONCLUSIVE),
        ("min_score = 50", WORSE, Outcome.FAIL),
    ],
)
def test_an_interval_on_the_right_side_passes_on_the_wrong_side_fails_and_across_is_inconclusive(
    tmp_path: Path, rule: str, latent: list[float], wanted: Outcome
) -> None:
    result = _gate(tmp_path, f"[all]\n{rule}\n", {BASE: SAME, LATENT: latent})
    assert [check.outcome for check in result.checks] == [wanted]
    assert result.outcome is wanted


@pytest.mark.parametrize(("num_docs", "wanted"), [(4, Outcome.INCONCLUSIVE), (100, Outcome.PASS)])
def test_draws_that_changed_nothing_pass_only_where_there_are_enough_of_them(tmp_path, num_docs, wanted) -> None:
    """Of four documents none changed: that says little of the task. A t interval would be a point at 0."""
    task = fakes.task(num_docs=num_docs)
    base, latent = fakes.job(fakes.baseline(), task), fakes.job(fakes.latent(), task, latents=LatentPolicy(num_draws=2))
    same = [float(place % 2) for place in range(num_docs)]
    draws = [fakes.sample(latent, place, same[place], draw=draw) for place in range(num_docs) for draw in range(2)]
    result = _gate(tmp_path, "[all]\nno_worse_than = 5\n", {base: same, latent: draws})
    assert [check.outcome for check in result.checks] == [wanted]


def test_less_is_better_where_the_task_says_so(tmp_path: Path) -> None:
    task = fakes.task(num_docs=100, higher_is_better=False)
    scores: Scores = {fakes.job(fakes.baseline(), task): SAME, fakes.job(fakes.latent(), task): WORSE}
    assert _gate(tmp_path, "[all]\nbetter_than = 0\nmin_score = 45\n", scores).outcome is Outcome.PASS


def test_a_tasks_rules_stand_before_those_of_all(tmp_path: Path) -> None:
    text = "[all]\nno_worse_than = 5\n[tasks.gsm8k]\nno_worse_than = 50\n"
    assert _gate(tmp_path, text, {BASE: SAME, LATENT: WORSE}).outcome is Outcome.PASS


def test_what_has_not_finished_is_incomplete_and_a_failure_comes_first(tmp_path: Path) -> None:
    other = fakes.task("mmlu", num_docs=100)
    scores: Scores = {BASE: SAME, LATENT: SAME, fakes.job(fakes.baseline(), other): SAME}
    scores[fakes.job(fakes.latent(), other)] = None
    assert _gate(tmp_path, "[all]\nno_worse_than = 5\n", scores).outcome is Outcome.INCOMPLETE
    assert _gate(tmp_path, "[all]\nno_worse_than = 5\n", scores | {LATENT: WORSE}).outcome is Outcome.FAIL


def test_first_documents_alone_are_incomplete_unless_the_policy_allows_it(tmp_path: Path) -> None:
    task = fakes.task(num_docs=100, limit=100)
    scores: Scores = {fakes.job(fakes.baseline(), task): SAME, fakes.job(fakes.latent(), task): SAME}
    assert _gate(tmp_path, "[all]\nno_worse_than = 5\n", scores).outcome is Outcome.INCOMPLETE
    assert _gate(tmp_path, "allow_limit = true\n[all]\nno_worse_than = 5\n", scores).outcome is Outcome.PASS


def test_a_task_in_no_run_is_incomplete_and_named_with_its_near_miss(tmp_path: Path) -> None:
    result = _gate(tmp_path, "[tasks.gsm8kk]\nmin_score = 1\n", {BASE: SAME, LATENT: SAME})
    assert result.outcome is Outcome.INCOMPLETE
    assert "did you mean gsm8k?" in result.checks[-1].found


def test_unscored_documents_are_counted_on_either_side(tmp_path: Path) -> None:
    broken = [fakes.sample(LATENT, i, 1.0, error="sandbox died") if i < 2 else 1.0 for i in range(100)]
    scores: Scores = {BASE: SAME, LATENT: broken}
    assert _gate(tmp_path, "[all]\nmax_unscored_share = 0.02\n", scores).outcome is Outcome.PASS
    assert _gate(tmp_path, "[all]\nmax_unscored_share = 0.01\n", scores).outcome is Outcome.FAIL


def test_control_arms_are_held_to_nothing_unless_they_are_named(tmp_path: Path) -> None:
    zero = fakes.job(fakes.latent("ft"), TASK, latents=LatentPolicy(source=LatentSource.ZERO))
    scores: Scores = {BASE: SAME, LATENT: SAME, zero: WORSE}
    assert _gate(tmp_path, "[all]\nno_worse_than = 5\n", scores).outcome is Outcome.PASS
    assert _gate(tmp_path, 'latents = ["ft"]\n[all]\nno_worse_than = 5\n', scores).outcome is Outcome.FAIL
    with pytest.raises(ReportError, match="did you mean latent"):
        _gate(tmp_path, 'latents = ["latnt"]\n[all]\nno_worse_than = 5\n', scores)


def test_runs_without_a_comparison_are_incomplete(tmp_path: Path) -> None:
    assert _gate(tmp_path, "[all]\nno_worse_than = 5\n", {BASE: SAME}).outcome is Outcome.INCOMPLETE


def test_exit_codes_leave_2_to_mistakes() -> None:
    assert {outcome.value: code for outcome, code in EXIT_CODES.items()} == {
        "pass": 0, "fail": 1, "inconclusive": 3, "incomplete": 4
    }  # fmt: skip


def test_junit_counts_what_it_holds_and_survives_hostile_names(tmp_path: Path) -> None:
    latent = fakes.job(fakes.latent("<&\x1b[31m]]>"), TASK)
    result = _gate(tmp_path, "[all]\nno_worse_than = 5\nmin_score = 45\n", {BASE: SAME, latent: SAME})
    text = junit_xml(result, name="policy.toml", timestamp="2026-11-01T00:00:00Z")
    (suite,) = ET.fromstring(text)  # noqa: S314 — our own text
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "1")
    assert [case.get("name") for case in suite] == ["gsm8k: no worse than 5 points", "gsm8k: score at least 45"]
    assert [child.tag for case in suite for child in case] == ["system-out", "error"]
    assert text == junit_xml(result, name="policy.toml", timestamp="2026-11-01T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rule; add one"),
        ("[all]", "no rule; add one"),
        ("[all]\nno_worse_then = 1", "unknown key all.no_worse_then; did you mean no_worse_than?"),
        ("[al]\nno_worse_than = 1", "unknown key al; did you mean all?"),
        ("[all]\nno_worse_than = -1", "all.no_worse_than: got -1, expected points of 100, 0 or more"),
        ("[all]\nno_worse_than = true", "got True"),
        ("[all]\nmin_score = nan", "all.min_score: got nan"),
        (
            "[tasks.gsm8k]\nmax_unscored_share = 2",
            "tasks.gsm8k.max_unscored_share: got 2, expected a share from 0 to 1",
        ),
        ("tasks = 3\n", "tasks: got 3, expected tables"),
        ("all = 3\n", "all: got 3, expected a table [all]"),
        ("margin = 0\n[all]\nmin_score = 1", "margin: got 0, expected points above 0"),
        ("primary = 'gsm8k'\n[all]\nmin_score = 1", "primary: got 'gsm8k', expected a list"),
        ("[all]\nmin_score = 1 1\n", "policy.toml:2: not TOML"),
    ],
)
def test_what_is_off_in_a_policy_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_policy(path)
    assert said in str(error.value)


def test_a_policy_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't read: No such file.*docs/gate\.md"):
        load_policy(tmp_path / "none.toml")
