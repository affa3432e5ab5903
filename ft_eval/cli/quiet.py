"""What must be settled before the heavy libraries are imported: no bars of their own, no log noise, no network.

huggingface_hub would ask the hub which agents there are, to tell it which one runs it; it is told to send no telemetry.
"""

import logging
import os
import warnings


def quiet_libraries(*, offline: bool) -> None:
    """Silence the libraries' own progress bars and notes, and keep them off the network when asked.

    Must run before datasets, huggingface_hub or lm_eval are imported: they read these variables once.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    if offline or os.environ.get("HF_HUB_OFFLINE") == "1":
        from ft_eval.harness.mirror import go_offline

        go_offline()
    for name in ("lm_eval", "lm-eval", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("datasets", "lm_eval.api.registry"):  # they log what is wrong; the error says it on one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"(lm_eval|datasets|huggingface_hub)(\..*)?")
