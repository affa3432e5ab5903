"""Where a completion ends: end-of-text tokens and stop strings. Cuts text exactly where lm-eval cuts it."""

from collections.abc import Sequence

from ft_eval.model.tokenizer import Tokenizer


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    r"""The text before the first stop string in it, as lm-eval's `postprocess_generated_text` cuts it.

    >>> cut_at_stop("4 apples\n\nQuestion: 2", ["Question:", "\n\n"])
    '4 apples'
    """
    for term in stop:
        if term:
            text = text.split(term, maxsplit=1)[0]
    return text


class StopWatch:
    """Watches one row's tokens for a stop string, by decoding only a tail that is sure to hold a new one.

    A stop string of n characters spans at most as many tokens as it has UTF-8 bytes; a few more cover a tokenizer that
    joins or splits at its ends. What the tail shows is confirmed on the whole text, and the final text is cut whole.
    """

    _SPARE_TOKENS = 4

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(term for term in stop if term)
        self._num_tail = max((len(term.encode()) for term in self._stop), default=0) + self._SPARE_TOKENS

    def found(self, token_ids: Sequence[int]) -> bool:
        """Whether the end of these tokens contains a stop string."""
        if not self._stop:
            return False
        tail = token_ids[-self._num_tail :]
        return self._in_text(tail) and (len(tail) == len(token_ids) or self._in_text(token_ids))

    def _in_text(self, token_ids: Sequence[int]) -> bool:
        text = self._tokenizer.decode(list(token_ids))
        return any(term in text for term in self._stop)
