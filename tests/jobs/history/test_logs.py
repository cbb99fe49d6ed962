"""`regrow logs` prints the right attempt and every later one, each byte once."""

import io
import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest
from entries import fresh
from patience import HANGS_AFTER_SECONDS
from world import REGROW, REPO_ROOT

from callbacks.shared.journal import Journal
from jobs.history.logs import LogFollower, Wanted, print_log
from jobs.spec.errors import ConfigError
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec, write_run
from jobs.spec.stages import Stage


class Writing:
    """A run whose attempts print."""

    def __init__(self, runs_root: Path) -> None:
        config = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
        self.spec: RunSpec = load_run_spec(
            config, "local", [f"runs_root={runs_root}", "regrow.evaluate.shards=2"], "one"
        )
        write_run(self.spec)

    def starts(self, stage: Stage, job_id: str, attempt: int = 0, part: int = 0, text: str = "") -> Path:
        name = f"{stage}-{job_id}-{attempt}"
        log = self.spec.paths.log(name)
        self.says(
            name, "stage_started", stage=stage, part=part, job_id=job_id, attempt=attempt, host="n1", log=str(log)
        )
        log.write_text(text)
        return log

    def says(self, name: str, event: str, **fields: object) -> None:
        Journal.of_writer(str(self.spec.paths.journal / name), "stage").write(fresh(event, **fields))


@pytest.fixture
def run(tmp_path: Path) -> Writing:
    return Writing(tmp_path)


def printed(run: Writing, wanted: Wanted) -> tuple[str, str]:
    output, said = io.BytesIO(), list[str]()
    print_log(run.spec, wanted, output, said.append)
    return output.getvalue().decode(), said[0]


def test_newest_attempt_is_printed_unless_another_is_wanted(run: Writing) -> None:
    run.starts("prepare", "1", text="merged\n")
    run.starts("train", "2", text="first\n")
    run.starts("train", "2", attempt=1, text="second\n")
    run.starts("evaluate", "3_0", part=0, text="shard 0\n")
    run.starts("evaluate", "3_1", part=1, text="shard 1\n")
    assert printed(run, Wanted())[0] == "shard 1\n"
    assert printed(run, Wanted("train"))[0] == "second\n"
    text, said = printed(run, Wanted("train", attempt=1))
    assert (text, said.partition(":")[0]) == ("first\n", "train, job 2, attempt 1, on n1")
    assert printed(run, Wanted("evaluate", array_task=0))[0] == "shard 0\n"
    with pytest.raises(ConfigError, match=r"no attempt yet for: train, attempt 3\nhint: `regrow status /.*/one`"):
        printed(run, Wanted("train", attempt=3))


def test_follower_goes_on_across_a_requeue_and_ends_with_the_stage(run: Writing) -> None:
    output, said = io.BytesIO(), list[str]()
    log = run.starts("train", "2", text="first, ")
    follower = LogFollower(run.spec, Wanted("train"), output, said.append)
    follower.print_new()
    follower.print_new()
    with log.open("a") as file:
        file.write("on\n")
    run.says("train-2-0", "left", stage="train", part=0)
    follower.print_new()
    run.starts("train", "2", attempt=1, text="second\n")
    run.says("train-2-1", "stage_finished", stage="train", part=0)
    follower.follow(lambda: True)
    assert output.getvalue() == b"first, on\nsecond\n"
    assert [text.partition(",")[2].partition(",")[2].partition(",")[0] for text in said] == [" attempt 1", " attempt 2"]


def test_follower_prints_nothing_of_earlier_attempts(run: Writing) -> None:
    output = io.BytesIO()
    run.starts("prepare", "1", text="merged\n")
    run.starts("train", "2", text="first\n")
    log = run.starts("train", "2", attempt=1, text="second\n")
    follower = LogFollower(run.spec, Wanted(), output, lambda text: None)
    for _ in range(2):
        follower.print_new()
    assert output.getvalue() == b"second\n"
    with log.open("a") as file:
        file.write("on\n")
    run.says("train-2-1", "left", stage="train", part=0)
    newest = LogFollower(run.spec, Wanted("train", attempt=2), output, lambda text: None)
    newest.follow(lambda: True)
    assert output.getvalue() == b"second\nsecond\non\n"


