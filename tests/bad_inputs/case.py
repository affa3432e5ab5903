"""What a case of the list of bad inputs is, and the folder that it happens in. Knows no single case."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from ft_eval.resources import tasks_dir

WEIGHTS = "model.safetensors"


class Room:
    """A folder for one case: `inputs` beside `work`, the working directory, in which nothing may appear."""

    def __init__(self, root: Path, template: Path) -> None:
        self.inputs = root / "in"
        self.work = root / "work"
        self._template = template
        self.inputs.mkdir()
        self.work.mkdir()

    def tasks_dir(self) -> Path:
        """The user's task files where there are some, else the package's."""
        own = self.inputs / "tasks"
        return own if own.is_dir() else tasks_dir()

    def checkpoint(self, name: str = "ckpt") -> Path:
        """A sound baseline checkpoint, for a case to spoil."""
        shutil.copytree(self._template, self.inputs / name)
        return self.inputs / name

    def task(self, *lines: str, docs: Sequence[object] = ({"q": "a", "a": "b"},), name: str = "mine") -> list[str]:
        """A task file of the user's over documents of its own; returns what names it on the command line."""
        data = self.write(f"{name}.jsonl", "".join(json.dumps(doc) + "\n" for doc in docs))
        head = (
            f"task: {name}",
            "dataset_path: json",
            f"dataset_kwargs: {{data_files: {{test: {data}}}}}",
            "test_split: test",
        )
        self.write(f"tasks/{name}.yaml", "\n".join([*head, *lines]) + "\n")
        return [name]

    def write(self, name: str, content: str | bytes) -> Path:
        """A file among the inputs."""
        path = self.inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return path


@dataclass(frozen=True, slots=True)
class Case:
    """A command that goes wrong. What the user sees stands in docs/bad-inputs.md, under the same number and words."""

    number: int
    """In the list."""
    what: str
    """What is wrong, in a few words."""
    prepare: Callable[[Room], Sequence[object]]
    """Lays out the inputs; returns the arguments of `ft-eval`."""

    @property
    def id(self) -> str:
        """`04-git-lfs-pointer`."""
        return f"{self.number:02d}-{re.sub('[^a-z0-9]+', '-', self.what.lower()).strip('-')}"


@dataclass(frozen=True, slots=True)
class Held:
    """A row of the page that another kind of test holds, or that says why the case can't occur."""

    number: int
    what: str
    test: str = ""
    """The function in the group's module, `test_72_…`, or, elsewhere, `tests/…/test_x.py::test_y`."""


def matches(pattern: str, line: str) -> bool:
    """Whether a line is what a case promises; `…` is any text.

    >>> matches("error: … is empty", "error: /tmp/x is empty")
    True
    """
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("…")), line) is not None


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below a folder: its mode, its time of change, and what is in it (or where its link points)."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = b""
        if path.is_symlink():
            content = str(path.readlink()).encode()
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (status.st_mode, 0 if path.is_dir() else status.st_mtime_ns, content)
    return found


def run_arguments(checkpoint: Path, *more: object, task: str = "toy_mmlu") -> list[object]:
    """`ft-eval run` of two documents of a task that needs no data."""
    return ["run", "--ckpt", checkpoint, "--tasks", task, "--limit", "2", "--offline", *more]


def edit_config(checkpoint: Path, **changes: object) -> None:
    """Set fields of config.json; None takes one out."""
    path = checkpoint / "config.json"
    raw = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in raw.items() if value is not None}))


def edit_weights(checkpoint: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors by name."""
    tensors = {name: tensor.clone() for name, tensor in load_file(checkpoint / WEIGHTS).items()}
    edit(tensors)
    save_file(tensors, checkpoint / WEIGHTS)


def edit_header(checkpoint: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the header of the weights as JSON; the tensors' bytes stay."""
    path = checkpoint / WEIGHTS
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
