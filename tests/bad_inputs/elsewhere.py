"""Rows of the page, of any number, whose tests stand with what they test."""

from tests.bad_inputs.case import Case, Held

_OUTPUT = "tests/cli/test_output.py"
_OUTPUTS = "tests/store/test_outputs.py"
_MANIFEST = "tests/harness/test_manifest.py"
_SAMPLES = "tests/harness/test_code_samples.py"
CASES: tuple[Case, ...] = ()
HELD = (
    Held(
        55,
        "a file that the manifest does not list",
        f"{_MANIFEST}::test_a_file_that_is_not_listed_and_could_be_data_is_refused",
    ),
    Held(
        55,
        "tests that are not those of the manifest",
        "tests/harness/test_code_data.py::test_a_release_file_that_the_manifest_does_not_list_so_is_refused",
    ),
    Held(
        55,
        "tests that are no known release",
        "tests/cli/test_score.py::test_tests_that_are_no_release_are_told_and_those_of_a_manifest_are_held_to_it",
    ),
    Held(56, "samples from a pipe", f"{_SAMPLES}::test_samples_are_read_from_a_pipe"),
    Held(56, "a line of samples that is no UTF-8", f"{_SAMPLES}::test_a_line_that_is_no_utf8_is_named_with_its_number"),
    Held(69, "scores into a file that is read", f"{_OUTPUT}::test_an_input_of_score_is_never_written_over"),
    Held(
        69,
        "scores into a folder that can't be written",
        f"{_OUTPUT}::test_a_folder_that_can_not_be_written_is_found_out_before_anything_is_scored",
    ),
    Held(
        69,
        "scores through a link or into a pipe",
        f"{_OUTPUTS}::test_through_a_link_its_target_is_written_and_the_link_stays",
    ),
    Held(
        69,
        "a pipe or a link in a report's place",
        "tests/report/test_render.py::test_what_is_no_file_is_neither_replaced_nor_followed",
    ),
    Held(
        69,
        "a run that goes on in another sandbox",
        "tests/cli/test_score.py::test_a_run_that_goes_on_in_another_sandbox_says_so",
    ),
    Held(
        70,
        "a full disk after all was scored",
        f"{_OUTPUT}::test_scores_that_find_no_room_are_shown_and_the_exit_code_says_it",
    ),
    Held(73, "a reader of a table that goes away", f"{_OUTPUT}::test_a_reader_of_a_table_that_goes_away_is_no_error"),
    Held(73, "a closed stderr", f"{_OUTPUT}::test_a_closed_stderr_is_no_reason_to_stop"),
)