@pytest.mark.long
def test_follower_waits_for_parts_and_for_what_was_submitted_again(run: Writing) -> None:
    answers = iter([True, True, False])
    run.starts("train", "2", text="failed\n")
    run.says("train-2-0", "stage_failed", stage="train", part=0)
    run.says("login", "submitted", stage="train", job_id="3")
    LogFollower(run.spec, Wanted("train"), io.BytesIO(), lambda text: None).follow(lambda: next(answers))
    assert next(answers, "asked three times") == "asked three times"
    assert run.spec.parts("evaluate") > 1
    answers = iter([True, True, False])
    run.starts("evaluate", "4_0", part=0, text="shard 0\n")
    run.says("evaluate-4_0-0", "stage_finished", stage="evaluate", part=0)
    LogFollower(run.spec, Wanted("evaluate"), io.BytesIO(), lambda text: None).follow(lambda: next(answers))
    assert next(answers, "asked three times") == "asked three times"


def test_follower_without_a_stage_ends_with_the_run_and_not_before(run: Writing) -> None:
    output = io.BytesIO()
    run.starts("prepare", "1", text="merged\n")
    follower = LogFollower(run.spec, Wanted(), output, lambda text: None)
    follower.print_new()
    run.says("prepare-1-0", "stage_finished", stage="prepare", part=0)
    run.starts("report", "4", text="written\n")
    run.says("report-4-0", "stage_finished", stage="report", part=0)
    follower.follow(lambda: True)
    assert output.getvalue() == b"merged\nwritten\n"


def test_follower_ends_where_nothing_can_come(run: Writing) -> None:
    output = io.BytesIO()
    run.starts("train", "2", text="killed")
    LogFollower(run.spec, Wanted("train"), output, lambda text: None).follow(lambda: False)
    assert output.getvalue() == b"killed"


@pytest.mark.long
def test_command_prints_the_log_alone_on_stdout(run: Writing, clean_environment: dict[str, str]) -> None:
    run.starts("train", "2", text="日本\n")
    command = [str(REGROW), "logs", "one", "--set", f"runs_root={run.spec.paths.run_dir.parent}"]
    done = subprocess.run(command, env=clean_environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("日本\n", 0)
    assert done.stderr.startswith("==> train, job 2, attempt 1, on n1: ")
    done = subprocess.run(
        [*command, "--stage", "trian"], env=clean_environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "the stages are prepare, train, evaluate, report" in done.stderr) == (2, True)


@pytest.mark.long
def test_watch_redraws_in_place_and_leaves_cleanly_when_the_run_ends(
    run: Writing, clean_environment: dict[str, str]
) -> None:
    run.starts("train", "2")
    run.says("login", "foreground", host=os.uname().nodename, pid=os.getpid())
    run.starts("train", "2", attempt=1)
    command = [str(REGROW), "status", "one", "--watch", "--set", f"runs_root={run.spec.paths.run_dir.parent}"]
    mine, its = pty.openpty()
    with subprocess.Popen(
        command, env=clean_environment | {"TERM": "xterm"}, stdin=its, stdout=its, stderr=its
    ) as process:
        os.close(its)
        shown = _read_until(mine, "running")
        run.says("report-4-0", "run_ended", status="FINISHED")
        shown += _read_until(mine, "finished")
        assert process.wait(timeout=HANGS_AFTER_SECONDS) == 0
    os.close(mine)
    assert "\x1b[?25l" in shown  # the cursor is hidden while the screen is shown
    assert "\x1b[1A" in shown  # the screen is overwritten, not cleared, so that it does not flicker
    assert "\x1b[2J" not in shown


def _read_until(terminal: int, word: str) -> str:
    text, until = "", time.monotonic() + HANGS_AFTER_SECONDS
    while word not in text:
        assert time.monotonic() < until, text
        if select.select([terminal], [], [], 1)[0]:
            text += os.read(terminal, 65536).decode(errors="replace")
    return text


def test_watch_needs_a_terminal(run: Writing, clean_environment: dict[str, str]) -> None:
    command = [str(REGROW), "status", "--watch", "--set", f"runs_root={run.spec.paths.run_dir.parent}"]
    done = subprocess.run(command, env=clean_environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "--watch needs a terminal, and no --json\nhint: in a script, call `regrow status --json` repeatedly\n",
    )
