"""Prints the simulated figures of docs/statistics.md: how often tests, intervals and plans are wrong. Takes minutes.

    python benchmarks/calibration.py
    python benchmarks/calibration.py equal levels

Every function and every seed is that of tests/stats/calibration.py, which `make test` holds to the bars.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.stats import calibration
from tests.stats.trials import MODEL_SPREAD
from tests.stats.unconditional import largest_level, unconditional_levels

SIZES, DRAWS = calibration.SIZES, calibration.DRAWS
DISCORDANCES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)


def main() -> None:
    """Print all tables, or those of the parts that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    chosen = parser.parse_args().parts
    if unknown := [part for part in chosen if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}, expected any of {', '.join(PARTS)}")
    for part in chosen or PARTS:
        PARTS[part]()


def _equal_models() -> None:
    for title, spread in (("one and the same model", 0.0), ("two trainings", MODEL_SPREAD)):
        rows = _grid(lambda n, k, s=spread: calibration.false_positives(n, k, s, seed=1))  # type: ignore[misc]
        _print(f"Equal models called different, {title} (bar 4 to 6)", ["n", *(f"K = {k}" for k in DRAWS)], rows)
    pooled = [calibration.pooled_false_positives(164, k, MODEL_SPREAD, seed=2) for k in (1, 4, 8, 16, 32)]
    _print("The same on 164 items with draws pooled as independent", [f"K = {k}" for k in (1, 4, 8, 16, 32)], [pooled])


def _coverage() -> None:
    for means in ((0.4, 0.46), (0.1, 0.1)):
        rows = _grid(lambda n, k, m=means: calibration.difference_coverage(n, k, m, seed=4))  # type: ignore[misc]
        title = f"Coverage of the difference's interval, {means[0]:g} to {means[1]:g} (bar 94 to 96)"
        _print(title, ["n", *(f"K = {k}" for k in DRAWS)], rows)


def _gains() -> None:
    for k in DRAWS:
        rows = [
            [n, *(calibration.gain_coverage(n, k, base, 0.15, seed=5).covered for base in calibration.BASELINES)]
            for n in SIZES
        ]
        title = f"Coverage of the relative gain's interval, K = {k} (bar 94 to 96)"
        _print(title, ["n", *(f"baseline {100 * base:g} %" for base in calibration.BASELINES)], rows)


def _levels() -> None:
    headings = ["n", *(f"{100 * share:g} %" for share in DISCORDANCES)]
    rows = [[n, *(calibration.exact_mid_p_level(n, share) for share in DISCORDANCES)] for n in SIZES]
    _print("Level of mid-p McNemar by discordance, exact", headings, rows)
    rows = [[n, *unconditional_levels(n, DISCORDANCES)] for n in SIZES[:2]]
    _print("Level of the unconditional exact test (Suissa & Shuster 1985) by discordance, exact", headings, rows)
    bound = largest_level(SIZES[0], DISCORDANCES[0], largest=11)
    _print("The most that any test without a coin reaches there", ["n", "discordance", "%"], [[164, "2 %", bound]])


def _rest() -> None:
    family = {real: calibration.family_errors(real, seed=7) for real in (0, 5)}
    best = calibration.best_of_errors(4, seed=8)
    powers = [(164, 0.05), (164, 0.1), (164, 0.2), (378, 0.1), (1319, 0.15), (14_042, 0.2)]
    figures = {
        "family of 17 tasks, none real, Holm (bar: at most 5)": family[0].holm,
        "that family, uncorrected": family[0].uncorrected,
        "family of 17 tasks, five real, Holm (bar: at most 5)": family[5].holm,
        "best of four equal candidates called better, Holm (bar: at most 2.5)": best.holm,
        "those candidates, uncorrected": best.uncorrected,
        **{
            f"power at the printed difference, {n} items, {100 * share:g} % discordance (bar 77 to 83)": (
                calibration.power_at_printed_binary(n, share, seed=9)
            )
            for n, share in powers
        },
        **{
            f"power at the printed difference, {n} items, K = {k} (bar 77 to 83)": (
                calibration.power_at_printed_mean(n, k, seed=10)
            )
            for n in SIZES
            for k in (4, 16)
        },
        "gain at n = 164, K = 1, baseline 5 %, with the runs whose gain is left out (bar 94 to 96)": (
            calibration.gain_coverage(164, 1, 0.05, 0.15, seed=5).covered_in_all
        ),
        "interval of the mean over 17 unequal tasks (bar 94 to 96)": calibration.pooled_coverage(seed=13),
        **{
            f"rerun below the noise floor, {n} items, K = {k}": calibration.below_noise_floor(n, k, seed=14)
            for n, k in ((164, 1), (1319, 1), (164, 4))
        },
    }
    _print("The rest", ["what", "%"], [[name, value] for name, value in figures.items()])


def _grid(figure: Callable[[int, int], float]) -> list[list[object]]:
    return [[n, *(figure(n, k) for k in DRAWS)] for n in SIZES]


def _print(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print(f"\n{title}\n")
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    for row in rows:
        cells = (f"{100 * cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row)
        print(f"| {' | '.join(cells)} |", flush=True)


PARTS = {"equal": _equal_models, "levels": _levels, "coverage": _coverage, "gains": _gains, "rest": _rest}

if __name__ == "__main__":
    main()
