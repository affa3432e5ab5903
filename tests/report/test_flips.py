"""The answers that changed: chosen by score, losses beside gains, and read without holding a run in memory."""

from dataclasses import replace

from ft_eval.report import build_report
from ft_eval.report.tables import FlipList
from tests.report.fakes import FakeStore, baseline, job, latent, sample, store, task

SPEC = task()
BASE, LATENT = job(baseline(), SPEC), job(latent(), SPEC)


def flips_of(fake: FakeStore, **options) -> FlipList:
    (found,) = build_report([fake], **options).panels[0].rows[0].flips
    return found


def test_losses_come_first_then_gains_and_ties_never():
    found = flips_of(store({BASE: [1.0, 0.0, 1.0, 0.0], LATENT: [0.0, 1.0, 1.0, 0.0]}))
    assert [(flip.doc_id, flip.is_gain) for flip in found.flips] == [(0, False), (1, True)]
    assert (found.num_lost, found.num_gained) == (1, 1)


def test_both_sides_get_half_of_the_room_and_the_rest_where_one_is_short():
    base = [1.0] * 30 + [0.0] * 30
    many = flips_of(store({BASE: base, LATENT: [1.0 - score for score in base]}), max_flips=20)
    assert [flip.is_gain for flip in many.flips] == [False] * 10 + [True] * 10
    few = flips_of(store({BASE: base, LATENT: [1.0] * 29 + [0.0] + [1.0] * 30}), max_flips=20)
    assert [flip.is_gain for flip in few.flips] == [False] + [True] * 19
    assert (few.num_lost, few.num_gained) == (1, 30)


def test_of_continuous_scores_the_largest_changes_are_shown():
    found = flips_of(store({BASE: [0.5] * 4, LATENT: [0.6, 0.9, 0.5, 0.1]}), max_flips=2)
    assert [(flip.doc_id, flip.is_gain) for flip in found.flips] == [(3, False), (1, True)]


def test_a_flip_holds_both_answers_the_target_and_the_end_of_the_prompt():
    base = [replace(sample(BASE, 0, 1.0), prompt="x" * 5000 + "THE END", responses=("right",), target="42")]
    other = [replace(sample(LATENT, 0, 0.0), prompt="x" * 5000 + "THE END", responses=("wrong " * 1000,), target="42")]
    (flip,) = flips_of(store({BASE: base, LATENT: other})).flips
    assert flip.prompt_tail.endswith("THE END")
    assert len(flip.prompt_tail) < 800
    assert (flip.target, flip.baseline.answer, flip.baseline.score) == ("42", "right", 1.0)
    assert len(flip.latent.answer) < 1100
    assert "characters left out" in flip.latent.answer


def test_multiple_choice_shows_the_choices_and_the_likeliest():
    base = [replace(sample(BASE, 0, 1.0), responses=(" A", " B"), logprobs_nats=(-1.0, -2.0))]
    other = [replace(sample(LATENT, 0, 0.0), responses=(" A", " B"), logprobs_nats=(-3.0, -2.0))]
    (flip,) = flips_of(store({BASE: base, LATENT: other})).flips
    assert (flip.baseline.answer, flip.latent.answer) == (" A", " B")
    assert flip.latent.choices == ((" A", -3.0), (" B", -2.0))


def test_texts_are_read_once_more_per_job_however_many_arms_there_are():
    arms = [job(latent(name), SPEC) for name in ("a", "b", "c")]
    fake = store({BASE: [1.0, 0.0], **{arm: [0.0, 0.0] for arm in arms}})
    build_report([fake])
    assert fake.num_reads == 2 * 4


def test_a_pair_whose_numbers_differ_shows_each_sides_own_document():
    other = [replace(sample(LATENT, i, 1.0 - i), doc_id=i + 50) for i in range(2)]
    (flip,) = flips_of(store({BASE: [0.0, 0.0], LATENT: other})).flips
    assert flip.doc_id == 50
    assert flip.baseline.answer == "base answers 0"
    assert flip.latent.answer == "latent answers 0"
