"""The lm-eval backend: lm-eval's requests in, the engine's answers out, each logged the moment it exists.

It only translates. Batching is the engine's, metrics are lm-eval's, and what an answer log does with an answer is the
log's. Z and sampling noise are keyed by task and document, so all choices of a document see the same Z.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lm_eval.models  # noqa: F401 — fills lm-eval's registry; registering first would leave it with our name alone
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window, simple_parse_args_string

from ft_eval.engine.client import Answerer
from ft_eval.engine.loading import DEFAULT_SEED, ModelArguments, latent_policy, load_engine
from ft_eval.errors import UsageError
from ft_eval.harness.answers import AnswerLog, Ask, MemoryLog, by_item, identify
from ft_eval.harness.asking import Asker, OnAnswer, OnStart
from ft_eval.harness.code_documents import code_task, score_ahead
from ft_eval.harness.encoding import EncodedPair, Encoder
from ft_eval.harness.marginal import draw_schedule, generation_draws, marginal, undecided
from ft_eval.harness.names import BARE_CONTEXTS
from ft_eval.harness.verify import Verifier
from ft_eval.records import Answer, Verification


@register_model("free_transformer")
class FreeTransformerLM(TemplateLM):  # type: ignore[misc] # lm-eval ships no types
    """A Free Transformer or a baseline as an lm-eval model.

    Inside ft-eval it is made over an engine; lm-eval makes it by name, from `pretrained=FOLDER` and the fields of
    `ModelArguments`.
    """

    def __init__(
        self,
        engine: Answerer,
        *,
        seed: int = DEFAULT_SEED,
        log: AnswerLog | None = None,
        on_start: OnStart | None = None,
        on_answer: OnAnswer | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.seed = seed
        self.records: dict[str, list[tuple[Answer, ...]]] = {}
        """By item (`task/doc_id`), per request the answers behind it: its draws, or the one completion."""
        self._z_draw = 0
        self._on_answer = on_answer or (lambda _: None)
        self._unjudged: dict[str, Instance] = {}
        self._encoder = Encoder(engine.tokenizer, engine.max_length)
        self._asker = Asker(
            engine=engine,
            encoder=self._encoder,
            seed=seed,
            log=MemoryLog() if log is None else log,  # an empty log is false
            on_start=on_start or (lambda _: None),
            on_answer=self._hear,
            verifier=verifier,
        )

    def reorder_requests(self) -> None:
        """From now on put requests into other batches: what that changes is noise."""
        self._asker = replace(self._asker, reorders=True)

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: dict[str, Any] | None = None
    ) -> "FreeTransformerLM":
        """Make it from lm-eval's `k=v,k=v` string."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, Any], additional_config: Mapping[str, Any] | None = None
    ) -> "FreeTransformerLM":
        """Make it from lm-eval's model arguments.

        Raises:
            UsageError: `pretrained` is missing or an argument is unknown.
            CheckpointError: the folder can't be used.
        """
        arguments = _model_arguments({**(additional_config or {}), **arg_dict})
        return cls(load_engine(arguments), seed=arguments.seed)

    @property
    def eot_token_id(self) -> int:
        """The end-of-text token."""
        eos = self.engine.tokenizer.eos_id
        return self._encoder.prefix_token if eos is None else eos

    @property
    def prefix_token_id(self) -> int:
        """What stands for an empty context."""
        return self._encoder.prefix_token

    @property
    def max_length(self) -> int:
        """The model's context, in tokens."""
        return self.engine.max_length

    def chat_template(self, chat_template: bool | str = False) -> str:  # noqa: FBT001, FBT002 — lm-eval's signature
        """Refuse it: prompts are given to the model as the task writes them.

        Raises:
            UsageError: always, but for no template.
        """
        if chat_template is False:
            return ""
        raise UsageError("chat templates are not applied by free_transformer; leave out --apply_chat_template")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:  # noqa: FBT001, FBT002 — lm-eval's signature
        """Refuse it, as `chat_template` does."""
        return self.chat_template(chat_template=True)

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval records about the model."""
        policy = self.engine.latents
        return {
            "model_dtype": self.engine.dtype,
            "latents": None if policy is None else str(policy.source),
            "seed": self.seed,
        }

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:  # noqa: FBT001 — lm-eval's signature
        """Token ids of a text."""
        return self._encoder.encode(string, add_special_tokens=add_special_tokens)

    def _loglikelihood_tokens(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
        """Unused: `loglikelihood` keeps lm-eval's instances, which say whose request it is."""
        raise NotImplementedError("requests come through loglikelihood, which knows their item")

    def begin_pass(self, z_draw: int) -> None:
        """Before lm-eval asks for a task: which draw of Z its completions are of. Log-likelihoods average over all."""
        self._z_draw = z_draw
        self.records = {}

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:  # noqa: FBT001, FBT002 — lm-eval's signature
        """Return log p(continuation | context) in nats, and whether greedy decoding gives it.

        For a latent model the average over K draws of Z, the same draws for all choices of a document.
        """
        asks = identify("loglikelihood", requests)
        donors = self._asker.donors(asks)
        num_draws = dict.fromkeys((ask.item for ask in asks), 1)
        open_asks = asks
        for count in (schedule := tuple(draw_schedule(self.engine.latents))):
            self._asker.score([ask.under(draw) for ask in open_asks for draw in range(count)], donors)
            num_draws |= dict.fromkeys((ask.item for ask in open_asks), count)
            if count < schedule[-1]:
                groups = by_item(open_asks).values()
                open_asks = [ask for group in groups if self._undecided(group, count) for ask in group]
        return [self._marginal(ask, num_draws[ask.item]) for ask in asks]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:  # noqa: FBT001, FBT002 — lm-eval's signature
        """Return log p(text) in nats over disjoint windows, each token predicted once, as lm-eval windows it.

        For a latent model each window is a log-mean-exp over K prior draws: below the truth, and far below it for a
        long window (the posterior's bounds are nearer).
        """
        asks = identify("loglikelihood_rolling", requests)
        windows = {ask.key: self._windows(ask) for ask in asks}
        count = self.engine.latents.num_draws if self.engine.latents else 1
        pairs = [(part.under(draw), pair) for ask in asks for part, pair in windows[ask.key] for draw in range(count)]
        self._asker.score_pairs(pairs, {})
        return [sum(self._marginal(part, count)[0] for part, _ in windows[ask.key]) for ask in asks]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:  # noqa: FBT001, FBT002 — lm-eval's signature
        """A completion per request, cut before its first stop string, under the draw that `begin_pass` named."""
        asks = identify("generate_until", requests)
        count = generation_draws(self.engine.latents)
        drawn = [ask.under(draw) for ask in asks for draw in range(count)]
        instances = (request for request in requests for _ in range(count))
        pairs = zip(drawn, instances, strict=True)
        self._unjudged = {ask.key: request for ask, request in pairs if code_task(request.task_name)}
        for ask in drawn:
            if (found := self._asker.log.get(ask.key)) is not None:
                self._judge_ahead(found)
        self._asker.generate(drawn, self._asker.donors(asks))
        answers = []
        for ask in asks:
            answers.append(self._asker.answer(ask.under(self._z_draw)))
            self.records.setdefault(ask.item, []).append((answers[-1],))
        return [answer.text or "" for answer in answers]

    def _hear(self, answer: Answer) -> None:
        self._on_answer(answer)
        self._judge_ahead(answer)

    def _judge_ahead(self, answer: Answer) -> None:
        """Programs are judged beside the writing of others; their scores are asked for when all are written."""
        request = self._unjudged.pop(answer.key, None)
        if request is not None:
            score_ahead(request.task_name, request.doc, answer.text or "")

    def verify(self) -> Verification | None:
        """What asking some of the requests again, alone, changes; None without a verifier."""
        asker = self._asker
        return None if asker.verifier is None else asker.verifier.verify(self.engine, asker.log)

    def _undecided(self, asks: Sequence[Ask], count: int) -> bool:
        conditional = [ask for ask in asks if ask.arguments[0] not in BARE_CONTEXTS] or asks  # no second requests
        return undecided([self._answers(ask, count) for ask in conditional])

    def _marginal(self, ask: Ask, count: int) -> tuple[float, bool]:
        answers = self._answers(ask, count)
        self.records.setdefault(ask.item, []).append(answers)
        result = marginal(answers)
        return result.logprob_nats, result.is_greedy

    def _answers(self, ask: Ask, count: int) -> tuple[Answer, ...]:
        return tuple(self._asker.answer(ask.under(draw)) for draw in range(count))

    def _windows(self, ask: Ask) -> list[tuple[Ask, EncodedPair]]:
        tokens = self._encoder.encode(*ask.arguments)
        rolling = get_rolling_token_windows(tokens, self.prefix_token_id, self.max_length, context_len=1)
        pairs = [self._encoder.fit_pair(*make_disjoint_window(window)) for window in rolling]
        return [(replace(ask, window=number), pair) for number, pair in enumerate(pairs)]


