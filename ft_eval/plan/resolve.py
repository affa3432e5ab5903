"""What the user called a checkpoint → Checkpoint records with their pairs. Reads configs, hashes weights, loads none.

A name is looked up in checkpoints.toml first; else it is a folder: a checkpoint, or a folder of checkpoints (whose own
checkpoints.toml, where there is one, says how they pair).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ft_eval.config import CheckpointEntry, CheckpointsFile, load_checkpoints
from ft_eval.engine.loading import resolve_dtype
from ft_eval.errors import CheckpointError, ConfigError, UsageError, did_you_mean
from ft_eval.model.config import ModelConfig, encoder_flops_per_token, flops_per_token
from ft_eval.model.hub_json import is_there, readable
from ft_eval.model.stored import stored_dtype
from ft_eval.plan.facts import CheckpointFacts, checkpoint_facts
from ft_eval.records import Arm, Checkpoint

TOML_NAME = "checkpoints.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A checkpoint folder, before its pair is known."""

    entry: CheckpointEntry
    facts: CheckpointFacts


def resolve_checkpoints(
    names: Sequence[str],
    file: Path | None,
    dtype: str,
    adapter: str | None = None,
    *,
    allow_nonfinite: bool = False,
) -> tuple[Checkpoint, ...]:
    """The checkpoints of a run, baselines before the latent models that are paired with them.

    Args:
        names: what `--ckpt` was given; with `file` and no name, every entry of the file.
        file: what `--checkpoints` was given.
        dtype: auto, or a data type for all of them.
        adapter: the class that runs those named by a path, where they are in no known layout.
        allow_nonfinite: whether weights may be NaN or infinite.

    Raises:
        UsageError: no name, two checkpoints of one name, an unknown data type.
        ConfigError: the file is off, or says of a checkpoint what its folder doesn't.
        CheckpointError: a folder can't be used.
    """
    listed = load_checkpoints(file) if file else None
    if not names and listed is None:
        raise UsageError("no checkpoint was named; pass --ckpt FOLDER, or --checkpoints FILE.toml")
    entries = _entries(names, listed, adapter) if names else tuple(listed.checkpoints.values() if listed else ())
    _refuse_same_name(entries)
    found = [_find(entry, allow_nonfinite=allow_nonfinite) for entry in entries]
    checkpoints = [_checkpoint(one, dtype) for one in found]
    paired = _pair(checkpoints, {one.entry.name: one.facts.config for one in found})
    return tuple(sorted(paired, key=lambda checkpoint: checkpoint.arm is not Arm.BASELINE))


def _find(entry: CheckpointEntry, *, allow_nonfinite: bool) -> _Found:
    with readable(entry.path):
        facts = checkpoint_facts(entry.path, entry.adapter, allow_nonfinite=allow_nonfinite)
        return _Found(entry=entry, facts=facts)


def _entries(names: Sequence[str], listed: CheckpointsFile | None, adapter: str | None) -> tuple[CheckpointEntry, ...]:
    entries: list[CheckpointEntry] = []
    for name in names:
        if listed is not None and name in listed.checkpoints:
            entries.append(listed.checkpoints[name])
        else:
            with readable(Path(name)):
                inside = _from_folder(Path(name), listed)
            entries += [replace(entry, adapter=entry.adapter or adapter) for entry in inside]
    return tuple({entry.path.resolve() / entry.name: entry for entry in entries}.values())


def _from_folder(path: Path, listed: CheckpointsFile | None) -> list[CheckpointEntry]:
    if not is_there(path):
        hint = did_you_mean(str(path), listed.checkpoints) if listed else ""
        where = f"a folder or a name in {listed.path}" if listed else "a checkpoint's folder"
        raise CheckpointError(f"{path}: no such checkpoint; expected {where}{hint}")
    if not path.is_dir() or (path / "config.json").is_file():
        return [CheckpointEntry(name=_name(path), path=path)]
    if (path / TOML_NAME).is_file():
        return list(load_checkpoints(path / TOML_NAME).checkpoints.values())
    inside = sorted(folder for folder in path.iterdir() if (folder / "config.json").is_file())
    if not inside:
        raise CheckpointError(
            f"{path}: not a checkpoint and no folder of checkpoints; expected config.json, model.safetensors and "
            "tokenizer.json in it or in its subfolders"
        )
    return [CheckpointEntry(name=_name(folder), path=folder) for folder in inside]


