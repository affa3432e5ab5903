"""HumanEval+ and MBPP+ as evalplus publishes them: found, checked, and turned into problems the sandbox can be given.

Looked for in this order: a file named by the user, `<data_dir>/evalplus-release/`, evalplus's own
HUMANEVAL_OVERRIDE_PATH and MBPP_OVERRIDE_PATH, evalplus's own cache, and, unless offline, evalplus's download into
that cache. Inputs become wire texts at once, so a file's problems take little memory. Knows nothing of how answers are
judged beyond which rule a problem names.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ft_eval.errors import DataError, remark
from ft_eval.harness.code_judge import oracle_name
from ft_eval.harness.code_lines import parse_line, read_content, read_lines
from ft_eval.harness.judges import judged_as
from ft_eval.harness.manifest import RELEASE_ID, check_release_file
from ft_eval.sandbox.wire import WireError, encode

HUMANEVAL_PLUS, MBPP_PLUS = "humaneval_plus", "mbpp_plus"
BENCHMARK_OF: Mapping[str, str] = {
    HUMANEVAL_PLUS: HUMANEVAL_PLUS,
    "humaneval": HUMANEVAL_PLUS,
    "evalplus_humaneval": HUMANEVAL_PLUS,
    MBPP_PLUS: MBPP_PLUS,
    "evalplus_mbpp": MBPP_PLUS,
}
"""Tasks that are scored by one of evalplus's releases, and which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One function to write, what to call it with, and a program known to be right."""

    task_id: str
    entry_point: str
    reference: str
    """A right program, whole."""
    base_inputs: tuple[bytes, ...]
    """Per test of the original benchmark, the wire text of its argument list."""
    plus_inputs: tuple[bytes, ...] = ()
    """The same for evalplus's further tests; empty where there are none."""
    atol: float = 0.0
    """Absolute tolerance; 0 until floats are expected, then evalplus's 1e-6."""
    oracle: str = "equal"
    """How an answer is judged: a name that `code_judge` knows."""
    prompt: str = ""
    """What a completion goes behind; empty where programs are whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What is particular to one of the two benchmarks."""

    name: str
    file: str
    override: str
    version: str
    sha256: str
    """Of the released .jsonl.gz of that version."""
    sha256_unpacked: str
    """Of the .jsonl in it, which is what evalplus's own cache has."""


_SOURCES: Mapping[str, _Source] = {
    HUMANEVAL_PLUS: _Source(
        name="HumanEvalPlus",
        file="HumanEvalPlus.jsonl.gz",
        override="HUMANEVAL_OVERRIDE_PATH",
        version="v0.1.10",
        sha256="272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101",
        sha256_unpacked="42526ec0e7d5f3ee0b06d6ced98f8c8bae3d76519151bfb3d36f79010645bd7f",
    ),
    MBPP_PLUS: _Source(
        name="MbppPlus",
        file="MbppPlus.jsonl.gz",
        override="MBPP_OVERRIDE_PATH",
        version="v0.2.0",
        sha256="af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63",
        sha256_unpacked="b54e762755248ca411b523c917fa9f93c07b5ff2966bf60b3917b853926a3dad",
    ),
}
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "task_id": str,
    "prompt": str,
    "entry_point": str,
    "canonical_solution": str,
    "base_input": list,
    "plus_input": (list, dict),  # an empty one is {} in some releases
    "atol": (int, float),
}


def benchmarks_of(tasks: Iterable[str]) -> tuple[str, ...]:
    """The benchmarks whose released tests these tasks need, each once."""
    judged = map(judged_as, tasks)
    return tuple(dict.fromkeys(BENCHMARK_OF[task] for task in judged if task in BENCHMARK_OF))


