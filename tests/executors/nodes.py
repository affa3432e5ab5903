"""A real Ray cluster of several nodes on the loopback, whose nodes and head can be killed."""

import os
import subprocess
import sys
from pathlib import Path

_NODE = """
import sys
from ray.cluster_utils import Cluster
small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20) for _ in range(int(sys.argv[1]))]
print(cluster.address, flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        cluster.remove_node(nodes.pop(), allow_graceful=False)
    elif line.strip() == "head":
        for processes in cluster.head_node.all_processes.values():
            for process in processes:
                process.process.kill()
    print("done", flush=True)
"""


class Nodes:
    """A cluster in a process of its own: Ray's listeners and its noise stay there."""

    def __init__(self, num_nodes: int) -> None:
        environment = {
            **os.environ,
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux, "0" keeps every node on 127.0.0.1
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NODE, str(num_nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._said, self._told = self._process.stdout, self._process.stdin
        self.address = self._said.readline().strip()

    def tell(self, what: str) -> None:
        self._told.write(f"{what}\n")
        self._told.flush()
        while self._said.readline().strip() != "done":
            pass

    def close(self) -> None:
        self._told.close()
        self._process.wait(timeout=60)
        self._said.close()
