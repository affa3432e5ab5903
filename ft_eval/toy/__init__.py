"""The toy pair: the sources it is trained on, the training, and the pair itself. No module here knows lm-eval."""
