"""One latent checkpoint, all measures, one ProbeReport. Loads and orders; measures nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ft_eval.engine.loading import DEFAULT_SEED, ModelArguments, load_engine
from ft_eval.errors import CheckpointError, UsageError
from ft_eval.model.adapters.facts import read_facts
from ft_eval.model.adapters.opening import Layout, identify
from ft_eval.model.checkpoint import weights_digest
from ft_eval.probe.diversity import Decoding, diversity_rows, draw_completions
from ft_eval.probe.enumeration import EnumerationTable, enumerate_codes, longest_enumerable
from ft_eval.probe.likelihood import baseline_rows, latent_rows
from ft_eval.probe.records import DiversityRow, LikelihoodRow, ProbeReport, TruthRow
from ft_eval.probe.sampling import GroupPlan, Subject
from ft_eval.probe.steering import measure_steering
from ft_eval.probe.texts import (
    HELD_OUT_SEED,
    NUM_TEXTS,
    ProbePrompt,
    ProbeText,
    Window,
    is_toy,
    make_windows,
    read_texts,
    toy_texts,
)
from ft_eval.probe.truth import NUM_SEQUENCES, compare_with_truth, held_out_sequences
from ft_eval.probe.usage import measure_usage, question_kappa
from ft_eval.toy.corpora.problems import draw_problem

Progress = Callable[[str], None]
"""Called with what is measured next, in a few words."""

_MAX_COMPLETION_TOKENS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSizes:
    """How much of each kind is measured."""

    texts_per_source: int = NUM_TEXTS
    """Of the toy's held-out texts; a file is measured whole."""
    prompts: int = 24
    """Steered."""
    problems: int = 40
    """Answered under many Z, by a toy."""
    sequences: int = NUM_SEQUENCES
    """Of the target source, held against the closed form, by a toy."""


_SIZES = ProbeSizes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOptions:
    """What to probe, and how thoroughly."""

    checkpoint: Path
    baseline: Path | None = None
    texts: Path | None = None
    """A file; None for held-out texts of the shipped toy."""
    num_draws: int = 64
    """K of the largest importance-weighted bound."""
    num_answers: int = 8
    """Draws of Z per problem for pass@k and maj@k."""
    temperature: float = 0.8
    """Of the baseline's completions."""
    max_window_tokens: int = 1024
    adapter: str | None = None
    """The name of a model class for checkpoints that are not in a known layout."""
    dtype: str = "auto"
    device: str = "auto"
    seed: int = DEFAULT_SEED
    sizes: ProbeSizes = _SIZES


def probe_checkpoint(options: ProbeOptions, progress: Progress = lambda _: None) -> ProbeReport:
    """Measure everything.

    Raises:
        CheckpointError: a folder can't be used, or the checkpoint is a baseline.
        UsageError: no texts for a model that is not a toy, the baseline has a latent, or the two read different tokens.
        DataError, StoreError: the texts can't be used.
    """
    latent = load_latent(options)
    baseline = _load_baseline(options, latent)
    texts = _texts(options, latent)
    windows = make_windows(texts, latent.tokenizer, latent.config, max_tokens=options.max_window_tokens)
    for_toy = is_toy(latent.config)
    with torch.inference_mode():
        progress(f"KL and bits over {len(windows)} windows")
        usage = measure_usage(latent.model, windows)
        progress(f"likelihood bounds with {options.num_draws} draws")
        likelihoods = _likelihoods(latent, baseline, windows, options)
        progress("likelihoods against the closed form")
        truths = _truths(latent, baseline, options) if for_toy else ()
        progress("samples that share Z")
        steering = measure_steering(
            latent, _prompts(texts, options.sizes.prompts, for_toy=for_toy), _steering_plan(options)
        )
        progress("answers under many Z")
        diversity = _diversity(latent, baseline, options) if for_toy else ()
    question = question_kappa(_kappa_bits(latent))
    collapsed = (
        "the latent has collapsed: it holds less than 0.01 bits per token about the text, whatever its KL"
        if usage[0].is_collapsed
        else None
    )
    return ProbeReport(
        checkpoint=str(options.checkpoint),
        digest=_digest(options),
        baseline=None if options.baseline is None else str(options.baseline),
        num_latent_bits=_num_bits(latent),
        kappa_bits=_kappa_bits(latent),
        notes=tuple(note for note in (question, collapsed) if note),
        seed=options.seed,
        usage=usage,
        likelihoods=likelihoods,
        truths=truths,
        steering=steering,
        diversity=diversity,
    )


def enumerate_text(options: ProbeOptions) -> EnumerationTable:
    """Every Z of the first text's first tokens, as many as can be summed.

    Raises:
        CheckpointError, UsageError, DataError, StoreError: see `probe_checkpoint`.
    """
    latent = load_latent(options)
    texts = _texts(options, latent)
    most = longest_enumerable(_num_bits(latent))
    return enumerate_codes(latent.model, make_windows(texts[:1], latent.tokenizer, latent.config, max_tokens=most)[0])


