"""Cases 1 to 22: checkpoint folders that are damaged, incomplete, hostile, or of another kind."""

import json
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ft_eval.errors import EngineError
from tests.bad_inputs.case import (
    WEIGHTS,
    Case,
    Held,
    Room,
    edit_config,
    edit_header,
    edit_weights,
    run_arguments,
    snapshot,
)

TENSOR = "model.norm.weight"
PICKLES = ("pytorch_model.bin", "model.pt", "last.ckpt", "weights.pkl")
MATRIX = "model.layers.0.mlp.up_proj.weight"


def spoiled(edit: Callable[[Path], object], *more: object) -> Callable[[Room], Sequence[object]]:
    """A run of a checkpoint that was changed."""

    def prepare(room: Room) -> Sequence[object]:
        folder = room.checkpoint()
        edit(folder)
        return run_arguments(folder, *more)

    return prepare


def cut(size: int) -> Callable[[Path], object]:
    return lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:size])


def put(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def add_trailing_bytes(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"\0" * 7)


def shard(folder: Path, edit: Callable[[dict[str, Any]], str | None]) -> None:
    """Two shards and their index, which is then changed; the text of the index where it is no plain JSON."""
    tensors = load_file(folder / WEIGHTS)
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for part, members in parts.items():
        save_file({name: tensors[name].clone() for name in members}, folder / part)
    (folder / WEIGHTS).unlink()
    index = {"weight_map": {name: part for part, members in parts.items() for name in members}}
    text = edit(index)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index) if text is None else text)


def name_twice(index: dict[str, Any]) -> str:
    return json.dumps(index).replace('{"weight_map": {', '{"weight_map": {"model.norm.weight": "b.safetensors", ')


def lose_shard(folder: Path) -> None:
    shard(folder, lambda _index: None)
    (folder / "b.safetensors").unlink()


def rename_weights(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / WEIGHTS).rename(folder / name)


def link_to_nothing(room: Room) -> Sequence[object]:
    (room.inputs / "link").symlink_to(room.inputs / "gone")
    return run_arguments(room.inputs / "link")


def loop(room: Room) -> Sequence[object]:
    (room.inputs / "a").symlink_to(room.inputs / "b")
    (room.inputs / "b").symlink_to(room.inputs / "a")
    return run_arguments(room.inputs / "a")


def a_file(room: Room) -> Sequence[object]:
    return run_arguments(room.checkpoint() / WEIGHTS)


