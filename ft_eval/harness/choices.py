"""Multiple choice as the paper scores it: which of an item's choices is taken under acc, acc_char, acc_completion.

With nll = -log p(choice | prompt), in nats:

    acc             argmin nll
    acc_char        argmin nll / number of characters
    acc_completion  argmin nll - nll of the choice after the bare prefix "Answer: "

A task file says `class: !function ft_eval.harness.choices.ChoiceTask` and names the metrics it wants, the primary one
first. The second likelihood is asked for only where acc_completion is named; it is one more request of the same item,
so it is scored under the item's latent policy and draws of Z. Knows no model and no benchmark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_metric
from lm_eval.api.task import ConfigurableTask
from numpy.typing import NDArray

from ft_eval.errors import TaskError
from ft_eval.harness.document_faults import look_at
from ft_eval.harness.names import ACC_COMPLETION, BARE_PREFIX
from ft_eval.harness.templates import RAISED, names_what_is_absent

Pair = tuple[str, str]
"""(context, continuation), as lm-eval asks for a log-likelihood."""


def _as_it_is(items: Any) -> Any:
    """What a task's own process_results gave: lm-eval wants a function by each metric's name."""
    return items


for _metric in ("acc_char", ACC_COMPLETION):
    register_metric(metric=_metric, higher_is_better=True, output_type="multiple_choice", aggregation="mean")(_as_it_is)


class ChoiceTask(ConfigurableTask):  # type: ignore[misc] # lm-eval ships no types
    """One of lm-eval's multiple-choice tasks with the paper's metrics.

    Its `doc_to_target` gives the right choice's number, 0-based. Letters or texts: the task file says what is a choice.

    Raises:
        TaskError: the first document can't be used.
    """

    GOLD_IS_A_NUMBER = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        names = [str(item["metric"]) for item in config.get("metric_list") or ()]
        unknown = sorted(set(names) - {"acc", "acc_char", ACC_COMPLETION})
        if unknown or not names:
            given = f"metric {', '.join(unknown)}" if unknown else "no metric_list"
            raise ValueError(f"{given}: a ChoiceTask has acc, acc_char, acc_completion")
        try:
            super().__init__(config={key: value for key, value in config.items() if key != "class"})
        except RAISED as error:
            self._blame_first_document(error)
            raise
        target = self.config.doc_to_target
        if isinstance(target, str) and target.isidentifier() and target not in self.eval_docs[0]:
            raise ValueError(f"the documents have no column '{target}', which doc_to_target names")

    def _blame_first_document(self, error: Exception) -> None:
        """Raise TaskError where it is the document that lm-eval tries, and not a column that no document has."""
        docs = getattr(self, "task_docs", None)
        if docs is None or not len(docs) or names_what_is_absent(error):
            return
        choices, fault = look_at(self, docs[0])
        fault = fault or ("has an empty choice" if "" in choices else f"can't be used ({error})")
        raise TaskError(f"task {self.task_name}: document 0 {fault}; mend its data, or the task's file") from error

    def pairs(self, doc: Mapping[str, Any], context: str) -> list[Pair]:
        """Per choice, what is scored after what."""
        return [(context, f"{self.config.target_delimiter}{choice}") for choice in self.doc_to_choice(doc)]

    def construct_requests(self, doc: Mapping[str, Any], ctx: str, **options: Any) -> list[Instance]:
        """A request per choice and, for acc_completion, then a second one per choice after the bare prefix."""
        kept = {key: value for key, value in options.items() if key not in ("apply_chat_template", "chat_template")}
        pairs = self.pairs(doc, ctx)
        if ACC_COMPLETION in self._metric_fn_list:
            pairs += [(BARE_PREFIX, continuation) for _, continuation in pairs]
        return [
            Instance(request_type="loglikelihood", doc=doc, arguments=pair, idx=number, **kept)
            for number, pair in enumerate(pairs)
        ]

    def process_results(self, doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
        """Per metric, 1.0 where it takes the right choice.

        Raises:
            TaskError: the document names no right choice, so nothing can be scored.
        """
        texts = [pair[1].removeprefix(self.config.target_delimiter) for pair in self.pairs(doc, "")]
        gold = self.doc_to_target(doc)
        if not isinstance(gold, int) or not 0 <= gold < len(texts):
            raise TaskError(f"task {self.task_name}: a document's answer is {gold!r}; expected 0 to {len(texts) - 1}")
        taken = take(texts, [logprob for logprob, _ in results])
        return {metric: float(taken[metric] == gold) for metric in self._metric_fn_list}


class BlankTask(ChoiceTask):
    """A blank in a sentence: each option is put into it, and what follows the blank is scored (as stock winogrande).

    The documents have `sentence`, with `_` for the blank; the scored text is the same for all options.
    """

    def pairs(self, doc: Mapping[str, Any], context: str) -> list[Pair]:
        """Per option, the text up to it as context and the rest of the sentence."""
        head, _, tail = doc["sentence"].partition("_")
        rest = f"{self.config.target_delimiter}{tail.strip()}"
        return [(f"{context}{head}{option}", rest) for option in self.doc_to_choice(doc)]


def take(texts: Sequence[str], logprobs_nats: Sequence[float]) -> dict[str, int]:
    """Which choice each metric takes, 0-based; the first of equals.

    Args:
        texts: the C choices as they are scored, without the delimiter before them.
        logprobs_nats: log p(choice | prompt), C of them, and then, for acc_completion, as many after the bare prefix.
    """
    nll = -np.asarray(logprobs_nats, dtype=np.float64)
    conditional, bare = nll[: len(texts)], nll[len(texts) :]
    taken = {
        "acc": int(np.argmin(conditional)),
        "acc_char": int(np.argmin(conditional / [max(1, len(text)) for text in texts])),
    }
    if len(bare):
        taken[ACC_COMPLETION] = int(np.argmin(_gain(conditional, bare)))
    return taken


def _gain(conditional: NDArray[np.float64], bare: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nll less the bare nll, both (C,); a choice that the prompt rules out stays ruled out."""
    ruled_out = np.isinf(conditional)
    return np.where(ruled_out, np.inf, conditional - np.where(ruled_out, 0.0, bare))
