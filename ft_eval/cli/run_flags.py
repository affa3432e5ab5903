"""What `ft-eval run` was told, and what the rest of the package makes of it: a plan's options, workers, scoring.

Types of other floors are imported where they are made: their modules are heavy, and help must not wait for them.
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ft_eval.cli.code_settings import code_settings
from ft_eval.cli.options import parse_batch_size, parse_limit, parse_names
from ft_eval.cli.planning import read_registration

if TYPE_CHECKING:  # heavy: loaded when a command runs
    from ft_eval.executors.opening import ExecutorOptions
    from ft_eval.harness.code_tasks import CodeTaskSettings
    from ft_eval.harness.mirror import DataSource
    from ft_eval.plan import RunOptions
    from ft_eval.records import EngineOptions, LatentPolicy
    from ft_eval.store.remote.url import RunUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """The flags of `run` by their names there; the help of each says what it is. Each method raises UsageError."""

    ckpt: tuple[str, ...]
    checkpoints_file: Path | None
    adapter: str | None
    allow_nonfinite: bool
    tasks: tuple[str, ...]
    include_paths: tuple[Path, ...]
    trust_task_code: bool
    limit: str | None
    num_fewshot: int | None
    latents: tuple[str, ...]
    z_draws: str | None
    prefix_latents: str
    seed: int
    reruns_baseline: bool
    primary: tuple[str, ...]
    margin: float | None
    plan_file: Path | None
    batch_size: str
    no_prefix_cache: bool
    compile_: str
    num_verified: int
    device: str
    dtype: str
    output_path: "Path | RunUrl | None"
    data_dir: Path | None
    offline: bool
    tier: str
    allow_unsafe_code: bool
    skip_gold_check: bool
    executor: str
    num_workers: int | None
    ray_address: str | None
    num_gpus_per_worker: float | None
    num_cpus_per_worker: float | None
    max_unscored: float
    quiet: bool
    verbose: bool
    dry_run: bool
    plan_to: Path | None = None

    def workers(self) -> "ExecutorOptions":
        """Where the engines are, and how many."""
        from ft_eval.executors.opening import ExecutorOptions

        return ExecutorOptions(
            name=self.executor,
            num_workers=self.num_workers,
            ray_address=self.ray_address,
            num_gpus_per_worker=self.num_gpus_per_worker,
            num_cpus_per_worker=self.num_cpus_per_worker,
        )

    def scoring(self) -> "CodeTaskSettings":
        """How programs are scored; how far their check is, is not told to who wants it quiet."""
        return code_settings(
            self._source(),
            self.tier,
            allow_unsafe_code=self.allow_unsafe_code,
            check_references=not self.skip_gold_check,
            tells=not self.quiet,
        )

    def options(self) -> "RunOptions":
        """What a plan is made of."""
        from ft_eval.environment import redact
        from ft_eval.harness.tasks import TaskOptions
        from ft_eval.plan import RunOptions

        return RunOptions(
            checkpoints=parse_names(self.ckpt),
            checkpoints_file=self.checkpoints_file,
            adapter=self.adapter,
            allow_nonfinite=self.allow_nonfinite,
            tasks=parse_names(self.tasks),
            task_options=TaskOptions(
                limit=parse_limit(self.limit),
                num_fewshot=self.num_fewshot,
                include_paths=self.include_paths,
                trust_code=self.trust_task_code,
            ),
            latents=self._policies(),
            seed=self.seed,
            reruns_baseline=self.reruns_baseline,
            primary=parse_names(self.primary),
            margin_points=self.margin,
            registered=read_registration(self.plan_file),
            dtype=self.dtype,
            engine=self._engine(),
            source=self._source(),
            command=redact(shlex.join(["ft-eval", *sys.argv[1:]])),
        )

    def _source(self) -> "DataSource":
        from ft_eval.harness.mirror import DataSource

        return DataSource(data_dir=self.data_dir, offline=self.offline)

    def _policies(self) -> "tuple[LatentPolicy, ...]":
        """The arms; the prior where only its draws or its prefix are spoken of."""
        from ft_eval.engine.loading import latent_policy

        names = parse_names(self.latents) or (("prior",) if self.z_draws or self.prefix_latents == "shared" else ())
        return tuple(latent_policy(name, self.z_draws or "1", self.prefix_latents) for name in names)

    def _engine(self) -> "EngineOptions":
        from ft_eval.engine.loading import resolve_compile
        from ft_eval.records import EngineOptions

        device = self._device()
        return EngineOptions(
            batch_size=parse_batch_size(self.batch_size),
            device=device,
            prefix_cache=not self.no_prefix_cache,
            captures_steps=resolve_compile(self.compile_, device="cpu" if device == "auto" else device),
            compile=self.compile_,
            num_verified=self.num_verified,
        )

    def _device(self) -> str:
        """Its name; on a cluster each worker says what `auto` is, since this machine may be another kind."""
        from ft_eval.engine.loading import resolve_device

        return self.device if self.executor == "ray" else resolve_device(self.device)
