"""The user's own modules that a run needs: found where the config is or where one types, and copied into the run folder."""

import shutil
from pathlib import Path

from callbacks.shared.args import OwnTask
from callbacks.shared.tasks.own import OwnScorer
from callbacks.shared.tasks.scorers import scorer_of
from callbacks.shared.tasks.verdict import Scorer
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec


def own_module(spec: RunSpec) -> Path | None:
    """The file or package of the task's scorer, beside the config or in the current folder; None: it is an installed one."""
    task = spec.regrow.task
    if not isinstance(task, OwnTask):
        return None
    first = task.scorer.partition(".")[0]
    evaluated = [Path(model.run_dir) for model in spec.evaluation.models if model.run_dir] if spec.evaluation else []
    copies = [RunPaths(run_dir).code for run_dir in evaluated]  # what was submitted, rather than what stands there now
    for folder in dict.fromkeys([*copies, Path(spec.config).parent, Path.cwd()]):
        for found in (folder / f"{first}.py", folder / first):
            if found.is_file() or (found / "__init__.py").is_file():
                return found
    return None


def scorer_before_submission(spec: RunSpec) -> Scorer | None:
    """The task's scorer while there is no run folder yet; None: the config has no task.

    Raises:
        ValueError: as `scorer_of`.
    """
    task = spec.regrow.task
    if isinstance(task, OwnTask):
        found = own_module(spec)
        return OwnScorer(task, [found.parent] if found else [])
    return scorer_of(spec.regrow)


def copy_own_code(spec: RunSpec) -> None:
    """Copy the scorer's module, and a script that trains with the modules beside it: the jobs run what was submitted."""
    script = Path(spec.regrow.trainer) if spec.regrow.trainer else None
    scripts = sorted(script.parent.glob("*.py")) if script else []
    for found in (each for each in (own_module(spec), *scripts) if each):
        spec.paths.code.mkdir(mode=0o700, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, spec.paths.code / found.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(found, spec.paths.code)