class CodeData:
    """One benchmark's file, read when the first problem is asked for."""

    def __init__(self, task: str, *, data_dir: Path | None, offline: bool, file: Path | None = None) -> None:
        self._task, self._source = task, _SOURCES[task]
        self._data_dir, self._offline, self._file = data_dir, offline, file
        self._problems: dict[str, Problem] = {}

    def problem(self, task_id: str) -> Problem:
        """The problem of that id, such as HumanEval/32 or Mbpp/2. Raises DataError when the file has none."""
        if task_id in self._problems:
            return self._problems[task_id]
        line = self._lines.get(task_id)
        if line is None:
            raise DataError(
                f"{self.path} has no problem {task_id}; it must be {self._source.name} as evalplus releases it"
            )
        try:
            self._problems[task_id] = _problem(self._task, json.loads(line))
        except (TypeError, ValueError, IndexError, AttributeError, WireError) as error:  # inputs of another shape
            raise DataError(
                f"{self.path}: the inputs of {task_id} can't be read ({error}); expected lists of arguments"
            ) from error
        return self._problems[task_id]

    def digest(self, task_id: str) -> str:
        """sha256, hexadecimal, of all that the file says of a problem. Raises DataError as `problem` does."""
        if task_id not in self._lines:
            self.problem(task_id)  # raises
        return hashlib.sha256(self._lines[task_id].encode()).hexdigest()

    def task_ids(self) -> tuple[str, ...]:
        """All ids, in the file's order."""
        return tuple(self._lines)

    @property
    def is_here(self) -> bool:
        """Whether the file can be had without a download."""
        return self.here is not None

    @property
    def here(self) -> Path | None:
        """The file that would be used, unseen; None where it would have to be downloaded. Raises as `path`."""
        return self._local_path()

    @cached_property
    def path(self) -> Path:
        """The file in use. Raises DataError when there is none to be had, or a manifest beside it lists another."""
        found = self._local_path() or self._download()
        if self._data_dir is not None and found == self._data_dir / RELEASE_ID / self._source.file:
            check_release_file(self._data_dir, self._source.file)
        return found

    @cached_property
    def provenance(self) -> Mapping[str, str]:
        """The file's sha256 and, where that is a known release, its version."""
        what = f" {self._source.version}" if self.is_release else ", not a known release"
        return {
            f"{self._task}_data": f"{self._source.name}{what}",
            f"{self._task}_data_sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
        }

    @cached_property
    def is_release(self) -> bool:
        """Whether the file has what the known release has, packed or not. Raises DataError as `path`."""
        content = read_content(self.path, self._remedy)
        return hashlib.sha256(content).hexdigest() == self._source.sha256_unpacked

    def remark_on_origin(self) -> None:
        """Say it where the tests are no known release, unless the user has named them for this. Raises as `path`."""
        if self._file is None and not self.is_release:
            remark(
                f"{self.path} is not {self._source.name} {self._source.version} as evalplus released it; "
                "scores by it are not comparable with those by the release"
            )

    @property
    def _remedy(self) -> str:
        return f"copy {self._source.file} there again"

    @cached_property
    def _lines(self) -> Mapping[str, str]:
        """Per id the problem's JSON, checked and unparsed: the inputs of the two files take 200 MB as objects."""
        found: dict[str, str] = {}
        for number, line in read_lines(self.path, self._remedy):
            task_id = _checked_id(self.path, number, line)
            if task_id in found:
                raise DataError(f"{self.path}:{number} has {task_id} a second time; a problem stands there once")
            found[task_id] = line
        if not found:
            raise DataError(f"{self.path} has no problems; {self._remedy}")
        return found

    def _local_path(self) -> Path | None:
        if self._file is not None:
            if not self._file.is_file():
                raise DataError(
                    f"{self._file}: no such file; expected problems in evalplus's format (.jsonl or .jsonl.gz)"
                )
            return self._file
        if self._data_dir is not None:
            given = self._data_dir / RELEASE_ID / self._source.file
            if given.is_file():
                return given
        override = os.environ.get(self._source.override)
        if override:
            if not Path(override).is_file():
                raise DataError(f"{self._source.override}={override}: no such file; unset it or name a .jsonl.gz")
            return Path(override)
        cached = self._cache_path()
        return cached if cached.is_file() else None

    def _cache_path(self) -> Path:
        return Path(_cache_entry(self._source)[1])

    def _download(self) -> Path:
        if self._offline:
            where = f" in {self._data_dir}" if self._data_dir else ""
            raise DataError(
                f"{self._task} needs evalplus-release/{self._source.file}{where}, and offline it can't be fetched: "
                f"put it there, or name it in {self._source.override}"
            )
        from evalplus.data.utils import make_cache  # noqa: PLC0415 (imports 35 packages: only when asked for)

        url, path = _cache_entry(self._source)
        try:
            make_cache(url, path)
        except (OSError, ValueError) as error:
            raise DataError(f"{url} can't be fetched ({error}); put {self._source.file} under --data-dir") from error
        return Path(path)


def evalplus_version() -> str:
    """The version of evalplus whose rules and data formats are in use."""
    return version("evalplus")


def _cache_entry(source: _Source) -> tuple[str, str]:
    from evalplus.data.utils import get_dataset_metadata  # noqa: PLC0415 (see _download)

    url, path = get_dataset_metadata(source.name, source.version, mini=False)
    return str(url), str(path)


def _checked_id(path: Path, number: int, line: str) -> str:
    try:
        parsed = parse_line(line)
    except ValueError as error:
        raise DataError(f"{path}:{number} is no JSON ({error}); copy the file again") from error
    row = parsed if isinstance(parsed, dict) else {}
    missing = [field for field in _FIELDS if field not in row]
    if missing:
        raise DataError(f"{path}:{number} has no {', '.join(missing)}; it must be an evalplus release")
    off = [field for field, kinds in _FIELDS.items() if not isinstance(row[field], kinds)]
    if off or not row["base_input"]:
        raise DataError(f"{path}:{number} has an unusable {(off or ['base_input'])[0]}; it must be an evalplus release")
    return str(row["task_id"])


def _problem(task: str, row: Mapping[str, Any]) -> Problem:
    base, plus = row["base_input"], row["plus_input"]
    if task == MBPP_PLUS:
        from evalplus.data.mbpp import mbpp_deserialize_inputs  # noqa: PLC0415 (see _download)

        base, plus = (mbpp_deserialize_inputs(row["task_id"], inputs) for inputs in (base, plus))
    return Problem(
        task_id=row["task_id"],
        entry_point=row["entry_point"],
        reference=row["prompt"] + row["canonical_solution"],
        base_inputs=tuple(encode(list(arguments)) for arguments in base),
        plus_inputs=tuple(encode(list(arguments)) for arguments in plus),
        atol=float(row["atol"]),
        oracle=oracle_name(task, row["entry_point"]),
        prompt=row["prompt"],
    )
