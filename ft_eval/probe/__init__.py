"""What the latent Z of one checkpoint does: is it used, what does it hold, what is it worth, what do texts cost.

Measures one model directly, beside the tasks of the harness, which it doesn't know. The one place where the encoder may
see a whole text, and where a number says so when it has: `posterior.py`.
"""
