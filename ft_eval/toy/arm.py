"""One arm under training: its model, its optimizer, its step, and all of that on disk between two sittings.

Knows one arm only; `train.py` makes a pair of them. A step is a function of the weights, the recipe and the step's
number: rows and noise come from these alone, so that a training that was interrupted goes on as if it had not been.
State is kept as safetensors; nothing is pickled.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ft_eval.model.latent import bits_from_codes
from ft_eval.model.training import TrainingPass, new_model, training_loss, training_pass
from ft_eval.model.transformer import Transformer
from ft_eval.records import Arm
from ft_eval.toy.data import Batch, step_batches
from ft_eval.toy.recipe import Recipe

_INITIAL_STD = 0.06
_MOMENTS = ("exp_avg", "exp_avg_sq")
_ROWS_KEY = "loss_rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow:
    """The means of the loss's parts over the steps since the row before, in bits per token."""

    step: int
    """Steps done when the row was written."""
    seconds: float
    """Time spent in training steps until then, over all sittings."""
    loss_bits: float
    """What is minimised: the cross-entropy with the questions' weight, and the penalty."""
    cross_entropy_bits: float
    """Of all tokens alike."""
    penalty_bits: float
    """The free-bits penalty, the mean of max(0, KL − κ); 0 for a baseline."""
    kl_bits: float
    """KL of the codes from the uniform prior; 0 for a baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLoss:
    """A batch's loss and what it is made of, scalars in nats per token."""

    total: Tensor
    cross_entropy: Tensor
    """Of all tokens alike; a measure, not a part of the total unless questions weigh 1."""
    penalty: Tensor
    kl: Tensor


class ArmTraining:
    """One arm's model and how far it has come. Changes with every `step`."""

    def __init__(self, recipe: Recipe, arm: Arm) -> None:
        """A training at step 0; both arms of one recipe start from the same backbone."""
        self.recipe = recipe
        self.arm = arm
        self.model = _first_model(recipe, arm)
        self.optimizer = _optimizer(recipe, self.model)
        self.num_steps_done = 0
        self.seconds = 0.0
        self.loss_rows: list[LossRow] = []
        self._sums = torch.zeros(4)  # loss, cross-entropy, penalty, KL in nats since the last row
        self._num_summed = 0

    def step(self) -> None:
        """One step of AdamW on the recipe's rows for it."""
        started = time.perf_counter()
        step = self.num_steps_done
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, step)
        batches = step_batches(self.recipe, step)
        num_tokens = sum(batch.token_ids.numel() for batch in batches)
        noise = torch.Generator().manual_seed(self.recipe.seed * 2**32 + step)
        for batch in batches:
            self._backward(batch, batch.token_ids.numel() / num_tokens, noise)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.max_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.num_steps_done += 1
        self._num_summed += 1
        self.seconds += time.perf_counter() - started

    def _backward(self, batch: Batch, weight: float, noise: torch.Generator) -> None:
        """Add a batch's gradients, weighted by its share of the step's tokens."""
        shape = (*batch.token_ids.shape, self.recipe.num_latent_bits)
        uniforms = torch.rand(shape, generator=noise) if self.arm is Arm.LATENT else None
        loss = batch_loss(self.recipe, training_pass(self.model, batch.token_ids, uniforms), batch)
        (loss.total * weight).backward()  # type: ignore[no-untyped-call]
        self._sums += weight * torch.stack([loss.total, loss.cross_entropy, loss.penalty, loss.kl]).detach()

    def write_loss_row(self) -> LossRow:
        """Close the current row: the means since the last one."""
        loss, cross_entropy, penalty, kl = (self._sums / max(1, self._num_summed) / math.log(2)).tolist()
        row = LossRow(
            step=self.num_steps_done,
            seconds=round(self.seconds, 3),
            loss_bits=loss,
            cross_entropy_bits=cross_entropy,
            penalty_bits=penalty,
            kl_bits=kl,
        )
        self.loss_rows.append(row)
        self._sums = torch.zeros(4)
        self._num_summed = 0
        return row

    def save(self, path: Path) -> None:
        """Write all that a later sitting needs, at once or not at all. Call it right after `write_loss_row`."""
        tensors = {f"weight/{name}": tensor for name, tensor in self._parameters()}
        for name, parameter in self._parameters():
            for moment in _MOMENTS:
                tensors[f"{moment}/{name}"] = self.optimizer.state[parameter][moment]
        rows = json.dumps([asdict(row) for row in self.loss_rows])
        temporary = path.with_suffix(".tmp")
        save_file({name: t.detach() for name, t in tensors.items()}, temporary, metadata={_ROWS_KEY: rows})
        temporary.replace(path)

    def restore(self, path: Path) -> None:
        """Take up the training that `save` wrote under the same recipe."""
        with safe_open(path, framework="pt") as file, torch.no_grad():
            self.loss_rows = [LossRow(**row) for row in json.loads(file.metadata()[_ROWS_KEY])]
            self.num_steps_done = self.loss_rows[-1].step
            self.seconds = self.loss_rows[-1].seconds
            for name, parameter in self._parameters():
                parameter.copy_(file.get_tensor(f"weight/{name}"))
                moments = {moment: file.get_tensor(f"{moment}/{name}") for moment in _MOMENTS}
                self.optimizer.state[parameter] = {"step": torch.tensor(float(self.num_steps_done)), **moments}

    def _parameters(self) -> list[tuple[str, Tensor]]:
        return list(self.model.named_parameters())


