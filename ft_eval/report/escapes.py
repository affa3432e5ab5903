"""Names that come from users and tasks, as each export's format keeps them text: CSV, JSON, Markdown, LaTeX."""

import math
import re
from collections.abc import Sequence

from ft_eval.report.formats import MINUS, NONE, THIN, one_line


def plain(value: object) -> object:
    """The value for JSON, which has no nan."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_field(value: object) -> object:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    if not isinstance(value, str):
        return "" if value is None else value
    text = one_line(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def md_row(cells: Sequence[str]) -> str:
    """A row of a Markdown table, of escaped cells."""
    return f"| {' | '.join(cells)} |"


def md(text: str) -> str:
    """Text that stays text in Markdown, also in engines that let HTML through."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", MINUS: "$-$", NONE: "--", "×": r"$\times$",
    "κ": r"$\kappa$", "[": "{[}", "·": r"$\cdot$", THIN: r"\,",
}  # fmt: skip
_TEX_EXPONENT = re.compile("10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def tex_row(cells: Sequence[str]) -> str:
    """A row of a LaTeX table; its cells are escaped here."""
    return " & ".join(tex(cell) for cell in cells) + r" \\"


def tex(text: str) -> str:
    """Text that stays text in LaTeX; what a p value's power of ten needs becomes mathematics."""
    escaped = "".join(_TEX.get(letter, letter) for letter in one_line(text))
    return _TEX_EXPONENT.sub(lambda match: f"$10^{{{match[1].translate(_DIGITS)}}}$", escaped)