def _model_arguments(given: Mapping[str, Any]) -> ModelArguments:
    """lm-eval's arguments in our type. It always sends batch_size, max_batch_size and device, meant or not."""
    known = {"pretrained", "dtype", "device", "batch_size", "max_batch_size"}
    known |= {"latents", "z_draws", "prefix_latents", "seed"}
    unknown = sorted(set(given) - known)
    if unknown:
        raise UsageError(f"unknown model argument {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    if not given.get("pretrained"):
        raise UsageError("free_transformer needs pretrained=FOLDER, the folder of a checkpoint")
    return ModelArguments(
        path=Path(str(given["pretrained"])),
        dtype=str(given.get("dtype") or "auto"),
        device=_device(str(given.get("device") or "auto")),
        batch_size=_batch_size(given.get("batch_size")),
        latents=latent_policy(
            str(given.get("latents") or "prior"),
            str(given.get("z_draws") or 1),
            str(given.get("prefix_latents") or "item"),
        ),
        seed=int(given.get("seed", DEFAULT_SEED)),
    )


def _device(device: str) -> str:
    """lm-eval sends cuda:0 where the user named nothing, also on a machine without a GPU."""
    return "auto" if device == "cuda:0" else device


def _batch_size(value: Any) -> int | None:
    text = "auto" if value is None else str(value)
    if text.startswith("auto"):
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(f"batch_size is {text}; expected auto or a number of at least 1")
    return int(text)