def _first_model(recipe: Recipe, arm: Arm) -> Transformer:
    """The model of step 0. With a bit scale the post-sampler's rows are W_d = scale / sqrt(H) · Σ_h (2 U_h(d) − 1) v_h.

    v_h is row h of the weights as they start without one.
    """
    model = new_model(recipe.model_config(arm), seed=recipe.seed, std=_INITIAL_STD)
    if model.latent is not None and recipe.bit_scale is not None:
        weight, num_bits = model.latent.post_sampler.weight, recipe.num_latent_bits
        signs = 2.0 * bits_from_codes(torch.arange(1 << num_bits), num_bits) - 1.0
        with torch.no_grad():
            weight.copy_(signs @ (weight[:num_bits] * recipe.bit_scale / math.sqrt(num_bits)))
    return model


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear from 0 to the peak over the warm-up, then a cosine down to a tenth of it at the last step."""
    warmup = recipe.num_warmup_steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, recipe.num_steps - warmup)
    return recipe.learning_rate * (0.55 + 0.45 * math.cos(math.pi * min(1.0, progress)))


def _optimizer(recipe: Recipe, model: torch.nn.Module) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices, none on norms and ζ."""
    groups = [
        {"params": list(parameters), "weight_decay": recipe.weight_decay if is_matrix else 0.0}
        for is_matrix, parameters in groupby(sorted(model.parameters(), key=_is_matrix), key=_is_matrix)
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True)


def _is_matrix(parameter: Tensor) -> bool:
    return parameter.dim() >= 2


def batch_loss(recipe: Recipe, result: TrainingPass, batch: Batch) -> BatchLoss:
    """The paper's loss, but for the weight of questions in the cross-entropy; both are means over all tokens.

    Args:
        recipe: for κ and the questions' weight.
        result: of `training_pass` on the batch's tokens.
        batch: (B, T).
    """
    plain = training_loss(result, batch.token_ids, kappa_bits=recipe.kappa_bits)
    losses = F.cross_entropy(result.logits[:, :-1].flatten(0, 1), batch.token_ids[:, 1:].flatten(), reduction="none")
    weights = torch.where(batch.is_answer[:, 1:].flatten(), 1.0, recipe.question_weight)
    return BatchLoss(
        total=(losses * weights).mean() + plain.penalty,
        cross_entropy=plain.cross_entropy,
        penalty=plain.penalty,
        kl=torch.zeros(()) if result.kl_nats is None else result.kl_nats.mean(),
    )