def _name(path: Path) -> str:
    return path.resolve().name


def _refuse_same_name(entries: Iterable[CheckpointEntry]) -> None:
    by_name: dict[str, Path] = {}
    for entry in entries:
        if entry.name in by_name:
            raise UsageError(
                f"two checkpoints are named {entry.name}: {by_name[entry.name]} and {entry.path}; "
                f"give them names of their own in a {TOML_NAME}"
            )
        by_name[entry.name] = entry.path


def _checkpoint(found: _Found, dtype: str) -> Checkpoint:
    entry, config = found.entry, found.facts.config
    arm = Arm.BASELINE if config.latent is None else Arm.LATENT
    if entry.arm is not None and entry.arm is not arm:
        raise ConfigError(
            f"checkpoint {entry.name} is said to be {entry.arm}, but {entry.path} holds a {arm} model; mend its arm"
        )
    kappa_bits = (
        entry.kappa_bits if entry.kappa_bits is not None else (config.latent.kappa_bits if config.latent else None)
    )
    return Checkpoint(
        name=entry.name,
        arm=arm,
        path=entry.path,
        baseline=entry.baseline,
        dtype=resolve_dtype(dtype, stored=entry.dtype or stored_dtype(entry.path)),
        digest=found.facts.digest,
        weights_digest=found.facts.weights_digest,
        tokenizer_digest=found.facts.tokenizer_digest,
        num_parameters=found.facts.num_parameters,
        training_tokens=entry.training_tokens,
        step=entry.step,
        training_run=entry.training_run,
        training_seed=entry.training_seed,
        kappa_bits=kappa_bits,
        num_latent_bits=config.latent.num_bits if config.latent else None,
        adapter=entry.adapter,
        num_nonfinite=found.facts.num_nonfinite,
        flops_per_token=flops_per_token(config),
        encoder_flops_per_token=encoder_flops_per_token(config),
    )


def _pair(checkpoints: Sequence[Checkpoint], configs: Mapping[str, ModelConfig]) -> list[Checkpoint]:
    """Give each latent model its baseline: the one it names if that is in the run, else the only one that fits."""
    baselines = [checkpoint for checkpoint in checkpoints if checkpoint.arm is Arm.BASELINE]
    paired = []
    names = {other.name for other in baselines}
    for checkpoint in checkpoints:
        baseline = checkpoint.baseline
        if baseline in {other.name for other in checkpoints} - names:
            raise ConfigError(
                f"checkpoint {checkpoint.name}: its baseline {baseline} is a latent model; name a baseline"
            )
        if checkpoint.arm is Arm.LATENT and baseline is None:
            baseline = _only_fitting(checkpoint, baselines, configs)
        elif baseline not in names:
            baseline = None
        paired.append(replace(checkpoint, baseline=baseline))
    return paired


def _only_fitting(
    latent: Checkpoint, baselines: Sequence[Checkpoint], configs: Mapping[str, ModelConfig]
) -> str | None:
    """Of several of one shape, the one at the same moment of its training, by training seed, tokens and steps."""
    if len(baselines) == 1:
        return baselines[0].name
    same = [other for other in baselines if replace(configs[latent.name], latent=None) == configs[other.name]]
    if len(same) > 1:
        same = [other for other in same if _moment(other) == _moment(latent)]
    return same[0].name if len(same) == 1 else None


def _moment(checkpoint: Checkpoint) -> tuple[int | None, int | None, int | None]:
    return checkpoint.training_seed, checkpoint.training_tokens, checkpoint.step
