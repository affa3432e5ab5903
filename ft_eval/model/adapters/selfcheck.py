"""Does an adapted model do what the paper says? Checks that need nothing but the model, on random tokens and codes.

    encoder positions       the bit logits of different positions differ: without positions every ζ query is the same
    keys and values only    the residual stream carries X, not X + R, and the queries don't see R
    no look-ahead           what comes later, tokens or Z, changes nothing before it
    cached = uncached       prefill, chunks and single steps in rows of unequal length give one forward pass's values
    one forward path        training's halves, a prefill and generation agree, given the same Z
    unit of κ               the free bits are in bits per token, as the source's own penalty shows where it can

Knows no layout. A baseline passes what only concerns a latent.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ft_eval.model.adapters.carriers import find_carrier, maps_that_see
from ft_eval.model.cache import KVCache
from ft_eval.model.config import ModelConfig
from ft_eval.model.latent import free_bits_penalty, kl_per_token_nats

_NUM_ROWS = 3
_LENGTH = 20
_QUERY_NAME = re.compile(r"(^|[._])(w?q|query)(_?proj(ection)?)?$", re.IGNORECASE)
_SAME = {torch.float32: 1e-4, torch.float64: 1e-6}
_FAILURES = (ValueError, RuntimeError, IndexError, TypeError, AssertionError, AttributeError, NotImplementedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One property of a model."""

    name: str
    passed: bool
    detail: str
    """What was measured, on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """The model and what goes through it."""

    model: Any
    token_ids: Tensor
    """(B, T)."""
    codes: Tensor | None
    """(B, T); None for a baseline."""
    tolerance: float
    """Of a difference, relative to the largest value."""

    def run(self, stop: int | None = None) -> Tensor:
        """Hidden states of the first `stop` tokens, without a cache."""
        codes = None if self.codes is None else self.codes[:, :stop]
        hidden: Tensor = self.model(self.token_ids[:, :stop], codes=codes)
        return hidden


def self_check(model: Any) -> tuple[Check, ...]:
    """The checks of a model with `protocol.LatentModel`'s surface, in eval mode.

    A check in which the model raises an error has failed, with the error as its detail.
    """
    subject = _subject(model)
    checks: tuple[tuple[str, bool, Callable[[_Subject], tuple[bool, str]]], ...] = (
        ("encoder positions", True, _check_encoder),
        ("keys and values only", True, _check_injection),
        ("no look-ahead", False, _check_causality),
        ("cached = uncached", False, _check_cache),
        ("one forward path", False, _check_paths),
        ("unit of κ", True, _check_unit),
    )
    results = []
    with torch.inference_mode():
        for name, needs_latent, check in checks:
            if needs_latent and subject.codes is None:
                passed, detail = True, "a baseline: it has no latent"
            else:
                passed, detail = _guarded(check, subject)
            results.append(Check(name=name, passed=passed, detail=detail))
    return tuple(results)


def random_input(config: ModelConfig, *, num_rows: int, length: int) -> tuple[Tensor, Tensor | None]:
    """Tokens (B, T), and codes (B, T) for a latent model: the same for the same shape."""
    generator = torch.Generator().manual_seed(0)
    length = min(length, config.context_length)
    token_ids = torch.randint(config.vocab_size, (num_rows, length), generator=generator)
    if config.latent is None:
        return token_ids, None
    return token_ids, torch.randint(config.latent.num_codes, (num_rows, length), generator=generator)


def _subject(model: Any) -> _Subject:
    token_ids, codes = random_input(model.config, num_rows=_NUM_ROWS, length=_LENGTH)
    return _Subject(
        model=model,
        token_ids=token_ids.to(model.device),
        codes=None if codes is None else codes.to(model.device),
        tolerance=_SAME.get(model.dtype, 6e-2),
    )


def _guarded(check: Callable[[_Subject], tuple[bool, str]], subject: _Subject) -> tuple[bool, str]:
    try:
        return check(subject)
    except _FAILURES as error:
        return False, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _difference(got: Tensor, expected: Tensor) -> float:
    """The largest difference relative to the largest value."""
    return float((got - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def _check_encoder(subject: _Subject) -> tuple[bool, str]:
    bit_logits = subject.model.encode(subject.model.lower(subject.token_ids)).float()
    if bit_logits.shape[-1] != subject.model.config.latent.num_bits:
        return False, f"{bit_logits.shape[-1]} bit logits per token, the config says {subject.model.config.latent}"
    spread = float((bit_logits.amax(1) - bit_logits.amin(1)).max() / bit_logits.abs().max().clamp_min(1e-30))
    return spread > 1e-5, f"over the positions the bit logits spread by {spread:.2g} of their largest"


def _check_injection(subject: _Subject) -> tuple[bool, str]:
    if not isinstance(subject.model, nn.Module):
        return False, "the model is no torch module: where R goes can't be looked into"
    model: Any = subject.model
    x = model.lower(subject.token_ids[:1, :6])
    other_x = model.lower(subject.token_ids[1:2, :6])
    generator = torch.Generator().manual_seed(1)
    r, other_r = ((torch.randn(x.shape, generator=generator) * x.float().std().cpu()).to(x) for _ in range(2))

    def run(x: Tensor, residual: Tensor) -> Tensor:
        hidden: Tensor = model.upper(x, residual=residual)
        return hidden

    if torch.equal(run(x, r), run(x, other_r)):
        return False, "R changes nothing"
    carrier = find_carrier(model, run, (x, other_x, r, other_r))
    if carrier is None:
        return False, "no linear map carries all of R: the residual stream carries it too"
    seen = maps_that_see(model, carrier, run, (x, r, other_r))
    queries = [name for name in seen if _QUERY_NAME.search(name)]
    if queries:
        return False, f"the queries see R: {', '.join(queries)}"
    return True, f"all of R goes through {carrier}; seen by {', '.join(seen)}"


def _check_causality(subject: _Subject) -> tuple[bool, str]:
    length = subject.token_ids.shape[1]
    stop = length // 2
    generator = torch.Generator().manual_seed(2)
    shuffled = torch.cat((torch.arange(stop), stop + torch.randperm(length - stop, generator=generator)))
    order = shuffled.to(subject.token_ids.device)
    codes = None if subject.codes is None else subject.codes[:, order].flip(0)
    if codes is not None and subject.codes is not None:
        codes[:, :stop] = subject.codes[:, :stop]
    token_ids = subject.token_ids[:, order].flip(0)
    token_ids[:, :stop] = subject.token_ids[:, :stop]
    changed = subject.model(token_ids, codes=codes)
    difference = _difference(changed[:, :stop], subject.run()[:, :stop])
    return difference <= subject.tolerance, f"other tokens and Z after position {stop - 1}: {difference:.1e} before it"


def _check_cache(subject: _Subject) -> tuple[bool, str]:
    """Rows of unequal prompts: a right-padded prefill, a chunk of two, single steps, and a row that moves."""
    model, length = subject.model, subject.token_ids.shape[1]
    expected = subject.run()
    starts = torch.tensor([length // 2, length // 2 - 1, length // 4], device=subject.token_ids.device)
    whole = _new_cache(model, _NUM_ROWS + 1, length)
    cache = whole.rows(0, _NUM_ROWS)
    hidden = _step(subject, cache, None, int(starts.max()))
    worst = max(_difference(hidden[row, :n], expected[row, :n]) for row, n in enumerate(starts.tolist()))
    at = starts[:, None] + torch.arange(2, device=starts.device)
    while int(at.max()) < length:
        hidden = _step(subject, cache, at, 0)
        worst = max(worst, _difference(hidden, _pick(expected, at)))
        at = at[:, -1:] + 1
    last = at[2:3]  # the shortest row goes on in another place
    whole.move_row(2, _NUM_ROWS, int(last))
    alone = _Subject(
        model=model,
        token_ids=subject.token_ids[2:3],
        codes=None if subject.codes is None else subject.codes[2:3],
        tolerance=subject.tolerance,
    )
    moved = _step(alone, whole.rows(_NUM_ROWS, _NUM_ROWS + 1), last, 0)
    worst = max(worst, _difference(moved, _pick(expected[2:3], last)))
    return worst <= subject.tolerance, f"prefill, chunks, steps and a moved row: {worst:.1e} from one pass"


def _check_paths(subject: _Subject) -> tuple[bool, str]:
    model, length = subject.model, subject.token_ids.shape[1]
    residual = None if subject.codes is None else model.post_sample(subject.codes)
    trained = model.upper(model.lower(subject.token_ids), residual=residual)
    prefill = _step(subject, _new_cache(model, _NUM_ROWS, length), None, length)
    cache = _new_cache(model, _NUM_ROWS, length)
    steps = [_step(subject, cache, None, 1)]
    for position in range(1, length):
        at = torch.full((_NUM_ROWS, 1), position, device=subject.token_ids.device)
        steps.append(_step(subject, cache, at, 0))
    worst = max(_difference(prefill, trained), _difference(torch.cat(steps, dim=1), trained))
    return worst <= subject.tolerance, f"training, prefill and generation differ by {worst:.1e}"


def _check_unit(subject: _Subject) -> tuple[bool, str]:
    latent = subject.model.config.latent
    if latent.kappa_bits is None:
        return True, f"κ is not told; H = {latent.num_bits} bits"
    told = f"κ = {latent.kappa_bits:.4g} of H = {latent.num_bits} bits per token"
    generator = torch.Generator().manual_seed(3)
    bit_logits = 6 * torch.randn(2, 8, latent.num_bits, generator=generator)
    own = getattr(subject.model, "source_penalty", lambda _: None)(bit_logits.to(subject.model.device))
    if own is None:
        return True, f"{told}; the source has no penalty to compare with"
    ours = float(free_bits_penalty(kl_per_token_nats(bit_logits), latent.kappa_bits))
    same = abs(float(own) - ours) <= 1e-3 * max(ours, 1e-3)
    return same, f"{told}; penalty {ours:.4f} nats, the source's own {float(own):.4f}"


def _new_cache(model: Any, num_rows: int, max_length: int) -> Any:
    if hasattr(model, "new_cache"):
        return model.new_cache(num_rows, max_length)
    return KVCache(model.config, num_rows, max_length, model.dtype, model.device)


def _step(subject: _Subject, cache: Any, at: Tensor | None, length: int) -> Tensor:
    """Hidden states of the first `length` tokens as a prefill, or of the tokens at positions `at` (B, T)."""
    if at is None:
        codes = None if subject.codes is None else subject.codes[:, :length]
        prefilled: Tensor = subject.model(subject.token_ids[:, :length], codes=codes, cache=cache)
        return prefilled
    codes = None if subject.codes is None else subject.codes.gather(1, at)
    extended: Tensor = subject.model(subject.token_ids.gather(1, at), codes=codes, positions=at, cache=cache)
    return extended


def _pick(hidden: Tensor, at: Tensor) -> Tensor:
    """Hidden states (B, T, D) at positions `at` of (B, all, D)."""
    return hidden.gather(1, at[..., None].expand(-1, -1, hidden.shape[-1]))
