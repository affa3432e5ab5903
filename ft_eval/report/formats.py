"""Numbers and foreign text as a reader sees them. Knows no report; `render.py` makes these the templates' filters.

Model output is hostile text: `visible` takes control characters, terminal escapes and direction marks out of it.
Escaping for HTML is the template engine's; for TeX, Markdown and CSV see `exports.py`.
"""

import math
import re
from fractions import Fraction

from ft_eval.report.tables import Unit

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
THIN = "\N{NARROW NO-BREAK SPACE}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TOGETHER = re.compile(r"\bp = (?=\S)|\[[+−\d][^\[\]]{1,30}\]|\d (?=points?\b|items?\b|draws?\b|times\b)")
# C0 but tab and newline, DEL, C1, direction marks and overrides, zero-width and line separators, surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""The text with each character that acts or hides replaced by its code, so that it can only be read.

    >>> visible("\x1b[31mred")
    '\\x1b[31mred'
    """
    return _INVISIBLE.sub(_code_of, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`visible` text on one line, for names in tables and terminals."""
    return visible(text).replace("\n", "\\n").replace("\t", " ")


def clip(text: str, *, head: int, tail: int) -> str:
    """The first `head` and the last `tail` characters, and in between how many are left out."""
    left_out = len(text) - head - tail
    if left_out <= 0:
        return text
    return f"{text[:head]}[… {left_out:,} characters left out …]{text[-tail:] if tail else ''}"


def score(value: float, unit: Unit) -> str:
    """A score: points of 100 with one decimal, or four significant digits."""
    if math.isnan(value):
        return NONE
    return f"{100 * value:.1f}" if unit is Unit.POINTS else _minus(f"{value:.4g}")


def signed(value: float, unit: Unit) -> str:
    """A difference with its sign; a difference that rounds to nothing keeps its first digit."""
    if math.isnan(value):
        return NONE
    if unit is Unit.RAW:
        return _minus(f"{value:+.4g}") if value else "0"
    return _signed_decimal(100 * value)


def unsigned(value: float, unit: Unit) -> str:
    """The size of a difference, with the digits of `signed`."""
    return signed(abs(value), unit).removeprefix("+")


def interval(low: float, high: float, unit: Unit) -> str:
    """The ends of an interval of differences, `[−1.0, +2.1]`."""
    return NONE if math.isnan(low) or math.isnan(high) else f"[{signed(low, unit)}, {signed(high, unit)}]"


def percent(value: float) -> str:
    """A signed percentage, `+12.5 %`."""
    return NONE if math.isnan(value) else f"{_signed_decimal(value)}{THIN}%"


def p_value(value: float) -> str:
    """A p value with two or three decimals, or as a power of ten when it is below 0.001."""
    if math.isnan(value):
        return NONE
    if value < 1e-300:
        return "<10⁻³⁰⁰"
    if value < 0.001:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    halves_up = value * (1.0 + 1e-9)
    return f"{halves_up:.3f}" if value < 0.1 else f"{halves_up:.2f}"


def tiny(value: float) -> str:
    """A number near 0 as a mantissa and a power of ten, `5.0·10⁻⁶`; 0 as it is."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return _minus(f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPTS)}")


def prose(text: str) -> str:
    """A sentence in which `p = 0.03`, `[−1.0, +2.1]` and `3.2 points` are not torn apart at a line's end."""
    return _TOGETHER.sub(lambda match: match[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def count(value: int, noun: str = "") -> str:
    """A count with thousands apart, and its noun in the right number: `1 item`, `1,319 items`."""
    return f"{value:,}" + (f" {noun}{'' if value == 1 else 's'}" if noun else "")


def seconds(value: float) -> str:
    """A duration: `0.42 s`, `12.3 s`, `4 min 05 s`, `3 h 07 min`."""
    if not math.isfinite(value):
        return NONE
    if value < 1:
        return f"{value:.2g} s"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def num_bytes(value: float) -> str:
    """A size in binary units, `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} GiB"


def magnitude(value: float) -> str:
    """A large number with three digits: `261 K`, `1.54 B`."""
    for unit in ("", " K", " M", " B"):
        if value < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g} T"


def bits(value: float) -> str:
    """Bits as the paper writes them: `1/2`, `2`, or a decimal where no short fraction fits."""
    fraction = Fraction(value) if math.isfinite(value) else None
    return str(fraction) if fraction is not None and fraction.denominator <= 128 else f"{value:g}"


def bits_per_token(value: float) -> str:
    """Bits of KL or information, with four decimals: `0.4183`."""
    if math.isnan(value):
        return NONE
    return "<0.0001" if 0 < value < 0.00005 else f"{value:.4f}"


def _signed_decimal(value: float) -> str:
    if value == 0:
        return "0.0"
    decimals = 1 if abs(value) >= 0.05 else min(6, -math.floor(math.log10(abs(value))))
    text = f"{value:+.{decimals}f}"
    return _minus(text) if float(text) else "0.0"


def _minus(text: str) -> str:
    return text.replace("-", MINUS)


def _code_of(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
