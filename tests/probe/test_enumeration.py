"""The sum over every Z is the truth; the estimators' bias and printed error are held against it."""

import numpy as np
import pytest
import torch

from ft_eval.model.transformer import Transformer
from ft_eval.probe.enumeration import EnumerationTable, check_estimator, enumerate_codes, longest_enumerable
from tests.fakes import tiny_model
from tests.probe.planted import loud_model, modest_model, window


def _table(model: Transformer, text: bytes) -> EnumerationTable:
    return enumerate_codes(model, window(text))


def test_every_z_stands_in_the_table_once_and_the_posterior_sums_to_one() -> None:
    table = _table(tiny_model(num_bits=2), b"abcd")
    assert table.codes.shape == (4**4, 4)
    assert len(np.unique(table.codes, axis=0)) == 4**4
    assert np.exp(table.log_posterior_nats).sum() == pytest.approx(1.0)


def test_the_sum_is_the_mean_probability_over_uniform_z() -> None:
    table = _table(tiny_model(num_bits=2), b"abc")
    assert table.exact_nats == pytest.approx(np.log(np.exp(table.logprobs_nats).mean()))
    importance = np.exp(table.log_posterior_nats + table.log_weights_nats).sum()
    assert np.log(importance) == pytest.approx(table.exact_nats), "any proposal has the same sum"


def test_the_last_tokens_z_touches_nothing() -> None:
    model = loud_model(num_bits=2)
    tokens = torch.tensor([[256, 97, 98]])
    with torch.inference_mode():
        one, other = (model(tokens, codes=torch.tensor([[1, 2, last]])) for last in (0, 3))
    assert torch.equal(one[0, :2], other[0, :2])


@pytest.mark.parametrize(("num_bits", "text"), [(2, b"hello"), (4, b"abc")])
@pytest.mark.parametrize("proposal", ["prior", "posterior"])
def test_4096_draws_are_within_a_thousandth_of_a_nat_and_their_error_is_honest(
    num_bits: int, text: bytes, proposal: str
) -> None:
    table = _table(modest_model(num_bits=num_bits), text)
    rng = np.random.default_rng(0)
    check = check_estimator(table, rng, proposal=proposal, num_draws=4096, num_trials=2000)
    assert abs(check.bias_nats) < 1e-3
    assert 0.93 < check.coverage < 0.97
    assert check.stderr_nats == pytest.approx(check.spread_nats, rel=0.06)


def test_a_wrong_truth_is_found_out() -> None:
    """The check can fail: held against a larger sum, the coverage is gone."""
    table = _table(modest_model(num_bits=2), b"hello")
    shifted = EnumerationTable(
        codes=np.concatenate([table.codes, table.codes[:400]]),
        logprobs_nats=np.concatenate([table.logprobs_nats, np.full(400, table.logprobs_nats.max())]),
        log_posterior_nats=np.concatenate([table.log_posterior_nats, np.full(400, -50.0)]),
        num_bits=2,
    )
    check = check_estimator(shifted, np.random.default_rng(0), proposal="posterior", num_draws=4096, num_trials=200)
    assert check.coverage < 0.5


def test_sums_that_are_too_long_are_refused_and_the_longest_is_not() -> None:
    assert longest_enumerable(8) == 3
    assert longest_enumerable(16) == 2
    with pytest.raises(ValueError, match="at most 10 tokens"):
        _table(tiny_model(num_bits=2), b"a" * 10)
    with pytest.raises(ValueError, match="baseline"):
        _table(tiny_model(), b"a")
