"""Questions to the node's Python, which has Axolotl and torch; asked in a child process, because a login node needs neither.
Answers are cached."""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jobs.check.shared.cache import CachedAnswer
from jobs.check.shared.scratch import Scratch, scratch
from jobs.spec.paths import REPO_ROOT, child_environment
from jobs.spec.run_spec import RunSpec, python_of

PACKAGES = ("axolotl", "transformers", "peft", "torch")
PROBE = (
    *(f"jobs/check/shared/{name}.py" for name in ("probe", "axolotl_keys", "axolotl_values", "model_counts")),
    "callbacks/shared/tokens/token_report.py",
    "callbacks/shared/tokens/seen.py",
    "jobs/spec/wrong_value.py",
)
"""The modules that answer; a new version of one makes the cached answers invalid."""


class NoAxolotl(RuntimeError):
    """The node's Python has no Axolotl on this machine; the message names the Python."""


def ask(spec: RunSpec, questions: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The answers of `jobs.check.shared.probe`; from the cache if the same question was asked before.

    Raises:
        NoAxolotl: this machine has no Python that can answer.
    """
    python = python_of(spec, sys.executable)
    versions = _versions(python)
    cached = {name: CachedAnswer(name, [python, versions, question], PROBE) for name, question in questions.items()}
    answers = {name: json.loads(answer) for name, place in cached.items() if (answer := place.get()) is not None}
    if missing := {name: question for name, question in questions.items() if name not in answers}:
        for name, answer in _probe(python, missing).items():
            answers[name] = answer
            if "error" not in answer:  # a failed question is asked again: the missing file may exist by then
                cached[name].put(json.dumps(answer).encode())
    return answers


def _versions(python: str) -> str:
    """The versions of the packages that answer.

    Raises:
        NoAxolotl: one of them is not installed.
    """
    if python == sys.executable:  # no need to start another Python
        try:
            return " ".join(map(version, PACKAGES))
        except PackageNotFoundError:
            raise NoAxolotl(f"{python} has no Axolotl here") from None
    done = _run([python, "-c", f"import importlib.metadata as m; print(*map(m.version, {PACKAGES}))"])
    if done is None or done.returncode:
        raise NoAxolotl(f"{python} has no Axolotl here")
    return done.stdout.strip()


def _probe(python: str, questions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    with scratch() as place:
        answers = place.folder / f"answers-{os.getpid()}.json"
        done = _run([python, "-m", "jobs.check.shared.probe", str(answers)], json.dumps(questions), place)
        if done is None or done.returncode:
            raise NoAxolotl(
                f"{python} cannot use its Axolotl: {done.stderr.strip()[-500:] if done else 'it does not start'}"
            )
        found: dict[str, Any] = json.loads(answers.read_bytes())
        answers.unlink()
        return found


def _run(command: list[str], text: str = "", place: Scratch | None = None) -> subprocess.CompletedProcess[str] | None:
    quiet = {"AXOLOTL_DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}  # which would leave a file in ~/.config
    extra = quiet | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | (place.environment if place else {})
    try:
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            cwd=REPO_ROOT,
            env=child_environment(extra),
            pass_fds=[place.lock] if place else (),  # should this process be killed, the other still uses the place
            check=False,
        )
    except OSError:
        return None
