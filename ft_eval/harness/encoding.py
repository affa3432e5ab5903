"""From lm-eval's strings to the engine's token ids: pairs, prompts, truncation, stop strings. Equal to lm-eval's own.

Equality with lm-eval's `hf` backend is the point of every line here; the tests hold it to that. Knows no store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lm_eval.models.utils import handle_stop_sequences, has_bos_prefix, normalize_gen_kwargs

from ft_eval.engine import SamplingParams
from ft_eval.errors import TaskError
from ft_eval.harness.generation_kwargs import check_generation_kwargs
from ft_eval.model.tokenizer import Tokenizer

DEFAULT_MAX_GEN_TOKS = 256
"""lm-eval's, for tasks that name no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPair:
    """A context and its continuation as token ids, cut on the left to fit."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    num_truncated_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """A prompt as token ids, cut on the left to leave room for the answer."""

    token_ids: tuple[int, ...]
    num_truncated_tokens: int


class Encoder:
    """Encodes as lm-eval's `TemplateLM` and `HFLM` do, for one tokenizer and one context length."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._last_context: tuple[str, list[int]] | None = None
        self._last_sampling: tuple[str, SamplingParams] | None = None

    @property
    def prefix_token(self) -> int:
        """What stands for an empty context: the beginning-of-text token, or the end-of-text one where there is none."""
        token = self._tokenizer.bos_id if self._tokenizer.bos_id is not None else self._tokenizer.eos_id
        if token is None:
            raise TaskError("this tokenizer names no BOS and no EOS token, so an empty context can't be encoded")
        return token

    def encode(self, text: str, *, add_special_tokens: bool | None = None) -> list[int]:
        """Token ids of a text. None: special tokens as the tokenizer adds them, unless the text begins with BOS."""
        if add_special_tokens is None:
            add_special_tokens = not has_bos_prefix(text, self._bos_text)
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens)

    @cached_property
    def _bos_text(self) -> str | None:
        bos = self._tokenizer.bos_id if self._tokenizer.bos_id is not None else self._tokenizer.eos_id
        return None if bos is None else self._tokenizer.decode([bos], skip_special_tokens=False)

    def pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Both parts encoded, not yet cut. Trailing spaces of the context move to the continuation.

        The context is encoded alone, the continuation is what is left of the whole behind as many tokens: where a
        tokenizer merges across the border the two don't make up the whole, and that is lm-eval's way.
        """
        if not context:
            ids = self.encode(continuation, add_special_tokens=False)
            return ([self.prefix_token], ids) if ids[:1] != [self.prefix_token] else (ids[:1], ids[1:])
        num_spaces = len(context) - len(context.rstrip())
        if num_spaces:
            context, continuation = context[:-num_spaces], context[-num_spaces:] + continuation
        whole = self.encode(context + continuation)
        alone = self._context(context)
        return alone, whole[len(alone) :]

    def _context(self, text: str) -> list[int]:
        """A context's token ids; the choices of one document, which come one after another, have one context."""
        if self._last_context is None or self._last_context[0] != text:
            self._last_context = (text, self.encode(text))
        return self._last_context[1]

    def fit_pair(self, context: Sequence[int], continuation: Sequence[int]) -> EncodedPair:
        """Cut a pair on the left so that all but its last token fit the context.

        Raises:
            TaskError: the continuation is empty or alone longer than the context.
        """
        if not 0 < len(continuation) <= self._max_length:
            raise TaskError(
                f"a continuation of {len(continuation)} tokens can't be scored in a context of {self._max_length}; "
                "it must have at least 1 and fit it"
            )
        kept = min(len(context), self._max_length + 1 - len(continuation))
        return EncodedPair(
            context=tuple(context[len(context) - kept :]),
            continuation=tuple(continuation),
            num_truncated_tokens=len(context) - kept,
        )

    def prompt(self, text: str, max_tokens: int) -> EncodedPrompt:
        """A prompt cut on the left to leave room for `max_tokens`, as lm-eval cuts it.

        Where that leaves less than half of the context (lm-eval refuses when it leaves nothing), the prompt keeps half,
        and the answer ends at the end of the context.
        """
        ids = self.encode(text) or [self.prefix_token]
        room = self._max_length - max_tokens
        if room <= 0:
            room = self._max_length // 2
        kept = ids[-room:]
        return EncodedPrompt(token_ids=tuple(kept), num_truncated_tokens=len(ids) - len(kept))

    def sampling(self, gen_kwargs: Mapping[str, Any]) -> SamplingParams:
        """One request's decoding parameters from a task's `generation_kwargs`, which its other requests have too.

        Raises:
            TaskError: a parameter that this backend does not have, or one of another type or out of its range.
        """
        spelled = repr(gen_kwargs)
        if self._last_sampling is None or self._last_sampling[0] != spelled:
            self._last_sampling = (spelled, self._sampling(gen_kwargs))
        return self._last_sampling[1]

    def _sampling(self, gen_kwargs: Mapping[str, Any]) -> SamplingParams:
        check_generation_kwargs(gen_kwargs)
        given = {name: value for name, value in gen_kwargs.items() if value is not None}
        kwargs = dict(normalize_gen_kwargs(given, DEFAULT_MAX_GEN_TOKS))
        return SamplingParams(
            max_tokens=kwargs["max_gen_toks"],
            temperature=float(kwargs.get("temperature", 0.0)),
            top_p=float(kwargs.get("top_p", 1.0)),
            top_k=int(kwargs.get("top_k", 0)),
            stop=tuple(handle_stop_sequences(kwargs["until"], self._tokenizer.eos_text)),
        )
