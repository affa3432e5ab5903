"""Who is held to whom, and what counts as the same task."""

import pytest

from ft_eval.errors import ReportError
from ft_eval.records import LatentPolicy, LatentSource, TaskGroup
from ft_eval.report.catalog import make_catalog, match_up
from ft_eval.report.columns import as_readers
from tests.report.fakes import FakeStore, baseline, job, latent, plan, store, task


def matchups(*stores: FakeStore) -> list[tuple[str | None, tuple[str, ...]]]:
    found = match_up(make_catalog(as_readers(stores)).contenders)
    return [(m.baseline.label if m.baseline else None, tuple(c.label for c in m.latents)) for m in found]


def test_every_latent_goes_to_the_baseline_it_names():
    jobs = [
        job(c, task()) for c in (baseline("a"), baseline("b"), latent("l1", baseline="b"), latent("l2", baseline="a"))
    ]
    assert matchups(store(dict.fromkeys(jobs))) == [("a", ("l2",)), ("b", ("l1",))]


def test_a_latent_without_a_baseline_here_stands_alone():
    jobs = [job(c, task()) for c in (baseline("a"), latent("l1", baseline="gone"), latent("l2", baseline=None))]
    assert matchups(store(dict.fromkeys(jobs))) == [("a", ()), (None, ("l1",)), (None, ("l2",))]


def test_policies_and_seeds_of_one_checkpoint_are_contenders_of_their_own():
    zero = LatentPolicy(source=LatentSource.ZERO)
    jobs = [
        job(baseline(), task()),
        job(latent(), task()),
        job(latent(), task(), latents=zero),
        job(latent(), task(), latents=LatentPolicy(num_draws=8)),
        job(latent(), task(), latents=LatentPolicy(num_draws=8, adaptive=True)),
    ]
    labels = ("latent prior", "latent zero", "latent prior ×8", "latent prior ×8 adaptive")
    assert matchups(store(dict.fromkeys(jobs))) == [("base", labels)]


def test_a_latent_is_held_to_the_baseline_of_its_seed():
    jobs = [job(c, task(), seed=s) for c in (baseline(), latent()) for s in (0, 1)]
    assert matchups(store(dict.fromkeys(jobs))) == [
        ("base seed 0", ("latent seed 0",)),
        ("base seed 1", ("latent seed 1",)),
    ]


def test_a_pair_may_be_spread_over_runs():
    stores = store({job(baseline(), task()): [1.0]}), store({job(latent(), task()): [0.0]})
    assert matchups(*stores) == [("base", ("latent",))]
    assert len(make_catalog(as_readers(stores)).entries) == 2


def test_of_two_runs_of_one_job_the_finished_and_longer_one_counts():
    short, long = task(limit=2, num_docs=2), task(num_docs=20)
    runs = [
        store({job(baseline(), spec): scores}) for spec, scores in ((long, None), (short, [1.0, 1.0]), (long, [0.0]))
    ]
    readers = as_readers(runs)
    entry = make_catalog(readers).entries["base", "gsm8k"]
    assert entry.store is readers[2]


def test_other_shots_or_versions_are_other_tasks():
    specs = (task(), task(num_fewshot=0), task(version="2"))
    catalog = make_catalog(as_readers([store({job(baseline(), spec): None}) for spec in specs]))
    assert list(catalog.tasks) == [
        "gsm8k (5-shot, version 1)",
        "gsm8k (0-shot, version 1)",
        "gsm8k (5-shot, version 2)",
    ]


def test_a_group_keeps_its_own_order_and_the_tasks_that_were_run():
    jobs = [job(baseline(), task(name)) for name in ("b", "a")]
    group = TaskGroup(name="g", tasks=("a", "b", "c"), metric="acc")
    assert make_catalog(as_readers([FakeStore(plan(jobs, [group]))])).groups[0].tasks == ("a", "b")


def test_one_name_for_two_sets_of_weights_is_refused():
    runs = [store({job(baseline(digest=letter * 64), task()): None}) for letter in "ab"]
    with pytest.raises(
        ReportError, match="'base' stands for two sets of weights, sha256 aaaaaaaaaaaa and bbbbbbbbbbbb"
    ):
        make_catalog(as_readers(runs))


def test_no_job_is_refused():
    with pytest.raises(ReportError, match="no jobs in these runs"):
        make_catalog(as_readers([FakeStore(plan([]))]))
    with pytest.raises(ReportError, match="no jobs in these runs"):
        make_catalog([])
