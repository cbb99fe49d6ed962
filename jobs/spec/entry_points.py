"""What a job starts by its name: to submit it, nothing of it is imported. A test holds that each name resolves."""

from jobs.spec.paths import REPO_ROOT

RUN_STAGE = "jobs.node.run_stage:run_stage"
"""Carries out a stage: `run_stage(StageJob)`."""
LAST_WORD = "jobs.node.last_word"
"""`python -m` in the batch script, once the stage has ended without a word."""
SHIELD = REPO_ROOT / "jobs" / "node" / "shield.py"
"""Started before the job's Python, by its path: nothing may be imported yet."""
