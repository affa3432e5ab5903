"""Cases 61 to 68: figures that are none, and figures of what does not belong together."""

import pytest

from tests.bad_inputs.case import Case, Held, run_arguments

BUILD = "tests/report/test_build.py"
ODD = "tests/report/test_odd_runs.py"


CASES = (
    Case(67, "a share above 1", lambda room: run_arguments(room.checkpoint(), "--max-unscored", "5")),
    Case(67, "a share in percent", lambda room: run_arguments(room.checkpoint(), "--max-unscored", "5%")),
)
HELD = (
    Held(
        61,
        "a gain over a baseline of 0",
        f"{BUILD}::test_a_baseline_that_may_be_zero_leaves_the_gain_out_with_the_reason",
    ),
    Held(62, "a score that is NaN or infinite", f"{ODD}::test_a_score_that_is_not_a_number_counts_as_none"),
    Held(
        62,
        "NaN in an export",
        "tests/report/test_exports.py::test_json_holds_the_same_numbers_and_null_for_what_is_not_there",
    ),
    Held(63, "the mean of nothing", "tests/stats/test_estimate.py::test_no_item_has_nothing_but_a_reason"),
    Held(
        64,
        "an error from one item",
        "tests/stats/test_estimate.py::test_one_item_has_a_mean_but_no_stderr_and_the_reason_is_said",
    ),
    Held(64, "an error from equal scores", f"{ODD}::test_all_ties_and_one_item_are_a_sentence_and_no_verdict"),
    Held(
        65,
        "NaN among what is sorted",
        "tests/report/test_verdicts.py::test_scores_that_are_no_number_are_left_out_of_every_statistic",
    ),
    Held(66, "one task with other shots", "tests/report/test_catalog.py::test_other_shots_or_versions_are_other_tasks"),
    Held(
        66,
        "items that the other run has not",
        "tests/report/test_pairing.py::test_another_prompt_does_not_pair_and_the_field_is_named",
    ),
    Held(67, "a margin of 100 points", "tests/report/test_verdicts.py::test_a_margin_must_be_points_above_zero"),
    Held(
        68,
        "no sample could be scored",
        "tests/run/test_journal.py::test_unscored_samples_are_told_and_too_many_fail_the_run",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_figure_that_is_none_is_one_line(hold, case):
    hold(case)
