"""Many requests, one model: batching, cache, decoding, scoring. Knows tokens and noise, no task and no text format."""

from ft_eval.engine.engine import Engine
from ft_eval.engine.requests import Completion, GenerationRequest, Loglikelihood, SamplingParams, ScoringRequest

__all__ = ["Completion", "Engine", "GenerationRequest", "Loglikelihood", "SamplingParams", "ScoringRequest"]
