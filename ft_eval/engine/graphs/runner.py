"""Decode steps by replay: inputs are copied to where the recordings read them, and the one of the right shape runs.

    step(tokens, positions, codes) ─▶ smallest bucket of rows and keys ─▶ static inputs ─▶ replay ─▶ hidden

A shape is traced, rewritten and recorded when it is first asked for. Rows beyond those asked for are at rest: token 0
at the position where a prompt will begin, with R = 0; what the cache holds there in those rows is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ft_eval.engine.graphs.backend import FtGraph
from ft_eval.engine.graphs.buckets import key_buckets, row_buckets, smallest
from ft_eval.engine.graphs.recording import Recorder, Recording, recorder_for
from ft_eval.engine.graphs.rewrite import Fusions
from ft_eval.engine.graphs.step import DecodeStep, StepShape
from ft_eval.engine.padding import ROW_MULTIPLE
from ft_eval.engine.readout import Readout, TorchReadout
from ft_eval.model.cache import KVCache, Prefix
from ft_eval.model.kernels.flash import flash_works
from ft_eval.model.latent import NO_CODE
from ft_eval.model.transformer import Transformer

_NUM_SHAPES = 4096
"""Dynamo's limit on shapes of one function; its default of 8 is for those who didn't ask for many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOptions:
    """How steps are made into graphs."""

    fixed_shapes: bool = False
    """One shape for all: every step has all rows and reads all keys. A row's bits then can't hang on how many others
    there are."""
    residual_in_gemm: bool = False
    """See `Fusions`."""
    lengths: bool | None = None
    """Attention by the rows' lengths instead of a mask; None: where the flash kernel works."""


@dataclass(slots=True)
class Counters:
    """What was done until now."""

    recordings: int = 0
    replays: int = 0


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Where recordings of one number of rows read, (B, 1) each."""

    token_ids: Tensor
    positions: Tensor
    codes: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCompiler:
    """What outlives a cache: the backend, whose rewritten graphs are kept by shape, and the options.

    One per model, so that a new cache of known shapes is recorded anew but not traced anew.
    """

    options: GraphOptions
    backend: FtGraph
    lengths: bool
    readout: Readout = field(default_factory=TorchReadout)

    @classmethod
    def for_model(cls, model: Transformer, options: GraphOptions | None = None) -> "GraphCompiler":
        """For one model, where it is."""
        options = options or GraphOptions()
        lengths = flash_works(model.dtype, model.device) if options.lengths is None else options.lengths
        fusions = Fusions(
            lengths=lengths, num_splits=int(options.fixed_shapes), residual_in_gemm=options.residual_in_gemm
        )
        return cls(options=options, backend=FtGraph(fusions), lengths=lengths)

    def open(
        self, model: Transformer, cache: KVCache, prefixes: tuple[Prefix | None, Prefix | None]
    ) -> "DecodeGraphs | None":
        """Graphs over a cache; None where sequences may outgrow a sliding window, which a captured step can't watch."""
        window = model.config.sliding_window
        if window is not None and cache.max_length > window:
            return None
        return DecodeGraphs(model, cache, prefixes, compiler=self)

    def compile(self, step: DecodeStep) -> Callable[..., Tensor]:
        """The step as one rewritten graph, traced at its first call.

        Raises:
            torch._dynamo.exc.Unsupported: at that call, if it isn't one graph.
        """
        compiled: Callable[..., Tensor] = torch.compile(step, backend=self.backend, fullgraph=True, dynamic=False)

        def call(*inputs: Tensor | None) -> Tensor:
            limits: dict[str, Any] = {"recompile_limit": _NUM_SHAPES, "accumulated_recompile_limit": _NUM_SHAPES}
            with torch._dynamo.config.patch(limits):  # noqa: SLF001 — there is no public name
                return compiled(*inputs)

        return call


@dataclass(slots=True, kw_only=True)
class _Fixed:
    """What a runner's recordings read."""

    model: Transformer
    cache: KVCache
    prefixes: tuple[Prefix | None, Prefix | None]
    inputs: dict[int, _Inputs] = field(default_factory=dict)
    recordings: dict[StepShape, Recording] = field(default_factory=dict)


