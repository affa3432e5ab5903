"""The far side of the wall: a small server that holds no task data, and the confined child it forks per program.

Runs in a fresh interpreter with a scrubbed environment. Knows tiers, limits and the wire; knows no task, no expected
value, and nothing of the process that started it but one control socket.
"""
