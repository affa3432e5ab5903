"""Each of a prompt's samples is written, kept, judged and counted once, whatever draw of Z it is of."""

from itertools import combinations
from pathlib import Path

import pytest
from lm_eval.api.instance import Instance

from ft_eval.harness import code_tasks
from ft_eval.harness.code_check import check_references
from ft_eval.harness.evaluate import JobOutcome, evaluate_job
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.repeats import with_each_repeat
from ft_eval.harness.requests import count_requests
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks
from ft_eval.records import Answer, Arm, Checkpoint, Job, LatentPolicy
from ft_eval.resources import tasks_dir
from tests.fakes import tiny_engine

NUM_DOCS, NUM_REPEATS = 2, 4
SAMPLED = """
include: {tasks}/{task}/{task}.yaml
task: mine
repeats: {repeats}
generation_kwargs:
  until: ["\\nclass"]
  do_sample: {sampled}
  temperature: {temperature}
  max_gen_toks: 12
"""
FIRST, MAJORITY = '[{function: "take_first"}]', '[{function: "majority_vote"}, {function: "take_first"}]'


def load(
    folder: Path, *, task: str = "toy_humaneval", repeats: int = NUM_REPEATS, sampled: bool = True, more: str = ""
) -> LoadedTasks:
    folder.mkdir(exist_ok=True)
    text = SAMPLED.format(
        tasks=tasks_dir(), task=task, repeats=repeats, sampled=str(sampled).lower(), temperature=float(sampled)
    )
    (folder / "mine.yaml").write_text(text + more)
    options = TaskOptions(limit=NUM_DOCS, include_paths=(folder,))
    return load_tasks(["mine"], options, DataSource(offline=True))


def evaluate(loaded: LoadedTasks, model: FreeTransformerLM, *, z_draws: int | None = None) -> JobOutcome:
    arm = Arm.BASELINE if z_draws is None else Arm.LATENT
    checkpoint = Checkpoint(name="c", arm=arm, path=Path("c"), digest="d")
    policy = None if z_draws is None else LatentPolicy(num_draws=z_draws)
    job = Job(checkpoint=checkpoint, task=loaded.specs[0], latents=policy, seed=3)
    return evaluate_job(job, loaded.tasks["mine"], model, {})


class Scripted(FreeTransformerLM):
    """Writes right and wrong solutions as it is told, per document and draw."""

    def __init__(self, folder: Path, right: list[list[bool]]) -> None:
        super().__init__(tiny_engine(folder), seed=3)
        self._right = right

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        texts: list[str] = []
        for request in requests:
            written = self.records.setdefault(f"mine/{request.doc_id}", [])
            draw = self._z_draw * NUM_REPEATS + len(written)
            is_right = self._right[request.doc_id][draw]
            texts.append(f"{request.doc['canonical_solution'] if is_right else '    return None'}  # {draw}\n")
            written.append((Answer(key=f"{request.doc_id}/{draw}", text=texts[-1], num_generated_tokens=1),))
        return texts


def by_hand(right: list[list[bool]], k: int) -> float:
    """The share of all sets of k draws that hold a right one, averaged over documents."""
    shares = [[any(chosen) for chosen in combinations(draws, k)] for draws in right]
    return sum(sum(share) / len(share) for share in shares) / len(shares)


@pytest.mark.parametrize("z_draws", [None, 1, 2])
def test_pass_at_k_is_over_all_repeats_and_draws(
    tmp_path: Path, session: code_tasks.CodeSession, z_draws: int | None
) -> None:
    pattern = [[False, True, False, False, True, False, False, False], [False] * 7 + [True]]
    right = [draws[: NUM_REPEATS * (z_draws or 1)] for draws in pattern]
    outcome = evaluate(load(tmp_path / "tasks"), Scripted(tmp_path / "model", right), z_draws=z_draws)
    draws = [[sample for sample in outcome.samples if sample.doc_id == doc_id] for doc_id in range(NUM_DOCS)]
    for found, expected in zip(draws, right, strict=True):
        assert [sample.draw for sample in found] == list(range(len(expected)))
        assert [sample.metrics["pass@1"] for sample in found] == list(map(float, expected))
        assert all(sample.responses[0].endswith(f"# {sample.draw}\n") for sample in found)
        assert len({sample.responses for sample in found}) == len(expected)
    sizes = range(1, len(right[0]) + 1)
    assert outcome.result.metrics == {f"pass@{k}": pytest.approx(by_hand(right, k)) for k in sizes}
    assert outcome.result.num_generated_tokens == outcome.result.num_samples == sum(map(len, right))


def test_a_sampled_task_writes_other_texts_and_judges_each(tmp_path: Path, session: code_tasks.CodeSession) -> None:
    loaded = load(tmp_path / "tasks")
    outcome = evaluate(loaded, FreeTransformerLM(tiny_engine(tmp_path / "model"), seed=3))
    texts = [sample.responses for sample in outcome.samples]
    assert len(texts) == len(set(texts)) == NUM_DOCS * NUM_REPEATS
    problem = loaded.tasks["mine"].eval_docs[0]
    assert check_references(session, "mine", [problem]) == "1 of 1 pass"


def test_a_dry_run_counts_each_repeat(tmp_path: Path) -> None:
    tokenizer = tiny_engine(tmp_path / "model").tokenizer
    counts = []
    for repeats in (1, NUM_REPEATS):
        loaded = load(tmp_path / str(repeats), repeats=repeats)
        counts.append(count_requests(loaded.tasks["mine"], loaded.specs[0], tokenizer, 256))
    once, each = counts
    assert once.num_requests == NUM_DOCS
    assert once.max_generated_tokens == 12 * NUM_DOCS
    assert each == once.times(NUM_REPEATS)


def test_filters_that_weigh_samples_are_left_alone(tmp_path: Path) -> None:
    tasks = {
        name: load(tmp_path / name, more=f"filter_list: [{{name: {name}, filter: {chain}}}]\n").tasks["mine"]
        for name, chain in (("first", FIRST), ("vote", MAJORITY))
    }
    assert with_each_repeat(tasks["first"])[1].num_scored == NUM_REPEATS
    same, repeats = with_each_repeat(tasks["vote"])
    assert (same, repeats.num_scored) == (tasks["vote"], 1)


def test_a_filter_with_the_mark_in_its_name_keeps_it(tmp_path: Path) -> None:
    task = load(tmp_path / "tasks", more=f"filter_list: [{{name: a#b, filter: {FIRST}}}]\n").tasks["mine"]
    copied, repeats = with_each_repeat(task)
    assert [repeats.split(one.name) for one in copied._filters] == [("a#b", n) for n in range(NUM_REPEATS)]
    assert [one.name for one in task._filters] == ["a#b"]


def test_greedy_repeats_are_remarked_on_and_sampled_ones_are_not(tmp_path: Path) -> None:
    (remark,) = load(tmp_path / "greedy", sampled=False).remarks
    assert remark.startswith("task mine repeats each prompt 4 times and decodes greedily")
    assert load(tmp_path / "sampled").remarks == ()


def test_another_number_of_samples_is_another_job(tmp_path: Path) -> None:
    four, same, five = (load(tmp_path / name, repeats=n).specs[0] for name, n in (("a", 4), ("b", 4), ("c", 5)))
    assert four.settings_digest == same.settings_digest != five.settings_digest
    jobs = [Job(checkpoint=CHECKPOINT, task=spec, latents=None, seed=0) for spec in (four, five)]
    assert jobs[0].id != jobs[1].id


CHECKPOINT = Checkpoint(name="c", arm=Arm.BASELINE, path=Path("c"), digest="d")
