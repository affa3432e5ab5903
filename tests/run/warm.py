"""A warm process whose children are real commands, and what a run that may have been killed is held to."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ft_eval.store.seal import is_intact


class Server:
    """The warm process, and how long its children live."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        script = Path(__file__).with_name("kill_server.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._folder = folder
        self.run(folder, ["--version"])  # returns when everything is imported

    def start(self, cwd: Path, argv: list[str], **environment: str) -> int:
        assert self._process.stdin is not None
        order = {"cwd": str(cwd), "argv": argv, "computed": str(cwd / "computed"), "environment": environment}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._line()

    def wait(self) -> int:
        return self._line()

    def run(self, cwd: Path, argv: list[str], **environment: str) -> int:
        self.start(cwd, argv, **environment)
        return self.wait()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run that is the same whenever it ran; the log as a set of answers, clocks apart."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.name in {"result.json", "samples.jsonl"}:
            found[name] = path.read_bytes()
        elif path.name == "responses.jsonl":
            found[name] = b"\n".join(answers(path))
    plain = json.loads((run / "run.json").read_bytes())
    del plain["crc32"], plain["plan"]["created_at"]
    found["run.json"] = json.dumps(plain).encode()
    return found


def answers(path: Path) -> list[bytes]:
    """A log's answers without their seconds, sorted; each line intact."""
    lines = path.read_bytes().splitlines(keepends=True)
    assert all(map(is_intact, lines))
    plain = [json.loads(line) for line in lines]
    return sorted(json.dumps({k: v for k, v in p.items() if k not in {"crc32", "seconds"}}).encode() for p in plain)
