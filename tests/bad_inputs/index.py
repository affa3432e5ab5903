"""The table of docs/bad-inputs.md: what the user sees for each case of the list. The tests hold ft-eval to it."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "bad-inputs.md"
_ROW = re.compile(r"\| (\d+) \| (.+?) \| (.+?) \| (\d*) \|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the page."""

    number: int
    what: str
    answer: str
    """The line on stderr, in which … stands for anything; or what is done instead, in words."""
    exit_code: int | None
    """None where the row is in words."""


@cache
def rows() -> dict[tuple[int, str], Row]:
    """The page's rows by number and words."""
    found = [_row(line) for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    by_case = {(row.number, row.what): row for row in found if row is not None}
    assert len(by_case) == sum(row is not None for row in found), "two rows of one number say the same"
    return by_case


def _row(line: str) -> Row | None:
    match = _ROW.fullmatch(line)
    if match is None:
        assert line.startswith(("| | what", "|---")), f"no row of the page: {line}"
        return None
    number, what, answer, code = (part.replace("\\|", "|") for part in match.groups())
    return Row(number=int(number), what=what, answer=answer.strip("`").strip(), exit_code=int(code) if code else None)
