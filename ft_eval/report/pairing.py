"""Pairs the items of two contenders by content: the same document, prompt and target, wherever they stand.

Knows frames as `frames.item_frame` makes them, and no statistics.
"""

from dataclasses import dataclass

import pandas as pd

from ft_eval.report.frames import CONTENT, ITEM

_NUM_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The items that two contenders share, and those that they don't."""

    pairs: pd.DataFrame
    """One row per shared item in the baseline's order: doc_id_baseline, doc_id_latent, and each metric twice, with the
    endings _baseline and _latent."""
    baseline_only: tuple[int, ...]
    """Numbers of the documents that only the baseline has."""
    latent_only: tuple[int, ...]
    field: str
    """The first of doc, prompt, target that differs where both have a document of one number; empty where none does."""
    doc_id: int = -1
    """The first document in which it does; -1 where none does."""

    @property
    def note(self) -> str:
        """What did not pair, in a sentence; empty when everything did."""
        num_alone = max(len(self.baseline_only), len(self.latent_only))
        if not num_alone:
            return ""
        reason = f": the same number, another {self.field_name}" if self.field else ""
        sides = (("baseline", self.baseline_only), ("latent", self.latent_only))
        named = "; ".join(f"{_numbers(ids)} of the {side} only" for side, ids in sides if ids)
        return f"{len(self.pairs)} items pair by content; left out of the difference: {named}{reason}"

    @property
    def field_name(self) -> str:
        """The field in a word."""
        return _FIELD_NAMES.get(self.field, "")


_FIELD_NAMES = {"doc": "document", "prompt": "prompt", "target": "target"}


def pair_items(baseline: pd.DataFrame, latent: pd.DataFrame) -> Pairing:
    """Match the items of two frames, each item at most once."""
    columns = [name for name in baseline.columns if name in latent.columns and name not in ITEM]
    pairs = baseline[ITEM + columns].merge(
        latent[ITEM + columns], on=ITEM, how="inner", suffixes=("_baseline", "_latent")
    )
    pairs = pairs.sort_values("doc_id_baseline", kind="stable").reset_index(drop=True)
    baseline_only = baseline[~baseline["doc_id"].isin(pairs["doc_id_baseline"])]
    latent_only = latent[~latent["doc_id"].isin(pairs["doc_id_latent"])]
    field, doc_id = _first_difference(baseline_only, latent_only)
    return Pairing(
        pairs=pairs,
        baseline_only=tuple(baseline_only["doc_id"].tolist()),
        latent_only=tuple(latent_only["doc_id"].tolist()),
        field=field,
        doc_id=doc_id,
    )


def _first_difference(baseline: pd.DataFrame, latent: pd.DataFrame) -> tuple[str, int]:
    if baseline.empty or latent.empty:
        return "", -1
    both = baseline.merge(latent, on="doc_id", suffixes=("_baseline", "_latent"))
    for name in CONTENT:
        differs = both[f"{name}_baseline"] != both[f"{name}_latent"]
        if differs.any():
            return name, int(both.loc[differs, "doc_id"].min())
    return "", -1


def _numbers(doc_ids: tuple[int, ...]) -> str:
    """`document 4`, or `12 documents (0, 1, 2, …)`."""
    if len(doc_ids) == 1:
        return f"document {doc_ids[0]}"
    named = ", ".join(str(doc_id) for doc_id in doc_ids[:_NUM_NAMED])
    return f"{len(doc_ids):,} documents ({named}{', …' if len(doc_ids) > _NUM_NAMED else ''})"
