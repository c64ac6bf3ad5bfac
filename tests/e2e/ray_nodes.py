"""Two Ray nodes on this machine, for a test: prints their address and whom to kill, ends with its input."""

from __future__ import annotations

import json
import os
import sys
import warnings

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # loopback only; see flows/cluster.py
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  as Ray spells it
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"


def main() -> None:
    """Start both nodes, say where they are, wait for the end of the input, end them."""
    warnings.simplefilter("ignore")
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=small | {"temp_dir": sys.argv[1]})
    second = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    [raylet] = second.all_processes["raylet"]
    print(json.dumps({"address": cluster.address, "raylet": raylet.process.pid}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
