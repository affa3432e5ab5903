"""The explorer's documents: those that changed first, each with every contender's answers, packed within a bound."""

import base64
import gzip
import json
from dataclasses import replace

import numpy as np

from ft_eval.records import LatentPolicy
from ft_eval.report import build_report
from ft_eval.report.evidence import Pairs
from ft_eval.report.explored import Explorer
from ft_eval.report.explorer_data import pack
from ft_eval.report.picks import pick
from tests.report.fakes import baseline, job, latent, sample, store, task

SPEC = task()
BASE, LATENT = job(baseline(), SPEC), job(latent(), SPEC)


def explorer_of(scores, **options) -> Explorer:
    found = build_report([store(scores)], **options).explorer
    assert found is not None
    return found


def unpacked(explorer: Explorer, **options):
    return json.loads(gzip.decompress(base64.b64decode(pack(explorer, **options).base64)))


def pairs(base, other) -> Pairs:
    ids = np.arange(len(base))
    return Pairs(baseline=np.array(base), latent=np.array(other), baseline_ids=ids, latent_ids=ids)


def test_losses_and_gains_alternate_the_largest_first_and_equal_scores_are_drawn_evenly():
    base, other = [0.5] * 5 + [1.0] * 90 + [0.0] * 10, [0.0, 1.0, 0.4, 0.5, 0.6] + [1.0] * 90 + [0.0] * 10
    found = pick("latent", pairs(base, other), higher_is_better=True)
    assert [pair.baseline_id for pair in found.changed] == [0, 1, 2, 4]
    assert (found.num_lost, found.num_gained, found.num_pairs) == (2, 2, 105)
    first = [base[pair.baseline_id] for pair in found.equal[:20]]
    assert (first.count(1.0), first.count(0.0), first.count(0.5)) == (9, 10, 1)


def test_less_is_better_turns_the_sign():
    found = pick("latent", pairs([2.0, 2.0], [1.0, 4.0]), higher_is_better=False)
    assert [(pair.baseline_id, pair.gain) for pair in found.changed] == [(1, -2.0), (0, 1.0)]


def test_a_partner_is_found_by_content_and_not_by_number():
    moved = [replace(sample(LATENT, i, 1.0 - i), doc_id=i + 50) for i in range(2)]
    items = explorer_of({BASE: [0.0, 0.0], LATENT: moved}).items
    assert [(item.doc_id, item.latents[0].texts) for item in items if item.latents[0]] == [
        (0, ("latent answers 0",)),
        (1, ("latent answers 1",)),
    ]


def test_draws_of_one_text_are_one_answer():
    owner = job(latent(), SPEC, latents=LatentPolicy(num_draws=3))
    draws = [sample(owner, 0, s, draw=k, responses=(t,)) for k, s, t in ((0, 1.0, "a"), (1, 0.0, "b"), (2, 1.0, "a"))]
    (item,) = explorer_of({BASE: [1.0], owner: draws}).items
    (answers,) = item.latents
    assert answers is not None
    assert answers.texts == ("a", "b")
    assert answers.draws == ((0, 0, 1.0), (1, 1, 0.0), (2, 0, 1.0))
    assert abs(answers.score - 2 / 3) < 1e-12


def test_every_arm_of_a_document_is_there_though_one_alone_changed():
    arms = [job(latent(name), SPEC) for name in ("a", "b")]
    items = explorer_of({BASE: [1.0] * 3, arms[0]: [1.0, 0.0, 1.0], arms[1]: [1.0] * 3}).items
    assert items[0].doc_id == 1
    assert all(answers is not None for item in items for answers in item.latents)


def test_what_prompts_share_is_kept_once():
    texts = {i: f"Question: one\nAnswer: two\n\nQuestion: number {i}" for i in range(3)}
    made = {o: [sample(o, i, float(i == 1 and o is BASE), prompt=texts[i]) for i in range(3)] for o in (BASE, LATENT)}
    explorer = explorer_of(made)
    assert explorer.tasks[0].shared_prompt == "Question: one\nAnswer: two\n\n"
    assert sorted(item.prompt for item in explorer.items) == [f"Question: number {i}" for i in range(3)]


def test_an_error_and_what_a_scorer_said_are_notes():
    odd = [sample(LATENT, 0, 0.0, details={"base": "failed"}), sample(LATENT, 1, 0.0, error="timed out")]
    items = explorer_of({BASE: [1.0, 1.0], LATENT: odd}).items
    assert [item.latents[0].note for item in items if item.latents[0]] == ["base: failed"]


def test_the_packed_text_holds_the_documents_and_nothing_that_could_be_markup():
    explorer = explorer_of({BASE: [1.0, 0.0, 1.0], LATENT: [0.0, 1.0, 1.0]})
    packed = pack(explorer)
    assert (packed.num_items, packed.num_changed_items, packed.num_left_out) == (3, 2, 0)
    assert set(packed.base64) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
    content = unpacked(explorer)
    assert [item[1] for item in content["items"]] == [0, 1, 2]
    assert content["items"][0][5][1] == ["base answers 0"]
    assert packed == pack(explorer)


def test_texts_are_made_visible():
    odd = [sample(LATENT, 0, 0.0, responses=("\x1b[31m\u202e\ud800</script>",))]
    content = unpacked(explorer_of({BASE: [1.0], LATENT: odd}))
    assert content["items"][0][6][0][1] == ["\\x1b[31m\\u202e\\ud800</script>"]


def test_a_bound_of_bytes_leaves_room_for_those_that_did_not_change():
    noise = np.random.default_rng(0)
    words = ["".join(map(chr, noise.integers(97, 123, 300))) for _ in range(400)]
    made = {
        o: [sample(o, i, float(i % 4 > 0 or o is BASE), prompt=words[i]) for i in range(400)] for o in (BASE, LATENT)
    }
    explorer = explorer_of(made)
    whole, some = pack(explorer), pack(explorer, max_bytes=40_000)
    assert (whole.num_items, whole.num_changed_items, whole.num_left_out) == (300, 100, 0)
    assert len(some.base64) < 1.34 * (40_000 + 32 * 400)
    assert some.num_items + some.num_left_out == 300
    assert some.num_items - some.num_changed_items > 0
    assert some.num_changed_items > 0


def test_nothing_compared_is_no_explorer():
    assert build_report([store({BASE: [1.0]})]).explorer is None