class DecodeGraphs:
    """Decodes the rows of one cache behind one pair of prefixes.

    Args:
        model: of this project.
        cache: read and written where it is.
        prefixes: what comes before, in the lower and in the upper blocks.
        compiler: of the model; a new one by default.
        recorder: of the device; a new one by default.

    Raises:
        ValueError: the cache is longer than the model's sliding window, which a captured step can't watch.
    """

    def __init__(
        self,
        model: Transformer,
        cache: KVCache,
        prefixes: tuple[Prefix | None, Prefix | None] = (None, None),
        *,
        compiler: GraphCompiler | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        window = model.config.sliding_window
        if window is not None and cache.max_length > window:
            raise ValueError(f"a cache of {cache.max_length} positions is longer than the sliding window of {window}")
        self.counters = Counters()
        self._compiler = compiler or GraphCompiler.for_model(model)
        self._recorder = recorder or recorder_for(model.device)
        self._fixed = _Fixed(model=model, cache=cache, prefixes=prefixes)
        fixed_rows, fixed_keys = self._compiler.options.fixed_shapes, self._compiler.lengths
        self._starts = (cache.lower_start, cache.upper_start)
        self._row_buckets = row_buckets(cache.num_rows, fixed=fixed_rows)
        capacities = [cache.layer(index).keys.shape[2] for index in (0, model.config.num_layers - 1)]
        self._key_buckets = [key_buckets(capacity, fixed=fixed_rows or fixed_keys) for capacity in capacities]

    @property
    def row_multiple(self) -> int:
        """See `Steps`."""
        return ROW_MULTIPLE

    @torch.inference_mode()
    def step(self, token_ids: Tensor, positions: Tensor, codes: Tensor | None) -> Tensor:
        """Hidden states (B, 1, D) of one token more in rows 0 .. B−1; the next step writes over them.

        Args:
            token_ids: (B, 1) int64.
            positions: (B, 1) int64, within the cache: beyond it, nothing is checked where all keys are always read.
            codes: Z, (B, 1) int64, -1 where R = 0; None for a baseline.

        Raises:
            ValueError: more rows or keys than the cache has, or codes that don't fit the model.
        """
        if (codes is None) != (self._fixed.model.latent is None):
            raise ValueError("a latent model needs codes, and a baseline takes none")
        num_rows = len(token_ids)
        shape = StepShape(num_rows=smallest(self._row_buckets, num_rows), num_keys=self._num_keys(positions))
        inputs = self._inputs(shape.num_rows)
        self._fill(inputs, token_ids, positions, codes)
        recording = self._fixed.recordings.get(shape)
        if recording is None:
            recording = self._record(shape, inputs)
        else:
            recording.replay()
            self.counters.replays += 1
        return recording.output[:num_rows]

    def _num_keys(self, positions: Tensor) -> tuple[int, int]:
        lower, upper = self._key_buckets
        if len(lower) == len(upper) == 1:  # nothing to choose: the positions stay on the device
            return lower[0], upper[0]
        need = int(positions.max()) + 1
        return smallest(lower, need - self._starts[0]), smallest(upper, need - self._starts[1])

    def _inputs(self, num_rows: int) -> _Inputs:
        found = self._fixed.inputs.get(num_rows)
        if found is None:
            device = self._fixed.model.device
            columns = [torch.zeros(num_rows, 1, dtype=torch.int64, device=device) for _ in range(3)]
            codes = None if self._fixed.model.latent is None else columns[2]
            found = self._fixed.inputs[num_rows] = _Inputs(columns[0], columns[1], codes)
        return found

    def _fill(self, inputs: _Inputs, token_ids: Tensor, positions: Tensor, codes: Tensor | None) -> None:
        num_rows = len(token_ids)
        inputs.token_ids[:num_rows].copy_(token_ids)
        inputs.token_ids[num_rows:].zero_()
        inputs.positions[:num_rows].copy_(positions)
        inputs.positions[num_rows:].fill_(max(self._starts))
        if inputs.codes is not None and codes is not None:
            inputs.codes[:num_rows].copy_(codes)
            inputs.codes[num_rows:].fill_(NO_CODE)

    def _record(self, shape: StepShape, inputs: _Inputs) -> Recording:
        fixed = self._fixed
        compiled = self._compiler.compile(DecodeStep(fixed.model, fixed.cache, fixed.prefixes, shape))
        recording = self._recorder.record(lambda: compiled(inputs.token_ids, inputs.positions, inputs.codes))
        fixed.recordings[shape] = recording
        self.counters.recordings += 1
        return recording