CASES = (
    Case(1, "weights cut short", spoiled(cut(9000))),
    Case(2, "empty weights", spoiled(cut(0))),
    Case(3, "header longer than the file", spoiled(put(WEIGHTS, (10**6).to_bytes(8, "little") + b"{}"))),
    Case(3, "header of 2^60 bytes", spoiled(put(WEIGHTS, (2**60).to_bytes(8, "little") + b"{}" * 100))),
    Case(
        4,
        "Git LFS pointer",
        spoiled(put(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")),
    ),
    Case(5, "trailing bytes", spoiled(add_trailing_bytes)),
    Case(
        6,
        "unknown dtype",
        spoiled(lambda folder: edit_header(folder, lambda header: header[TENSOR].update(dtype="F7"))),
    ),
    Case(
        6,
        "integer weights",
        spoiled(lambda folder: edit_weights(folder, lambda t: t.update({TENSOR: torch.ones(16, dtype=torch.int8)}))),
    ),
    Case(
        7,
        "a shape of 10^12 elements",
        spoiled(lambda folder: edit_header(folder, lambda header: header[TENSOR].update(shape=[10**12]))),
    ),
    Case(
        7,
        "offsets that overflow",
        spoiled(
            lambda folder: edit_header(
                folder, lambda header: header[TENSOR].update(shape=[2**63, 2**63], data_offsets=[0, 2**64 - 1])
            )
        ),
    ),
    Case(
        8,
        "missing tensors",
        spoiled(lambda folder: edit_weights(folder, lambda t: [t.pop(name) for name in list(t)[:7]])),
    ),
    Case(9, "unexpected tensor", spoiled(lambda folder: edit_weights(folder, lambda t: t.update(odd=torch.ones(1))))),
    Case(10, "wrong shape", spoiled(lambda folder: edit_config(folder, vocab_size=300))),
    Case(11, "NaN weights", spoiled(lambda folder: edit_weights(folder, lambda t: t[TENSOR][:3].fill_(torch.nan)))),
    Case(
        11,
        "NaN weights that are allowed",
        spoiled(
            lambda folder: edit_weights(folder, lambda t: t[TENSOR][:3].fill_(torch.nan)),
            "--allow-nonfinite",
            "--dry-run",
        ),
    ),
    Case(
        12, "a layer of zeros", spoiled(lambda folder: edit_weights(folder, lambda t: t[MATRIX].zero_()), "--dry-run")
    ),
    Case(13, "missing shard", spoiled(lose_shard)),
    Case(13, "a tensor listed twice", spoiled(lambda folder: shard(folder, name_twice))),
    Case(
        13,
        "a shard outside the folder",
        spoiled(lambda folder: shard(folder, lambda i: i["weight_map"].update({TENSOR: "../b.safetensors"}))),
    ),
    Case(14, "tied weights that are absent", spoiled(lambda folder: edit_config(folder, tie_word_embeddings=False))),
    *(Case(15, f"weights as {name}", spoiled(rename_weights(name))) for name in PICKLES),
    Case(16, "no config.json", spoiled(lambda folder: (folder / "config.json").unlink())),
    Case(16, "config.json that is no JSON", spoiled(put("config.json", b'{"model_type": '))),
    Case(16, "another architecture", spoiled(lambda folder: edit_config(folder, model_type="lama"))),
    Case(17, "a dtype that is not computed here", spoiled(lambda folder: edit_config(folder, dtype="float8_e4m3fn"))),
    Case(18, "a folder without weights", spoiled(lambda folder: (folder / WEIGHTS).unlink())),
    Case(18, "a weights file in place of its folder", a_file),
    Case(20, "link to nothing", link_to_nothing),
    Case(20, "links in a circle", loop),
)

HELD = (
    Held(
        14,
        "tied weights that contradict each other",
        "tests/model/test_checkpoint.py::test_a_readout_stored_beside_a_tied_embedding_must_equal_it",
    ),
    Held(19, "unreadable file or folder", "test_19_a_closed_file_or_folder_is_named_with_owner_and_mode"),
    Held(20, "a link to a checkpoint", "test_20_a_link_is_followed_and_its_target_recorded"),
    Held(21, "a checkpoint that changes during a run", "test_21_a_checkpoint_that_changes_during_a_run_stops_it"),
    Held(22, "out of memory while loading", "test_22_a_model_that_does_not_fit_is_told_with_sizes"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_bad_checkpoint_is_one_line(hold, case):
    hold(case)


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder that an ordinary user may reach, and the process without root's rights meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="ft-eval-"))
    user = os.geteuid()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("closed", "said"),
    [
        (WEIGHTS, "can't be read: Permission denied (it belongs to user "),
        (".", f"can't be read: Permission denied (it belongs to user {os.geteuid()} and has mode 0000)"),
    ],
    ids=["file", "folder"],
)
def test_19_a_closed_file_or_folder_is_named_with_owner_and_mode(nobody, template, call, closed, said):
    shutil.copytree(template, nobody / "ckpt")
    for path in (nobody / "ckpt", *(nobody / "ckpt").iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (nobody / "ckpt" / closed).chmod(0)
    os.seteuid(65534 if os.geteuid() == 0 else os.geteuid())
    code, out, err = call(*run_arguments(nobody / "ckpt"))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {nobody / 'ckpt' / closed}"), err
    assert said in err
    assert err.count("\n") == 1


def test_20_a_link_is_followed_and_its_target_recorded(room, call):
    from ft_eval.model.checkpoint import weights_digest
    from ft_eval.plan.resolve import resolve_checkpoints

    folder = room.checkpoint("real")
    (room.inputs / "link").symlink_to(folder)
    (found,) = resolve_checkpoints([str(room.inputs / "link")], None, "auto")
    (direct,) = resolve_checkpoints([str(folder)], None, "auto")
    assert (found.name, found.digest) == ("real", direct.digest)
    assert len(weights_digest(room.inputs / "link")) == 64


@pytest.mark.parametrize("when", ["before it is loaded", "while it answers"])
def test_21_a_checkpoint_that_changes_during_a_run_stops_it(room, call, monkeypatch, when):
    from ft_eval.run import execute, jobs

    folder = room.checkpoint()
    place, step = {"before it is loaded": (execute, "_check_code"), "while it answers": (jobs, "evaluate_job")}[when]
    original = getattr(place, step)

    def change(*arguments: Any) -> Any:
        done = original(*arguments)
        edit_weights(folder, lambda tensors: tensors[TENSOR].add_(1.0))
        return done

    monkeypatch.setattr(place, step, change)
    code, _, err = call(*run_arguments(folder, "-o", room.inputs / "run"))
    assert code == 2
    assert "was changed while it was in use (model.safetensors); the answers so far are kept" in err
    assert not list((room.inputs / "run").rglob("result.json")), "no job of a changed model is done"


def test_22_a_model_that_does_not_fit_is_told_with_sizes(room):
    """With a real limit on the process's memory: a table of 128 MiB in float32 has no room."""
    from ft_eval.engine.loading import ModelArguments, load_engine

    folder = room.checkpoint()
    edit_config(folder, vocab_size=2**21)
    edit_weights(
        folder, lambda t: t.update({"model.embed_tokens.weight": torch.zeros(2**21, 16, dtype=torch.bfloat16)})
    )
    before = snapshot(room.inputs)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 150 * 2**20, limits[1]))
    try:
        with pytest.raises(EngineError, match=r"in float32 does not fit the memory of cpu: .*; try --dtype bfloat16"):
            load_engine(ModelArguments(path=folder, dtype="float32", device="cpu"))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert snapshot(room.inputs) == before
