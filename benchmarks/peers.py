"""The tools that we compare regrow with, each in its own virtual environment under ~/.cache/regrow/bench."""

import shutil
import subprocess
import sys
from pathlib import Path

PEERS: dict[str, tuple[str, ...]] = {
    "datasets": ("datasets==5.2.0", "pyarrow==26.0.1", "pandas==3.1.1"),
    "pandas": ("pandas==3.1.1",),
    "polars": ("polars==2.1.0",),
    "submitit": ("submitit==1.5.4",),
    "simple_slurm": ("simple-slurm==0.3.6",),
    "nemo_run": ("nemo-run==0.11.1", "leptonai==0.27.3"),  # NeMo-Run cannot be imported with a newer leptonai
    "torchx": ("torchx==0.7.0",),
    "hydra": ("hydra-core==1.3.8",),
}
"""The packages that pip installs for each tool."""
_FOLDER = Path.home() / ".cache" / "regrow" / "bench"


def python_of(name: str) -> Path:
    """The interpreter of a peer's virtual environment, which is made when it is missing or its requirements have changed."""
    folder = _FOLDER / name
    marker, requirements = folder / "complete", "\n".join(PEERS[name])
    if not (marker.is_file() and marker.read_text(encoding="utf-8") == requirements):
        _install(name, folder)
        marker.write_text(requirements, encoding="utf-8")
    return folder / "bin" / "python"


def version_in(name: str, distribution: str) -> str:
    """The version of a distribution in a peer's virtual environment."""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    return subprocess.run([python_of(name), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _install(name: str, folder: Path) -> None:
    print(f"installing {' '.join(PEERS[name])} into {folder} ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, *PEERS[name]], check=True)
