"""Train a toy pair: a baseline and a latent model on the same rows in the same order, in two processes side by side.

    FOLDER/training/   while it trains: the recipe, and each arm's state, written every 100 steps
    FOLDER/            when it is done: baseline/ and latent/, checkpoints.toml, recipe.json, loss.csv

An interrupted training goes on from its last state when it is started again with the same recipe and folder; what comes
out is the same, bit for bit. Knows no command line.
"""

import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from ft_eval.errors import UsageError
from ft_eval.records import Arm
from ft_eval.store.files import write_atomically
from ft_eval.toy.arm import ArmTraining
from ft_eval.toy.pair_files import write_pair
from ft_eval.toy.recipe import Recipe

STEPS_PER_ROW = 50
"""Between two rows of the loss curve, and two calls of the progress callback."""
STEPS_PER_SAVE = 100
BOTH_ARMS = (Arm.BASELINE, Arm.LATENT)
_STATE_FOLDER = "training"
_RECIPE_FILE = "recipe.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """How far an arm has come."""

    arm: Arm
    step: int
    """Steps done."""
    num_steps: int
    loss_bits: float
    """What is minimised, the mean since the last report, in bits per token."""
    kl_bits: float
    """KL of the codes from the prior, in bits per token; 0 for a baseline."""
    seconds: float
    """Time spent in training steps, over all sittings."""


Progress = Callable[[TrainingProgress], None]


def train_pair(
    folder: Path, recipe: Recipe, progress: Progress = lambda _: None, *, arms: Sequence[Arm] = BOTH_ARMS
) -> None:
    """Train the pair into `folder`, an arm per process and a thread each; go on where an earlier call was stopped.

    Args:
        folder: new or empty, or one with an unfinished training under the same recipe.
        recipe: what to train; with corpora=("target",) the paper's synthetic experiment.
        progress: called every 50 steps of an arm, and at its last one.
        arms: those wanted; both by default.

    Raises:
        UsageError: the folder holds something else, a finished pair or a training under another recipe.
        RuntimeError: an arm's process ended early; its own traceback is on stderr. What was saved stays.
    """
    state_folder = _prepare(folder, recipe)
    _train_side_by_side(state_folder, recipe, arms, progress)
    write_pair(folder, [_restored(state_folder, recipe, arm) for arm in arms])
    shutil.rmtree(state_folder)


def train_arm(state_folder: Path, recipe: Recipe, arm: Arm, progress: Progress) -> ArmTraining:
    """Train one arm in this process to the recipe's last step, from its saved state where there is one.

    The arm's state is saved in `state_folder`, which must exist, every 100 steps and at the end.
    """
    training = _restored(state_folder, recipe, arm)
    while training.num_steps_done < recipe.num_steps:
        training.step()
        is_last = training.num_steps_done == recipe.num_steps
        if training.num_steps_done % STEPS_PER_ROW == 0 or is_last:
            row = training.write_loss_row()
            progress(
                TrainingProgress(
                    arm=arm,
                    step=row.step,
                    num_steps=recipe.num_steps,
                    loss_bits=row.loss_bits,
                    kl_bits=row.kl_bits,
                    seconds=row.seconds,
                )
            )
        if training.num_steps_done % STEPS_PER_SAVE == 0 or is_last:
            training.save(_state_path(state_folder, arm))
    return training


def _prepare(folder: Path, recipe: Recipe) -> Path:
    """The state folder, new or of the same recipe."""
    state_folder = folder / _STATE_FOLDER
    wanted = recipe.to_json().encode()
    recipe_path = state_folder / _RECIPE_FILE
    if recipe_path.exists():
        if recipe_path.read_bytes() != wanted:
            raise UsageError(f"{folder} holds an unfinished training under another recipe; name a new folder")
        return state_folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder, and no unfinished training lies in it; name a new folder")
    state_folder.mkdir(parents=True)
    write_atomically(recipe_path, [wanted])
    return state_folder


def _restored(state_folder: Path, recipe: Recipe, arm: Arm) -> ArmTraining:
    training = ArmTraining(recipe, arm)
    path = _state_path(state_folder, arm)
    if path.exists():
        training.restore(path)
    return training


def _state_path(state_folder: Path, arm: Arm) -> Path:
    return state_folder / f"{arm}.safetensors"


def _train_side_by_side(state_folder: Path, recipe: Recipe, arms: Sequence[Arm], progress: Progress) -> None:
    context = multiprocessing.get_context("spawn")
    receivers: list[Connection] = []
    processes: list[SpawnProcess] = []
    try:
        for arm in arms:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_train_in_process, args=(state_folder, recipe, arm, sender), daemon=True)
            process.start()
            sender.close()  # the child's copy is the only one left: its end closes the pipe
            receivers.append(receiver)
            processes.append(process)
        _forward(receivers, progress)
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()
    _check_exits(arms, processes)


def _train_in_process(state_folder: Path, recipe: Recipe, arm: Arm, sender: Connection) -> None:
    """The whole life of an arm's process: one thread, so that the sums of a training come in one order."""
    torch.set_num_threads(1)
    with suppress(KeyboardInterrupt, BrokenPipeError):  # the parent says so, or is gone
        train_arm(state_folder, recipe, arm, sender.send)
    sender.close()


def _forward(receivers: Sequence[Connection], progress: Progress) -> None:
    """Hand on every report, in the order of arrival, until all arms have closed their pipes."""
    open_ones = list(receivers)
    while open_ones:
        for receiver in wait(open_ones):
            assert isinstance(receiver, Connection), f"waited for connections alone, got {receiver!r}"
            try:
                progress(receiver.recv())
            except EOFError:
                open_ones.remove(receiver)


def _check_exits(arms: Sequence[Arm], processes: Sequence[SpawnProcess]) -> None:
    for arm, process in zip(arms, processes, strict=True):
        if process.exitcode != 0:
            raise RuntimeError(f"training of the {arm} arm ended with exit code {process.exitcode}")
