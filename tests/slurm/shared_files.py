"""A file system that the nodes of a dev cluster share: each node knows its files through a mount of its own, which may fail."""

from pathlib import Path

from dev_cluster.site import NODES
from faulty_fs import Faults, FaultyMount


class SharedFiles:
    """The mounts of the nodes, and that of the machine where a user types."""

    def __init__(self, folder: Path, attribute_seconds: float) -> None:
        """`folder`: gets the mounts, and what lies behind them. `attribute_seconds`: as in `FaultyMount`."""
        self.folder, backing = folder, folder / "backing"
        self._mounts = {name: FaultyMount(folder / name, backing, attribute_seconds) for name in (*NODES, "shared")}
        self.behind = backing / "runs"

    @property
    def runs_root(self) -> Path:
        """Where all nodes see the runs."""
        return self.folder / "shared" / "runs"

    def set(self, faults: Faults) -> None:
        """Change what is wrong with the file system on the nodes. A user who types is spared."""
        for node in NODES:
            self._mounts[node].set(faults)

    def close(self) -> None:
        for mount in self._mounts.values():
            mount.close()
