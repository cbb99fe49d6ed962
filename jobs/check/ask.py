"""Asks the node's Python what only Axolotl and torch can tell, in a child: a login node needs neither. Answers are kept."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from callbacks.manifest import write_atomically
from jobs.launch import child_environment, python_of
from jobs.paths import REPO_ROOT
from jobs.spec import RunSpec

VERSIONS = (
    "import importlib.metadata as m; print(*(m.version(name) for name in ('axolotl', 'transformers', 'peft', 'torch')))"
)
PROBE = ("jobs/check/probe.py", "jobs/check/axolotl_keys.py", "jobs/check/axolotl_values.py", "jobs/check/model_counts.py",
         "callbacks/token_report.py")  # fmt: skip
"""The modules that answer: another version of them answers anew."""


class NoAxolotl(RuntimeError):
    """The node's Python has no Axolotl here; the message says which Python."""


def ask(spec: RunSpec, questions: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The answers of `jobs.check.probe`, each from the cache if the same was asked before.

    Raises:
        NoAxolotl: nobody can answer here.
    """
    python = python_of(spec, sys.executable)
    version = _run([python, "-c", VERSIONS])
    if version is None or version.returncode:
        raise NoAxolotl(f"{python} has no Axolotl here")
    files = {name: _cache_file(python, version.stdout, name, question) for name, question in questions.items()}
    answers = {name: json.loads(file.read_bytes()) for name, file in files.items() if file.exists()}
    if missing := {name: question for name, question in questions.items() if name not in answers}:
        for name, answer in _probe(python, missing).items():
            answers[name] = answer
            if "error" not in answer:  # what failed is asked again: a file may be there by then
                files[name].parent.mkdir(parents=True, exist_ok=True)
                write_atomically(files[name], json.dumps(answer))
    return answers


def _probe(python: str, questions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="regrow-") as folder:
        answers = Path(folder) / "answers.json"
        done = _run([python, "-m", "jobs.check.probe", str(answers)], json.dumps(questions))
        if done is None or done.returncode:
            raise NoAxolotl(
                f"{python} cannot use its Axolotl: {done.stderr.strip()[-500:] if done else 'it does not start'}"
            )
        found: dict[str, Any] = json.loads(answers.read_bytes())
        return found


def _cache_file(python: str, version: str, name: str, question: dict[str, Any]) -> Path:
    source = "".join((REPO_ROOT / module).read_text(encoding="utf-8") for module in PROBE)
    asked = json.dumps([python, version, question, source], sort_keys=True)
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "regrow" / "check" / f"{name}-{hashlib.sha256(asked.encode()).hexdigest()[:24]}.json"


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str] | None:
    environment = child_environment({"AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"})
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=REPO_ROOT, env=environment, check=False
        )
    except OSError:
        return None
