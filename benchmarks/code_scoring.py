"""Our scoring of programs against evalplus 0.3.1's own `check_correctness`: programs per second, verdicts, memory.

    python benchmarks/code_scoring.py --data FILE [--limit 164] [--mutants 2] [--trivial 200] [--workers 2]

FILE is HumanEvalPlus.jsonl.gz as evalplus releases it. Three kinds of programs: the published solutions, mutants of
them (one operator, number, condition or result changed), and one-line programs with five tests. Each side runs in a
process of its own, in turn, over the same programs, with as many workers, one second a call at least, stopping at the
first wrong answer. The expected answers are made beforehand and are a row of their own: ours in sandboxes, whose start
is in it, evalplus's in its own process and not read from its pickle. Memory is the largest resident size of the process
that hands out the work. Evalplus's fixed wait of 20 seconds at the end of its command line is not counted.
"""

# ruff: noqa: S311 — seeded choices, no secrets
import argparse
import ast
import copy
import gzip
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIDES = ("ours", "evalplus")
_CALL_SECONDS = 1.0
"""evalplus's own."""
_SWAPS: Mapping[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_TRIVIAL: Mapping[str, Any] = {
    "task_id": "Trivial/0",
    "prompt": "def solve(x):\n",
    "entry_point": "solve",
    "canonical_solution": "    return x + 1\n",
    "base_input": [[number] for number in range(5)],
    "plus_input": [],
    "atol": 0,
}

Row = Mapping[str, Any]
"""A problem as evalplus publishes it."""
Work = Sequence[tuple[Row, str]]


def main() -> None:
    """Measure both sides in turn and print."""
    arguments = _arguments()
    if arguments.side:
        print(json.dumps(_RUNNERS[arguments.side](arguments)))
        return
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for number in range(arguments.repeats):
        for side in SIDES:
            runs[side].append(_one_side(side))
            print(f"{side}, run {number + 1} of {arguments.repeats}, is done", flush=True)
    _print(arguments, runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=164)
    parser.add_argument("--mutants", type=int, default=2, help="of each problem")
    parser.add_argument("--trivial", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args()


def _one_side(side: str) -> dict[str, Any]:
    """One side in a fresh process: seconds and verdicts per kind of program, and its memory."""
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _print(arguments: argparse.Namespace, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    from importlib.metadata import version

    workers = f"{arguments.workers} workers, {os.cpu_count()} processors"
    print(f"{platform.machine()}, python {platform.python_version()}, evalplus {version('evalplus')}, {workers}")
    print(f"{'':18} {'programs':>8} {'ours /s':>9} {'evalplus /s':>12} {'ratio':>7}  same verdict")
    for kind in runs["ours"][0]["seconds"]:
        ours, theirs = (statistics.median(run["seconds"][kind] for run in runs[side]) for side in SIDES)
        verdicts = [runs[side][0]["verdicts"].get(kind, {}) for side in SIDES]
        count = runs["ours"][0]["counts"][kind]
        differing = [name for name in verdicts[0] if verdicts[0][name] != verdicts[1][name]]
        same = f"{len(verdicts[0]) - len(differing)} of {len(verdicts[0])}" if verdicts[0] else ""
        named = f" (not {', '.join(differing[:5])})" if differing else ""
        print(f"{kind:18} {count:8} {count / ours:9.1f} {count / theirs:12.1f} {theirs / ours:7.2f}  {same}{named}")
    ours, theirs = (statistics.median(run["peak_memory_bytes"] for run in runs[side]) / 2**20 for side in SIDES)
    print(f"memory, MiB        {'':8} {ours:9.0f} {theirs:12.0f} {theirs / ours:7.2f}")


def _workloads(arguments: argparse.Namespace) -> Mapping[str, Work]:
    """The same on both sides."""
    text = gzip.decompress(arguments.data.read_bytes()).decode("utf-8")
    rows: list[Row] = [json.loads(line) for line in text.splitlines() if line][: arguments.limit]
    solutions = [(row, f"{row['prompt']}{row['canonical_solution']}\n") for row in rows]
    mutants = [(row, text) for row, program in solutions for text in _mutants(program, arguments.mutants)]
    one_line = [(_TRIVIAL, f"def solve(x):\n    return x + 1  # {number}\n") for number in range(arguments.trivial)]
    return {"solutions": solutions, "mutants": mutants, "one line": one_line}


def _mutants(program: str, count: int) -> list[str]:
    """Different programs, each with one change inside a function."""
    tree = ast.parse(program)
    places = [number for number, node in enumerate(ast.walk(tree)) if _is_place(node)]
    random.Random(program).shuffle(places)
    original = ast.unparse(tree)
    found = dict.fromkeys(text for place in places if (text := _mutant(tree, place)) != original)
    return list(found)[:count]


def _is_place(node: ast.AST) -> bool:
    is_number = isinstance(node, ast.Constant) and type(node.value) is int
    return is_number or isinstance(node, ast.If | ast.Return | ast.Compare | ast.BinOp | ast.BoolOp)


def _mutant(tree: ast.Module, place: int) -> str:
    changed = copy.deepcopy(tree)
    match list(ast.walk(changed))[place]:
        case ast.Constant() as node:
            node.value = int(str(node.value)) + 1
        case ast.If() as node:
            node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        case ast.Return() as node:
            node.value = ast.Constant(value=None)
        case ast.Compare() as node:
            node.ops[0] = _SWAPS.get(type(node.ops[0]), ast.Is)()  # type: ignore[call-overload] # operators for operators
        case ast.BinOp() as node:
            node.op = _SWAPS.get(type(node.op), ast.Add)()  # type: ignore[assignment] # as above
        case ast.BoolOp() as node:
            node.op = _SWAPS[type(node.op)]()  # type: ignore[assignment] # as above
    return ast.unparse(ast.fix_missing_locations(changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """How one side does it."""

    expect: Callable[[Sequence[Row]], None]
    """Makes the expected answers of these problems."""
    score: Callable[[Work], Sequence[bool]]
    """Whether each program passes all tests."""


def _measure(arguments: argparse.Namespace, side: _Side) -> dict[str, Any]:
    import resource

    seconds: dict[str, float] = {}
    counts: dict[str, int] = {}
    verdicts: dict[str, dict[str, bool]] = {}
    workloads = _workloads(arguments)
    rows = [*{row["task_id"]: row for row, _ in workloads["solutions"]}.values(), _TRIVIAL]
    started = time.perf_counter()
    side.expect(rows)
    seconds["expected answers"], counts["expected answers"] = time.perf_counter() - started, len(rows)
    for kind, work in workloads.items():
        if work:
            started = time.perf_counter()
            passed = side.score(work)
            seconds[kind], counts[kind] = time.perf_counter() - started, len(work)
            names = [f"{row['task_id']} #{number}" for number, (row, _) in enumerate(work)]
            verdicts[kind] = dict(zip(names, passed, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "counts": counts, "verdicts": verdicts, "peak_memory_bytes": peak}


def _run_ours(arguments: argparse.Namespace) -> dict[str, Any]:
    from ft_eval.harness.code_data import HUMANEVAL_PLUS, Problem
    from ft_eval.harness.code_judge import oracle_name
    from ft_eval.harness.code_scorer import CodeScore
    from ft_eval.harness.code_tasks import CodeTaskSettings, session
    from ft_eval.sandbox.records import Limits
    from ft_eval.sandbox.wire import encode

    problems: dict[str, Problem] = {}

    def as_problem(row: Row) -> Problem:
        return Problem(
            task_id=row["task_id"],
            entry_point=row["entry_point"],
            reference=row["prompt"] + row["canonical_solution"],
            base_inputs=tuple(map(encode, row["base_input"])),
            plus_inputs=tuple(map(encode, row["plus_input"])),
            atol=float(row["atol"]),
            oracle=oracle_name(HUMANEVAL_PLUS, row["entry_point"]),
        )

    limits = Limits(call_seconds=_CALL_SECONDS)
    with session(CodeTaskSettings(offline=True, num_workers=arguments.workers, limits=limits)) as opened:

        def expect(rows: Sequence[Row]) -> None:
            for row in rows:
                problems[row["task_id"]] = as_problem(row)
            # a program that does not even load makes its problem's reference run, and nothing else
            opened.score_all(((problem, "?") for problem in problems.values()), lambda *_: None, len(problems))

        def score(work: Work) -> Sequence[bool]:
            found: dict[int, bool] = {}

            def take(number: int, verdict: object) -> None:
                found[number] = isinstance(verdict, CodeScore) and verdict.plus

            opened.score_all(((problems[row["task_id"]], text) for row, text in work), take, len(work))
            return [found[number] for number in range(len(work))]

        return _measure(arguments, _Side(expect=expect, score=score))


def _run_evalplus(arguments: argparse.Namespace) -> dict[str, Any]:
    from evalplus.evaluate import check_correctness
    from evalplus.gen.util import trusted_exec

    expected: dict[str, dict[str, Any]] = {}

    def expect(rows: Sequence[Row]) -> None:
        for row in rows:
            program, answers = row["prompt"] + row["canonical_solution"], {}
            for name in ("base", "plus"):
                found = trusted_exec(program, row[f"{name}_input"], row["entry_point"], record_time=True)
                answers[name], answers[f"{name}_time"] = found
            expected[row["task_id"]] = answers

    def score(work: Work) -> Sequence[bool]:
        with ProcessPoolExecutor(max_workers=arguments.workers) as pool:
            futures = [
                pool.submit(
                    check_correctness,
                    "humaneval",
                    number,
                    row,
                    text,
                    expected[row["task_id"]],
                    base_only=not row["plus_input"],
                    fast_check=True,
                    min_time_limit=_CALL_SECONDS,
                )
                for number, (row, text) in enumerate(work)
            ]
            found = [future.result() for future in futures]
        return [all(one[name][0] == "pass" for name in ("base", "plus") if name in one) for one in found]

    return _measure(arguments, _Side(expect=expect, score=score))


_RUNNERS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"ours": _run_ours, "evalplus": _run_evalplus}


if __name__ == "__main__":
    main()
