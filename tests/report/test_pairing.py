"""Items pair by content, not by place, and what does not pair is named."""

import random
from dataclasses import replace

from ft_eval.report.frames import item_frame, metric_column, read_samples
from ft_eval.report.pairing import Pairing, pair_items
from tests.report.fakes import baseline, batches, digest, job, latent, sample, task

BASE, LATENT = job(baseline(), task()), job(latent(), task())
EM = metric_column("exact_match")


def paired(base_samples, latent_samples) -> Pairing:
    return pair_items(*(item_frame(read_samples(batches(samples))) for samples in (base_samples, latent_samples)))


def test_items_pair_whatever_their_place_and_order():
    scores = [i / 10 for i in range(10)]
    shifted = [replace(sample(LATENT, i, s), doc_id=i + 100) for i, s in enumerate(scores)]
    random.Random(0).shuffle(shifted)
    pairing = paired([sample(BASE, i, s) for i, s in enumerate(scores)], shifted)
    assert pairing.pairs[f"{EM}_baseline"].tolist() == scores
    assert pairing.pairs[f"{EM}_latent"].tolist() == scores
    assert pairing.note == ""


def test_another_prompt_does_not_pair_and_the_field_is_named():
    other = replace(sample(LATENT, 1, 1.0), prompt_hash=digest("another few-shot"))
    pairing = paired([sample(BASE, i, 1.0) for i in range(3)], [sample(LATENT, 0, 1.0), other, sample(LATENT, 2, 1.0)])
    assert len(pairing.pairs) == 2
    assert (pairing.baseline_only, pairing.latent_only, pairing.field) == ((1,), (1,), "prompt")
    assert "another prompt" in pairing.note


def test_documents_beyond_the_other_runs_limit_are_counted():
    pairing = paired([sample(BASE, i, 1.0) for i in range(3)], [sample(LATENT, i, 1.0) for i in range(30)])
    assert len(pairing.pairs) == 3
    assert pairing.note.endswith("27 documents (3, 4, 5, 6, 7, 8, 9, 10, …) of the latent only")


def test_twins_pair_once_each():
    base = [replace(sample(BASE, 0, s), doc_id=i) for i, s in enumerate([1.0, 0.0])]
    other = [replace(sample(LATENT, 0, s), doc_id=i) for i, s in enumerate([0.25, 0.75])]
    pairs = paired(base, other).pairs
    assert pairs[f"{EM}_latent"].tolist() == [0.25, 0.75]


def test_nothing_in_common_leaves_no_pair():
    base = [sample(BASE, 0, 1.0)]
    other = [replace(sample(LATENT, 0, 1.0), doc_hash=digest("elsewhere"))]
    pairing = paired(base, other)
    assert len(pairing.pairs) == 0
    assert pairing.field == "doc"
