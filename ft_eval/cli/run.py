"""`ft-eval run`: parse, plan, execute, print the table and the next command."""

from pathlib import Path
from typing import Any

import click

from ft_eval.cli.code_settings import require_code
from ft_eval.cli.options import DEFAULT_MAX_UNSCORED, Number, RunPlace, Whole
from ft_eval.cli.paths import PATH
from ft_eval.cli.planning import say_deviations, take_flags, write_plan
from ft_eval.cli.run_flags import RunFlags
from ft_eval.cli.stopping import ends_in_order


@click.command(short_help="Evaluate checkpoints on tasks.")
@click.option(
    "--ckpt",
    multiple=True,
    metavar="NAME",
    help="A checkpoint, a folder of checkpoints, or a name in --checkpoints. Repeatable.",
)
@click.option(
    "--checkpoints", "checkpoints_file", type=PATH, metavar="FILE", help="A checkpoints.toml: names, pairs, κ."
)
@click.option("--adapter", metavar="NAME", help="A model class, as module:Class or an entry point, for other layouts.")
@click.option("--allow-nonfinite", is_flag=True, help="Evaluate weights that are NaN or infinite all the same.")
@click.option("--tasks", "-t", multiple=True, metavar="A,B", help="Tasks, groups or tags; see `ft-eval tasks`.")
@click.option(
    "--include-path",
    "include_paths",
    multiple=True,
    type=PATH,
    metavar="DIR",
    help="A folder of task files of your own. Repeatable.",
)
@click.option("--trust-task-code", is_flag=True, help="Let task files in --include-path run code (!function).")
@click.option("--limit", "-L", metavar="N", help="The first N documents of each task, or a share below 1.")
@click.option(
    "--num-fewshot", "-f", type=Whole(low=0), metavar="N", help="Few-shot examples; default: each task's own."
)
@click.option(
    "--latents",
    multiple=True,
    metavar="A,B",
    help="Where Z comes from: prior (default), posterior, zero, fixed, shuffled.",
)
@click.option("--z-draws", metavar="K", help="Draws of Z per item: a number (default 1), or auto.")
@click.option(
    "--prefix-latents",
    type=click.Choice(["item", "shared"]),
    default="item",
    show_default=True,
    help="The prior's Z over what prompts have in common: an item's own, or the same for all, computed once.",
)
@click.option("--seed", type=Whole(), default=1234, show_default=True, help="Seed of Z and of sampling.")
@click.option(
    "--aa",
    "reruns_baseline",
    is_flag=True,
    help="Run the baseline once more, with another seed and batch order: the noise floor of every difference.",
)
@click.option("--primary", multiple=True, metavar="A,B", help="The tasks and groups that the verdict is about.")
@click.option(
    "--margin", type=Number(), metavar="POINTS", help="Differences inside ±POINTS make no practical difference."
)
@click.option(
    "--plan",
    "plan_file",
    type=PATH,
    metavar="FILE",
    is_eager=True,
    callback=take_flags,
    help="Do what `ft-eval plan` wrote down; flags given beside it stand before it.",
)
@click.option("--batch-size", "-b", default="auto", show_default=True, metavar="N", help="Rows in one forward pass.")
@click.option("--no-prefix-cache", is_flag=True, help="Compute what requests share for each of them again.")
@click.option(
    "--compile",
    "compile_",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="Kernels of our own: on a CPU built once per machine (auto: where that pays), on a GPU as graphs (auto: no).",
)
@click.option(
    "--verify",
    "num_verified",
    type=Whole(low=0),
    default=0,
    metavar="N",
    help="Ask N requests of each job again, alone, and report what that changes.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    help="auto (what the checkpoint names), float32, bfloat16, float16, or int8 (weights, on a CPU).",
)
@click.option(
    "--output-path",
    "-o",
    type=RunPlace(),
    metavar="DIR",
    help="The run's folder, or its address (s3://bucket/run); default: runs/<id of the work>.",
)
@click.option("--data-dir", type=PATH, metavar="DIR", help="Datasets in the hub's layout, as DIR/ORG/NAME.")
@click.option("--offline", is_flag=True, help="Open no network connection.")
@click.option(
    "--sandbox",
    "tier",
    default="auto",
    show_default=True,
    metavar="TIER",
    help="For code tasks: auto, ns, bwrap, ll, docker or none.",
)
@click.option("--allow-unsafe-code", is_flag=True, help="Let --sandbox none run programs with all your rights.")
@click.option("--skip-gold-check", is_flag=True, help="Don't see first whether a code task's own solutions pass.")
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where the engines are: on this machine, or on a Ray cluster.",
)
@click.option(
    "--num-workers", type=Whole(low=1), metavar="N", help="Engines at a time; default: 1, or what the cluster holds."
)
@click.option("--ray-address", metavar="ADDRESS", help="auto (this machine's cluster, default), local, or HOST:PORT.")
@click.option(
    "--num-gpus-per-worker",
    type=Number(low=0),
    metavar="G",
    help="Of each Ray worker; default: 1 where there are GPUs.",
)
@click.option("--num-cpus-per-worker", type=Number(low=0), metavar="C", help="Of each Ray worker; default: 1.")
@click.option(
    "--max-unscored",
    type=Number(low=0.0, high=1.0),
    default=DEFAULT_MAX_UNSCORED,
    show_default=True,
    metavar="SHARE",
    help="Fail (exit code 3) when more of a job's samples could not be scored.",
)
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but warnings and errors.")
@click.option("--verbose", "-v", is_flag=True, help="Show the run's log, with a line per answer.")
@click.option("--dry-run", is_flag=True, help="Print the plan (jobs, documents, tokens) and stop.")
def run(**given: Any) -> None:
    """Evaluate checkpoints on tasks.

    A run that was interrupted goes on when the same command is typed again; what is answered is never asked twice.
    """
    from ft_eval.cli.quiet import quiet_libraries

    flags = RunFlags(**given)
    quiet_libraries(offline=flags.offline)
    from ft_eval.cli.running import run_plan, show_plan, telling
    from ft_eval.harness.code_tasks import session
    from ft_eval.plan import plan_run

    tells = telling(flags.max_unscored, quiet=flags.quiet, verbose=flags.verbose)
    workers, scoring = flags.workers(), flags.scoring()
    planned = plan_run(flags.options())
    if flags.plan_to is not None:
        write_plan(planned, flags.plan_to)
        return
    say_deviations(planned)
    if flags.dry_run:
        show_plan(planned)
        return
    place = flags.output_path or Path("runs") / planned.plan.run_id
    with ends_in_order(), session(scoring):
        require_code(planned, place)
        run_plan(planned, place, workers, tells)
