"""Names of what a job starts. Submitting a job imports none of it; a test checks that each name resolves."""

from jobs.spec.paths import REPO_ROOT

RUN_STAGE = "jobs.node.run_stage:run_stage"
"""The function that runs a stage: `run_stage(StageJob)`."""
LAST_WORD = "jobs.node.last_word"
"""The module that the batch script runs (`python -m`) if a stage ends without recording why."""
SHIELD = REPO_ROOT / "jobs" / "node" / "shield.py"
"""The script that starts the job's Python. The job runs it by its path, because nothing may be imported yet."""
