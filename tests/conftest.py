"""Sets markers by folder, builds a small world once, and makes an environment in which no test touches the user's files."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tiers import HEAVY, MARKERS, is_left_out, markers_of_test
from world import REPO_ROOT, World, build_world

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job of a shell; a test's processes need Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = REPO_ROOT / "tests"
DENSE = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
         "head_dim", "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """True for a file in which `-m` selects nothing: pytest must not import it. None: pytest decides."""
    path = collection_path.relative_to(TESTS)
    return True if path.suffix == ".py" and is_left_out(path, config.option.markexpr) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    own = [marker.name for marker in item.iter_markers()]
    for name in sorted(markers_of_test(item.path.relative_to(TESTS), getattr(item, "fixturenames", ()), own)):
        item.add_marker(name)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fail a quick test if a package that takes long to import is loaded."""
    if item.config.option.markexpr == "quick" and (loaded := sorted(HEAVY & sys.modules.keys())):
        pytest.fail(
            f"{', '.join(loaded)} is loaded, here or by an earlier test; give the file its marker in tests/tiers.py"
        )


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment without the user's settings; caches are in a folder of the tests, and nothing is downloaded."""
    ours = ("REGROW", "MLFLOW", "HF_", "SLURM", "SBATCH", "SUBMITIT", "AXOLOTL", "ACCELERATE", "PYTHONPATH", "COLUMNS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    cache = tmp_path_factory.mktemp("cache")
    offline = {"HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1"}
    return kept | offline | {"HF_HOME": str(cache / "hf"), "XDG_CACHE_HOME": str(cache)}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> World:
    """The world, built once a session."""
    return build_world(tmp_path_factory.mktemp("world"), clean_environment)


@pytest.fixture(scope="session")
def run_python(clean_environment: dict[str, str]) -> Callable[[Sequence[str]], subprocess.CompletedProcess[str]]:
    """Run the tests' own Python with arguments, in the repo root."""

    def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=REPO_ROOT, env=clean_environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="session")
def vllm() -> Path:
    """A Python that has vLLM."""
    python = Path(os.environ.get("REGROW_VLLM_PYTHON", REPO_ROOT / ".venv-vllm" / "bin" / "python"))
    if not python.exists():
        reason = f"{python} does not exist; `make vllm` makes it"
        if os.environ.get("REGROW_REQUIRE_VLLM"):
            pytest.fail(reason)
        pytest.skip(reason)
    return python


@pytest.fixture(scope="session")
def dense(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model without experts: without a GPU, vLLM has no LoRA for them."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("dense")
    config = json.loads((world.folder / "model" / "config.json").read_bytes())
    torch.manual_seed(3)
    model = Qwen3ForCausalLM(Qwen3Config(**{key: config[key] for key in DENSE}, tie_word_embeddings=False))
    with torch.no_grad():
        for parameter in (each for each in model.parameters() if each.dim() > 1):
            parameter.normal_(0.0, 0.15)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(world.folder / "model").save_pretrained(folder)
    return folder
