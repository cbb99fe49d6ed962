"""Real Trainers of the scripts beside this file, as one process or as ranks that work together by gloo."""

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from patience import HANGS_AFTER_SECONDS
from world import REPO_ROOT

HERE = Path(__file__).parent


def train(script: str, arguments: Sequence[str], environment: dict[str, str], ranks: int = 1) -> list[int]:
    """Exit codes of the ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = environment | {
        "PYTHONPATH": f"{REPO_ROOT}:{REPO_ROOT / 'tests' / 'slurm'}",
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
    }
    together = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} if ranks > 1 else {}
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            env=environment | together | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {}),
        )
        for rank in range(ranks)
    ]
    return [process.wait(timeout=HANGS_AFTER_SECONDS) for process in processes]
