"""The explorer's documents as the text that the page carries: JSON, gzipped, in base64, within a bound of bytes.

Every text is made visible first (no control characters, no direction marks). The page's script shows them as text and
nothing else; base64 can hold no markup. The same explorer gives the same bytes.
"""

import base64
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ft_eval.report.explored import Answers, Explorer, Item
from ft_eval.report.formats import visible

MAX_PACKED_BYTES = 1_150_000
"""Gzipped; base64 makes it a third longer. With the rest of the page, 26,000 samples stay below 2.5 MB."""
_SHARE_CHANGED = 0.85
_GZIP = 31
"""zlib's window bits for a gzip stream; it writes a modification time of 0."""
_CHUNK = 32
"""Documents that are compressed between two looks at the size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The explorer's data as it stands in the page."""

    base64: str
    num_items: int
    num_changed_items: int
    """Documents on which any latent's score differs."""
    num_left_out: int
    """Documents that were read and found no room."""


def pack(explorer: Explorer, max_bytes: int = MAX_PACKED_BYTES) -> Packed:
    """As many of the first documents as fit; those that changed leave a sixth of the room to the others."""
    changed = [item for item in explorer.items if _is_changed(item)]
    equal = [item for item in explorer.items if not _is_changed(item)]
    packer = _Packer(_header(explorer))
    num_changed = packer.add(changed, int(max_bytes * _SHARE_CHANGED))
    num_equal = packer.add(equal, max_bytes)
    if num_equal == len(equal):
        num_changed += packer.add(changed[num_changed:], max_bytes)
    content = base64.b64encode(packer.close()).decode("ascii")
    num_items = num_changed + num_equal
    return Packed(
        base64=content,
        num_items=num_items,
        num_changed_items=num_changed,
        num_left_out=len(explorer.items) - num_items,
    )


class _Packer:
    """A gzip stream of one JSON object, which grows document by document."""

    def __init__(self, header: dict[str, object]) -> None:
        self._stream = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
        self._parts: list[bytes] = []
        self._num_bytes = self._num_items = 0
        self._write(json.dumps(header, ensure_ascii=False, separators=(",", ":"))[:-1] + ',"items":[')

    def add(self, items: "list[Item]", max_bytes: int) -> int:
        """Documents until the stream has so many bytes; returns how many went in."""
        num_added = 0
        for start in range(0, len(items), _CHUNK):
            if self._num_bytes >= max_bytes:
                break
            chunk = items[start : start + _CHUNK]
            texts = [json.dumps(_plain(item), ensure_ascii=False, separators=(",", ":")) for item in chunk]
            self._write(("," if self._num_items else "") + ",".join(texts))
            self._num_items += len(chunk)
            num_added += len(chunk)
        return num_added

    def close(self) -> bytes:
        self._write("]}")
        return b"".join([*self._parts, self._stream.flush()])

    def _write(self, text: str) -> None:
        part = self._stream.compress(text.encode("utf-8")) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        self._parts.append(part)
        self._num_bytes += len(part)


def _is_changed(item: Item) -> bool:
    return any(answers is not None and answers.score != item.baseline.score for answers in item.latents)


def _header(explorer: Explorer) -> dict[str, object]:
    return {
        "version": 1,
        "panels": [
            {
                "baseline": visible(panel.baseline),
                "latents": [visible(label) for label in panel.latents],
                "remarks": [visible(text) for text in panel.remarks],
            }
            for panel in explorer.panels
        ],
        "tasks": [
            {
                "name": visible(task.label),
                "panel": task.panel,
                "metric": visible(task.metric),
                "sign": 1 if task.higher_is_better else -1,
                "shared": visible(task.shared_prompt),
            }
            for task in explorer.tasks
        ],
    }


def _plain(item: Item) -> list[object]:
    """[task, document, prompt, target, choices, baseline, latents]; no key is written a thousand times."""
    return [
        item.task,
        item.doc_id,
        visible(item.prompt),
        visible(item.target),
        [visible(text) for text in item.choices],
        list(_plain_answers(item.baseline)),
        [None if answers is None else list(_plain_answers(answers)) for answers in item.latents],
    ]


def _plain_answers(answers: Answers) -> Iterator[object]:
    """[score, texts, draws, log p, note]."""
    yield _number(answers.score, 6)
    yield [visible(text) for text in answers.texts]
    yield [[draw, place, _number(score, 6)] for draw, place, score in answers.draws]
    yield [_number(value, 3) for value in answers.logprobs_nats]
    yield visible(answers.note)


def _number(value: float, decimals: int) -> float | None:
    return round(value, decimals) if math.isfinite(value) else None
