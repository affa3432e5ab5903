"""What the sample explorer shows, as data: documents with all contenders' answers. Computes nothing.

All texts are model output or data: clipped, and hostile.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one contender said to one document: draws of one text are one answer."""

    score: float
    """Over the draws."""
    texts: tuple[str, ...]
    """Distinct answers, in the order of their first draw; empty for multiple choice."""
    draws: tuple[tuple[int, int, float], ...]
    """(draw, place in `texts`, score), one per draw of a completion."""
    logprobs_nats: tuple[float, ...]
    """Per choice."""
    note: str
    """Why it could not be scored, or what the scorer said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One document of one task, under all contenders of a panel."""

    task: int
    """Place among the tasks."""
    doc_id: int
    """The baseline's number of it."""
    prompt: str
    """Without the beginning that the task's shown prompts share."""
    target: str
    choices: tuple[str, ...]
    baseline: Answers
    latents: tuple[Answers | None, ...]
    """In the panel's order; None where it does not pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerTask:
    """One task in one panel."""

    label: str
    panel: int
    """Place among the panels."""
    metric: str
    higher_is_better: bool
    shared_prompt: str
    """How all its shown prompts begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerPanel:
    """A baseline and its latents, by label, with what tells them apart."""

    baseline: str
    latents: tuple[str, ...]
    remarks: tuple[str, ...]
    """Per latent: κ, where Z comes from, and whether it is a control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explorer:
    """All that the explorer could show, in the order in which it is shown."""

    panels: tuple[ExplorerPanel, ...]
    tasks: tuple[ExplorerTask, ...]
    items: tuple[Item, ...]
    num_pairs: int
    """Documents times latents that were compared."""
    num_changed: int
    """Those whose scores differ."""
