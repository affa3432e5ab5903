"""The shipped pair gives the recorded answers, through the same code paths as the real tasks."""

import pytest

from tests.gold.smoke import LIMIT, TASKS, Row, collect, read


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[Row]:
    return collect(tmp_path_factory.mktemp("smoke"))


def test_every_answer_is_the_recorded_one(rows):
    recorded = read()
    assert [row.name for row in rows] == [row.name for row in recorded]
    for row, gold in zip(rows, recorded, strict=True):
        assert row.responses == gold.responses, row.name
        assert row.metrics == gold.metrics, row.name
        assert row.logprobs_nats == pytest.approx(gold.logprobs_nats, abs=2e-3), row.name


def test_every_task_is_asked_of_every_arm(rows):
    """The latent arm completes twice under the prior and once with Z off; choices are averaged."""
    counts = {(row.checkpoint, row.latents, row.task): 0 for row in rows}
    for row in rows:
        counts[row.checkpoint, row.latents, row.task] += 1
    assert len(counts) == 3 * len(TASKS)
    for (_, latents, task), count in counts.items():
        assert count == LIMIT * (2 if latents == "prior" and task != "toy_mmlu" else 1)


def test_scores_are_neither_all_wrong_nor_all_right(rows):
    for task in TASKS:
        scores = [score for row in rows if row.task == task for name, score in row.metrics if name != "acc_norm"]
        assert 0 < sum(scores) / len(scores) < 1
