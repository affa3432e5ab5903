"""Docker's own daemon: is one there? Needs nothing that is not Python's own."""

import subprocess


def has_docker() -> bool:
    """Whether a daemon answers and has the image."""
    try:
        done = subprocess.run(
            ["docker", "image", "inspect", "ft-eval-box"], capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
