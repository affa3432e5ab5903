"""The relative gain is the paper's, and undefined with a reason where it means nothing."""

import math

import pytest

from ft_eval.stats import relative_gain


@pytest.mark.parametrize(
    ("baseline", "latent", "percent"), [(0.25, 0.30, 20.0), (0.3, 0.3, 0.0), (0.4, 0.1, -75.0), (20.0, 18.0, -10.0)]
)
def test_gain_is_the_difference_over_the_baseline(baseline, latent, percent):
    assert relative_gain(baseline, latent).percent == pytest.approx(percent)


@pytest.mark.parametrize(
    ("baseline", "reason"), [(0.0, "baseline 0"), (-1.5, "baseline below 0"), (math.nan, "a score is missing")]
)
def test_gain_over_nothing_is_undefined_and_says_why(baseline, reason):
    gain = relative_gain(baseline, 0.5)
    assert math.isnan(gain.percent)
    assert gain.reason == reason
