"""Every verb does in anybody's shell what it does in a plain one: the same exit code, the same words, no traceback."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest
from many_runs import TINY, write_runs
from sampling import sampled
from world import REGROW

NEWEST, ENDED = "run-000", "run-001"
VERBS = {
    "help": ["--help"],
    "version": ["--version"],
    "status": ["status"],
    "status of one": ["status", ENDED],
    "status as JSON": ["status", "--json"],
    "logs": ["logs", ENDED],
    "verify": ["verify", ENDED],
    "cancel": ["cancel", NEWEST],
    "resume": ["resume", "no-such-run"],
    "compare": ["compare", NEWEST, ENDED],
    "report": ["report", ENDED],
    "dry run": ["submit", str(TINY), "--cluster", "a100", "--dry-run", "--no-check", "--name", "new"],
    "audit": ["data", "audit", "{folder}/records.json"],
}
WITHOUT_ROOT = ("help", "version", "audit", "dry run")
"""Verbs that no `--set runs_root=` tells where the runs are."""


@dataclass(frozen=True)
class Shell:
    """How somebody's shell differs from a plain one."""

    set: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    first: str = ""
    """A shell command before the verb; `{folder}` stands for the test's folder."""
    output: str = ""
    """A redirection of the verb."""
    says_the_same: bool = True
    """Whether the output is that of a plain shell, apart from colours and the width of the terminal."""