def _texts(options: ProbeOptions, latent: Subject) -> tuple[ProbeText, ...]:
    if options.texts is not None:
        return read_texts(options.texts)
    if is_toy(latent.config):
        return toy_texts(options.sizes.texts_per_source)
    raise UsageError(f"no texts to probe {options.checkpoint} on; give --texts FILE, a text per line")


def load_latent(options: ProbeOptions) -> Subject:
    """The checkpoint, which must be a latent model; a model without its encoder can't be loaded.

    Raises:
        CheckpointError: it is a baseline, or can't be used.
    """
    latent = _load(options.checkpoint, options)
    if latent.config.latent is None:
        raise CheckpointError(
            f"{options.checkpoint} is a baseline: it has no latent to probe; name a latent checkpoint "
            "and give this one with --baseline"
        )
    return latent


def _load_baseline(options: ProbeOptions, latent: Subject) -> Subject | None:
    if options.baseline is None:
        return None
    baseline = _load(options.baseline, options)
    config = baseline.config
    if config.latent is not None:
        raise UsageError(f"--baseline {options.baseline} has a latent; a baseline has none")
    if config.vocab_size != latent.config.vocab_size:
        raise UsageError(
            f"--baseline {options.baseline} knows {config.vocab_size} tokens, the latent checkpoint "
            f"{latent.config.vocab_size}; a pair reads the same tokens"
        )
    return baseline


def _load(folder: Path, options: ProbeOptions) -> Subject:
    engine = load_engine(
        ModelArguments(path=folder, dtype=options.dtype, device=options.device, adapter=options.adapter)
    )
    name = folder.resolve().name
    return Subject(name=name, model=engine.model, tokenizer=engine.tokenizer)


def _likelihoods(
    latent: Subject, baseline: Subject | None, windows: tuple[Window, ...], options: ProbeOptions
) -> tuple[LikelihoodRow, ...]:
    exact = () if baseline is None else baseline_rows(baseline.model, baseline.name, windows)
    bounds = latent_rows(latent.model, latent.name, windows, num_draws=options.num_draws, seed=options.seed)
    return (*exact, *bounds)


def _truths(latent: Subject, baseline: Subject | None, options: ProbeOptions) -> tuple[TruthRow, ...]:
    return compare_with_truth(
        latent, baseline, num_draws=options.num_draws, seed=options.seed, num_sequences=options.sizes.sequences
    )


def _prompts(texts: tuple[ProbeText, ...], num_prompts: int, *, for_toy: bool) -> tuple[str, ...]:
    """What to continue: the target source's prompts for a toy, else the first half of each text."""
    if for_toy:
        return tuple(sequence.prompt for sequence in held_out_sequences(num_prompts))
    return tuple(text.text[: max(1, min(200, len(text.text) // 2))] for text in texts[:num_prompts])


def _steering_plan(options: ProbeOptions) -> GroupPlan:
    return GroupPlan(
        num_groups=4, num_samples=4, max_tokens=_MAX_COMPLETION_TOKENS, seed=options.seed, shares_latent=True
    )


def _diversity(latent: Subject, baseline: Subject | None, options: ProbeOptions) -> tuple[DiversityRow, ...]:
    prompts = toy_problems(options.sizes.problems)
    drawn = draw_completions(latent, prompts, _decoding(options, temperature=0.0, num_draws=options.num_answers))
    other = None
    if baseline is not None:
        # twice the draws, so that short completions can be spent on more of them
        decoding = _decoding(options, temperature=options.temperature, num_draws=2 * options.num_answers)
        other = draw_completions(baseline, prompts, decoding)
    return diversity_rows(drawn, other, np.random.default_rng(options.seed))


def _decoding(options: ProbeOptions, *, temperature: float, num_draws: int) -> Decoding:
    return Decoding(num_draws=num_draws, max_tokens=128, temperature=temperature, seed=options.seed)


def toy_problems(num_problems: int) -> tuple[ProbePrompt, ...]:
    """Held-out word problems with their answers."""
    problems = (draw_problem(HELD_OUT_SEED, 10_000 + index, held_out=True) for index in range(num_problems))
    return tuple(ProbePrompt(prompt=problem.prompt, answer=problem.answer) for problem in problems)


def _digest(options: ProbeOptions) -> str:
    if options.adapter is None and identify(options.checkpoint).layout is Layout.OURS:
        return weights_digest(options.checkpoint)
    return read_facts(options.checkpoint, adapter=options.adapter).digest


def _num_bits(latent: Subject) -> int:
    assert latent.config.latent is not None, "load_latent lets no baseline through"
    return latent.config.latent.num_bits


def _kappa_bits(latent: Subject) -> float | None:
    assert latent.config.latent is not None, "load_latent lets no baseline through"
    return latent.config.latent.kappa_bits
