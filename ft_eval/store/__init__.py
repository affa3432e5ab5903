"""A run on disk: the plan, the answers as they come, the samples and the result of each job. Standard library only."""

from ft_eval.store.codec import FORMAT_VERSION, dump, load
from ft_eval.store.response_log import ResponseLog
from ft_eval.store.run_store import RunStore, find_latest_run
from ft_eval.store.samples import SampleBlock

__all__ = ["FORMAT_VERSION", "ResponseLog", "RunStore", "SampleBlock", "dump", "find_latest_run", "load"]
