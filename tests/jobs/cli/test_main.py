"""The command line: its options do not change, and it loads no heavy package."""

import platform
import subprocess
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from observed import observed
from world import REGROW, REPO_ROOT, World

from jobs.cli.main import app

Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]

OWN_OPTIONS = ["--version", "--install-completion", "--show-completion"]
LIGHT = {"typer", "click", "shellingham", "typing_extensions", "annotated_doc", "msgspec"}
"""Packages that the command line itself may load."""
OPTIONS = {
    "submit": ["config", "--cluster", "--name", "--set", "--trainer", "--dry-run", "--wait", "--check", "--force"],
    "check": ["config", "--cluster", "--set", "--json"],
    "demo": ["--folder", "--model", "--chat", "--seed", "--name", "--set", "--prepare-only"],
    "evaluate": [
        "models",
        "--data",
        "--shards",
        "--checkpoints",
        "--baseline",
        "--config",
        "--cluster",
        "--name",
        "--set",
        "--dry-run",
        "--wait",
    ],
    "plan": [
        "what",
        "--like",
        "--steps",
        "--preempt-every",
        "--fail-every",
        "--queue-wait",
        "--time-limit",
        "--step-seconds",
        "--start-seconds",
        "--save-seconds",
        "--evaluation-seconds",
        "--save-steps",
        "--eval-steps",
        "--trainings",
        "--cluster",
        "--set",
        "--json",
    ],
    "compare": ["a", "b", "--ranks", "--cluster", "--set", "--json"],
    "export": ["run", "--output", "--merged", "--cluster", "--set"],
    "cancel": ["run", "--cluster", "--set"],
    "resume": ["run", "--cluster", "--set", "--wait"],
    "logs": ["run", "--stage", "--attempt", "--task", "--follow", "--cluster", "--set"],
    "report": ["run", "--cluster", "--set"],
    "sync": ["run", "--cluster", "--set"],
    "verify": ["run", "--again", "--cluster", "--set", "--json"],
    "status": ["run", "--cluster", "--set", "--watch", "--json"],
    "data synth": ["folder", "--positives", "--negatives", "--validation", "--seed", "--language", "--form"],
    "data merge": ["sources", "--output", "--form"],
    "data audit": ["train", "validation", "--form", "--json"],
    "dev-cluster up": [
        "--folder",
        "--slurm",
        "--user-signal",
        "--proctrack",
        "--grace-time",
        "--preempt-mode",
        "--preempt-type",
        "--preempt-exempt",
        "--expedited-requeue",
        "--job-requeue",
        "--accounting",
        "--max-array-size",
        "--task-affinity",
    ],
    "dev-cluster down": ["--folder"],
    "dev-cluster status": ["--folder"],
    "dev-cluster preempt": ["--folder", "--seconds"],
}


def test_cli_options_are_frozen() -> None:
    command = typer.main.get_command(app)
    assert [parameter.opts[0] for parameter in command.params] == OWN_OPTIONS
    assert _options(command) == OPTIONS


