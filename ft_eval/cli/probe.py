"""`ft-eval probe`: what the latent Z of a checkpoint does; and the paper's synthetic experiment."""

from pathlib import Path

import click

from ft_eval.cli.options import Whole
from ft_eval.cli.paths import PATH


@click.command(short_help="What does the latent Z do, and is it used at all?")
@click.argument("checkpoint", required=False, type=PATH, metavar="[CKPT]")
@click.option("--baseline", type=PATH, metavar="CKPT", help="Its baseline, measured on the same texts.")
@click.option("--texts", type=PATH, metavar="FILE", help="A text per line, or .jsonl with `text`. Default: toy texts.")
@click.option("--to", "folder", type=PATH, metavar="DIR", help="Where to write; default: probes/<name of CKPT>.")
@click.option("--adapter", metavar="NAME", help="A model class, as module:Class or an entry point, for other layouts.")
@click.option(
    "--num-draws", type=Whole(low=1, high=4096), default=64, show_default=True, help="K of the largest bound."
)
@click.option("--seed", type=Whole(), default=1234, show_default=True, help="Seed of Z and of sampling.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16.")
@click.option("--enumerate", "enumerates", is_flag=True, help="Only sum over every Z of one short text: a check.")
@click.option("--synthetic", is_flag=True, help="Train the paper's four models (κ = 1/64 to 8 bits) and compare them.")
def probe(  # noqa: PLR0917 — click passes every option by name
    checkpoint: Path | None,
    baseline: Path | None,
    texts: Path | None,
    folder: Path | None,
    adapter: str | None,
    num_draws: int,
    seed: int,
    device: str,
    dtype: str,
    enumerates: bool,
    synthetic: bool,
) -> None:
    """Measure what Z does in the latent checkpoint CKPT: KL, bits, likelihood bounds, steering, diversity.

    Prints tables, and writes probe.json and probe.html. With --synthetic, without CKPT: trains four small models on
    the paper's synthetic source and writes synthetic.json and synthetic.html.
    """
    from ft_eval.cli import probing
    from ft_eval.errors import UsageError

    if synthetic:
        if checkpoint is not None or folder is None:
            raise UsageError("--synthetic trains its own models: give no CKPT, and a folder with --to DIR")
        probing.run_synthetic(folder)
        return
    if checkpoint is None:
        raise UsageError("no checkpoint; give a latent checkpoint's folder, or --synthetic --to DIR")
    from ft_eval.probe.probe import ProbeOptions

    options = ProbeOptions(
        checkpoint=checkpoint,
        baseline=baseline,
        texts=texts,
        adapter=adapter,
        num_draws=num_draws,
        seed=seed,
        device=device,
        dtype=dtype,
    )
    if enumerates:
        probing.run_enumeration(options)
    else:
        probing.run_probe(options, folder or Path("probes") / checkpoint.resolve().name)