JOB = {"SLURM_JOB_ID": "7", "SLURM_JOBID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_RESTART_COUNT": "3",
       "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "1", "SLURM_CONF": "/no/such/slurm.conf"}  # fmt: skip
SHELLS = {
    "TERM=dumb": Shell({"TERM": "dumb"}),
    "no TERM": Shell(unset=("TERM",)),
    "NO_COLOR": Shell({"NO_COLOR": "1"}),
    "FORCE_COLOR": Shell({"FORCE_COLOR": "1"}),
    "40 columns": Shell({"COLUMNS": "40"}, says_the_same=False),
    "COLUMNS is no number": Shell({"COLUMNS": "wide", "LINES": "-1"}),
    "locale C": Shell({"LC_ALL": "C"}),
    "locale POSIX": Shell({"LC_ALL": "POSIX", "LANG": ""}),
    "locale that does not exist": Shell({"LC_ALL": "tlh_QO.eucJP", "LANG": "tlh"}),
    "output in ASCII": Shell({"PYTHONIOENCODING": "ascii"}, says_the_same=False),
    "output in Latin 1": Shell({"PYTHONIOENCODING": "latin-1:strict"}, says_the_same=False),
    "no HOME": Shell(unset=("HOME",)),
    "HOME does not exist": Shell({"HOME": "/no/such/home"}),
    "HOME cannot be written": Shell({"HOME": "/proc/1/fdinfo", "XDG_CACHE_HOME": "/proc/1/fdinfo"}),
    "HOME is a file": Shell({"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}),
    "XDG_CACHE_HOME is empty": Shell({"XDG_CACHE_HOME": ""}),
    "XDG_CACHE_HOME is relative": Shell({"XDG_CACHE_HOME": "cache"}),
    "TMPDIR does not exist": Shell({"TMPDIR": "/no/such/tmp"}),
    "umask 000": Shell(first="umask 000"),
    "umask 077": Shell(first="umask 077"),
    "a folder that does not exist in PYTHONPATH": Shell({"PYTHONPATH": "/no/such/folder"}),
    "modules with our names in the folder": Shell(first="cd {folder}/modules"),
    "the folder is removed": Shell(first="mkdir {folder}/gone; cd {folder}/gone; rmdir {folder}/gone"),
    "a folder that cannot be written": Shell(first="cd /proc"),
    "warnings are errors": Shell({"PYTHONWARNINGS": "error::UserWarning"}),
    "Python with -O": Shell({"PYTHONOPTIMIZE": "1"}),
    "Python with a random hash": Shell({"PYTHONHASHSEED": "77"}),
    "Python without bytecode": Shell({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}),
    "squeue's variables": Shell({"SQUEUE_PARTITION": "gpu", "SQUEUE_FORMAT": "%i", "SACCT_FORMAT": "JobID"}),
    "another cluster": Shell({"SLURM_CLUSTERS": "b"}, says_the_same=False),
    "sbatch's variables": Shell({"SBATCH_EXPORT": "NONE", "SBATCH_DEBUG": "1", "SBATCH_NO_REQUEUE": "1"}),
    "inside a job": Shell(JOB),
    "SLURM_CONF does not exist": Shell({"SLURM_CONF": "/no/such/slurm.conf"}),
    "times as seconds": Shell({"SLURM_TIME_FORMAT": "relative"}),
    "another time zone": Shell({"TZ": "Asia/Tokyo"}, says_the_same=False),
    "a time zone that does not exist": Shell({"TZ": "Nowhere/Town"}, says_the_same=False),
    "a proxy that does not answer": Shell(dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")),
    "a short PATH": Shell({"PATH": "/usr/bin:/bin"}),
    "an empty PATH entry": Shell({"PATH": ":/usr/bin:/bin:"}, first="cd {folder}/modules"),
    "few file descriptors": Shell(first="ulimit -n 64"),
    "no input": Shell(output="<&-"),
    "no output": Shell(output=">&-", says_the_same=False),
    "no error output": Shell(output="2>&-", says_the_same=False),
    "another user's MLflow": Shell({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_RUN_ID": "0"}),
    "threads are no number": Shell({"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": ""}),
}  # fmt: skip


@dataclass(frozen=True)
class Typed:
    code: int
    output: str
    error: str


Type = Callable[[str, Shell], Typed]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, some records, and a folder of modules with our names."""
    found = tmp_path_factory.mktemp("実行 it's")
    write_runs(found / "runs", 2, going_on=1)
    (found / "records.json").write_text('[{"instruction": "x", "input": "ü", "output": "{\\"offenders\\": []}"}]')
    (found / "modules").mkdir()
    for name in ("callbacks", "jobs", "data_prep", "typer", "yaml", "submitit"):
        (found / "modules" / f"{name}.py").write_text("raise SystemExit('a module of another project')")
    return found


@pytest.fixture(scope="module")
def type_verb(folder: Path, clean_environment: dict[str, str]) -> Type:
    def type_it(verb: str, shell: Shell) -> Typed:
        root = [] if verb in WITHOUT_ROOT else ["--set", f"runs_root={folder}/runs"]
        command = [str(REGROW), *(word.replace("{folder}", str(folder)) for word in VERBS[verb]), *root]
        changed = {key: value.replace("{folder}", str(folder)) for key, value in shell.set.items()}
        plain = clean_environment | {"HOME": str(folder), "TZ": "UTC", "COLUMNS": "200"}
        environment = {key: value for key, value in (plain | changed).items() if key not in shell.unset}
        first = shell.first.replace("{folder}", '"$0"') or ":"
        done = subprocess.run(
            ["/bin/bash", "-c", f'{first}; exec "$@" {shell.output}', str(folder), *command],
            env=environment,
            cwd=folder,
            capture_output=True,
            check=False,
        )
        return Typed(done.returncode, _plain(done.stdout), _plain(done.stderr))

    return type_it


CHANGING = re.compile(
    r"\x1b\[[0-9;]*m|bash: .*\n|/bin/bash: .*\n|\b\d+d \d+h\b|\b[0-9a-f]{32}\b|\b1\d{9}\.\d+|\b\d+ min ago"
)
"""Colours, what bash says of a locale, and what differs from call to call: durations, ids of runs, times."""


def _plain(text: bytes) -> str:
    return CHANGING.sub("", text.decode("utf-8", "replace"))


@pytest.fixture(scope="module")
def in_a_plain_shell(type_verb: Type) -> dict[str, Typed]:
    return {verb: type_verb(verb, Shell()) for verb in VERBS}


@pytest.mark.parametrize(("name", "verb"), sampled(list(product(SHELLS, VERBS)), 30))
def test_verb_does_the_same(name: str, verb: str, type_verb: Type, in_a_plain_shell: dict[str, Typed]) -> None:
    shell, plain = SHELLS[name], in_a_plain_shell[verb]
    found = type_verb(verb, shell)
    assert "Traceback" not in found.error + found.output and "another project" not in found.error + found.output
    assert found.code == plain.code, found.error
    if shell.says_the_same:
        assert (found.output, found.error) == (plain.output, plain.error)


@pytest.mark.parametrize("verb", ["help", "status", "dry run"])
def test_output_that_cannot_be_written_is_told_in_a_sentence(verb: str, type_verb: Type) -> None:
    full = type_verb(verb, Shell(output="> /dev/full"))
    assert (full.code, full.error.count("\n")) == (1, 1) and "No space left on device" in full.error


@pytest.mark.parametrize("verb", ["help", "status as JSON", "dry run"])
def test_reader_that_has_seen_enough_is_no_error(verb: str, folder: Path, clean_environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [str(REGROW), *VERBS[verb], *([] if verb in WITHOUT_ROOT else ["--set", f"runs_root={folder}/runs"])]
    done = subprocess.run(command, env=clean_environment, cwd=folder, stdout=write, stderr=subprocess.PIPE, check=False)
    with suppress(OSError):
        os.close(write)
    assert done.stderr == b""


def test_check_works_in_a_home_that_cannot_be_written(folder: Path, clean_environment: dict[str, str]) -> None:
    """It asks Axolotl each time, since it can keep no answer."""
    environment = clean_environment | {"HOME": "/proc/1/fdinfo", "XDG_CACHE_HOME": "/proc/1/fdinfo"}
    command = [
        sys.executable,
        "-c",
        "from jobs.check.shared.scratch import scratch\nwith scratch() as place: print(place.folder)",
    ]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    used = Path(done.stdout.strip())
    assert used.name.startswith("regrow-check-") and not used.exists()