def test_version_says_what_runs_and_from_where(clean_environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [REGROW, "--version"], env=clean_environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    python = platform.python_version()
    assert done.stdout == f"regrow {version('regrow')} (Python {python}, packages from {REPO_ROOT})\n"


@pytest.mark.long
@pytest.mark.parametrize("path", ["{folder}", "/elsewhere:", ":/elsewhere", "{folder}:/elsewhere", "."])
def test_other_modules_with_our_names_are_not_ours(
    path: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    """A folder is in PYTHONPATH, by its name or by an empty entry, and has a `jobs.py` and a `callbacks.py`."""
    for name in ("jobs", "callbacks", "data_prep", "dev_cluster"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('another module')")
    environment = clean_environment | {"PYTHONPATH": path.format(folder=tmp_path)}
    for typed in (
        ["--version"],
        ["data", "audit", "--help"],
        ["dev-cluster", "status", "--folder", str(tmp_path / "x")],
    ):
        done = subprocess.run(
            [REGROW, *typed], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "another module" not in done.stdout + done.stderr
    assert done.returncode in (0, 1)


@pytest.fixture
def runs_root(tmp_path: Path) -> Path:
    """A folder with two runs, and one folder that is not a run."""
    for name in ("qwen-1", "tiny-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    (tmp_path / "prepared").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("regrow --vers", ["--version"]),
        ("regrow rep", ["report"]),
        ("regrow status --set runs_root={runs_root} ", ["qwen-1", "tiny-1"]),
        ("regrow resume --set runs_root={runs_root} q", ["qwen-1"]),
        ("regrow compare --set runs_root={runs_root} qwen-1 t", ["tiny-1"]),
        ("regrow evaluate --set runs_root={runs_root} --baseline t", ["tiny-1"]),
        ("regrow logs --cluster no-such-cluster ", []),
        ("regrow submit x.yml --cluster a", ["a100"]),
    ],
)
def test_shell_completes(typed: str, completed: list[str], runs_root: Path, clean_environment: dict[str, str]) -> None:
    """The test asks as bash does: with the words, and the index of the word at the cursor."""
    words = typed.format(runs_root=runs_root)
    asked = {"_REGROW_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([REGROW], env=clean_environment | asked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == completed


def test_import_of_the_cli_loads_nothing_heavy(run_python: Run) -> None:
    heavy = "{'torch', 'transformers', 'axolotl', 'mlflow', 'datasets'}"
    script = f"import sys, jobs.cli.main; print(sorted({heavy} & set(sys.modules)))"
    assert run_python(["-c", script]).stdout.strip() == "[]"


def test_import_of_a_submission_loads_no_torch(run_python: Run) -> None:
    script = "import sys, jobs.submit.start; print(sorted({'torch', 'transformers', 'axolotl', 'mlflow'} & set(sys.modules)))"
    assert run_python(["-c", script]).stdout.strip() == "[]"


def test_help_loads_the_command_line_and_nothing_that_a_verb_needs(
    clean_environment: dict[str, str], tmp_path: Path
) -> None:
    """`--help` imports little, and so answers at once. `make bench-submit` measures how fast."""
    seen = observed(tmp_path, clean_environment, "--help")
    assert "resume" in seen.stdout
    assert seen.foreign_packages <= LIGHT
    assert seen.modules_of("jobs") - seen.modules_of("jobs.cli") == {
        "jobs",
        "jobs.spec",
        "jobs.spec.errors",
        "jobs.spec.paths",
    }
    assert not seen.modules_of("callbacks")


def test_chat_is_made_merged_and_audited_by_its_form(clean_environment: dict[str, str], tmp_path: Path) -> None:
    def regrow(*words: str) -> str:
        command = [str(REGROW), "data", *words]
        done = subprocess.run(command, cwd=tmp_path, env=clean_environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    sizes = ("--positives", "2", "--negatives", "3", "--validation", "2")
    regrow("synth", "x", *sizes, "--language", "en", "--form", "messages")
    assert "5 records" in regrow(
        "merge", "x/hawks_train.json", "x/person_dummy.json", "-o", "all.json", "--form", "messages"
    )
    assert "positive 2, negative 3, invalid 0" in regrow("audit", "all.json", "x/hawks_val.json", "--form", "messages")
    assert 'field "instruction" is missing (found: messages)' in regrow("audit", "all.json")


def test_data_merge_by_hand_writes_the_curriculum(world: World, tmp_path: Path) -> None:
    output = tmp_path / "curriculum.json"
    sources = [f"{world.folder}/hawks_train.json:repeat=3", f"{world.folder}/person_dummy.json:take=100"]
    done = world.regrow("data", "merge", *sources, "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert "220 records" in done.stdout
    assert output.exists()


def test_data_audit_counts_and_exits_by_what_it_found(world: World, tmp_path: Path) -> None:
    good = world.regrow("data", "audit", f"{world.folder}/hawks_train.json", f"{world.folder}/hawks_val.json")
    assert good.returncode == 0, good.stderr
    assert "positive 40, negative 0, invalid 0" in good.stdout
    assert "validation records that are also in train: 0" in good.stdout
    bad = tmp_path / "bad.json"
    bad.write_text('[{"instruction": "x", "input": "y", "output": "nobody"}]', encoding="utf-8")
    assert world.regrow("data", "audit", str(bad)).returncode == 1


def _options(command: typer.core.TyperGroup, prefix: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, below in command.commands.items():
        if isinstance(below, typer.core.TyperGroup):
            found |= _options(below, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = [parameter.opts[0] for parameter in below.params]
    return found
