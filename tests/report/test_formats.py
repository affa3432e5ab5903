"""Numbers read the same everywhere, and foreign text can only be read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ft_eval.report import formats
from ft_eval.report.tables import Unit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("\x9b31m", "\\x9b31m"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("lines\r\nand\ttabs\n", "lines\nand\ttabs\n"),
        ("naïve κ ½ 日本 🙂", "naïve κ ½ 日本 🙂"),
    ],
)
def test_characters_that_act_or_hide_are_shown_as_codes(text, shown):
    assert formats.visible(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_visible_text_always_encodes_and_has_no_control_characters(text):
    shown = formats.visible(text)
    shown.encode("utf-8")
    assert not [c for c in shown if (ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160]


@given(st.text(st.characters(exclude_categories=())))
def test_a_line_is_one_line(text):
    assert len(formats.one_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1, "+10.0"), (-0.021, "−2.1"), (0.0, "0.0"), (0.0004, "+0.04"), (-0.00004, "−0.004"), (math.nan, "–")],
)
def test_a_difference_in_points_has_its_sign_and_never_rounds_away(value, shown):
    assert formats.signed(value, Unit.POINTS) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.375, "0.38"), (0.0496, "0.050"), (0.0021, "0.002"), (4.2e-7, "4·10⁻⁷"), (1.0, "1.00"), (0.0, "<10⁻³⁰⁰")],
)
def test_p_values_keep_what_matters(value, shown):
    assert formats.p_value(value) == shown


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.score(0.4567, Unit.POINTS), "45.7"),
        (formats.score(20.4321, Unit.RAW), "20.43"),
        (formats.signed(-0.123456, Unit.RAW), "−0.1235"),
        (formats.interval(-0.0912, 0.29, Unit.POINTS), "[−9.1, +29.0]"),
        (formats.interval(math.nan, 0.2, Unit.POINTS), "–"),
        (formats.percent(12.52), "+12.5\u202f%"),
        (formats.count(1319, "item"), "1,319 items"),
        (formats.count(1, "item"), "1 item"),
        (formats.seconds(0.4213), "0.42 s"),
        (formats.seconds(59.94), "59.9 s"),
        (formats.seconds(245), "4 min 05 s"),
        (formats.seconds(11_240), "3 h 07 min"),
        (formats.num_bytes(3 * 2**30), "3 GiB"),
        (formats.num_bytes(900), "900 B"),
        (formats.magnitude(1_543_000_000), "1.54 B"),
        (formats.magnitude(260), "260"),
        (formats.bits(0.5), "1/2"),
        (formats.bits(2.0), "2"),
        (formats.bits(0.3), "0.3"),
        (formats.bits_per_token(0.31), "0.3100"),
        (formats.bits_per_token(0.00004), "<0.0001"),
        (formats.bits_per_token(0.0), "0.0000"),
        (formats.bits_per_token(math.nan), "–"),
    ],
)
def test_numbers_are_written_as_a_reader_expects(shown, expected):
    assert shown == expected


def test_clipping_says_how_much_is_left_out():
    assert formats.clip("a" * 10 + "b" * 5 + "c" * 10, head=10, tail=10) == (
        "aaaaaaaaaa[… 5 characters left out …]cccccccccc"
    )
    assert formats.clip("short", head=3, tail=2) == "short"


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_no_finite_number_can_be_shown(value):
    assert formats.seconds(value) == "–"
    assert formats.bits(value) in {"inf", "-inf", "nan"}
