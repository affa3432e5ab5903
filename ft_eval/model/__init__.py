"""The model: a decoder Transformer with or without a latent, its checkpoints and its tokenizer.

Knows nothing of tasks, requests, batching or sampling: those call it.
"""
