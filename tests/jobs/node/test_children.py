"""Children and signals: signals are blocked before Python starts, inherited and waited for; no child outlives its parent."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from dev_cluster.processes import wait_until
from patience import HANGS_AFTER_SECONDS
from world import REPO_ROOT

SHIELD = REPO_ROOT / "jobs" / "node" / "shield.py"
SHOW_MASK = "import signal; print(sorted(s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])))"


def python(code: str, *, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.Popen(command, cwd=REPO_ROOT, stdout=subprocess.PIPE, text=True)


def test_shield_blocks_both_signals_for_all_that_follows() -> None:
    shield = (sys.executable, "-I", "-S", str(SHIELD))
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SHOW_MASK!r}])"
    with python(code, prefix=shield) as process:
        assert process.communicate(timeout=HANGS_AFTER_SECONDS)[0].strip() == "['SIGTERM', 'SIGUSR2']"


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_signal_is_waited_for_and_ends_nobody(number: signal.Signals) -> None:
    code = """
        from jobs.node.children import next_signal, watch_signals
        watch_signals()
        print("watching", flush=True)
        print(next_signal(30).name, next_signal(0))
    """
    with python(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "watching\n"
        process.send_signal(number)
        assert process.communicate(timeout=HANGS_AFTER_SECONDS)[0] == f"{number.name} None\n"
        assert process.returncode == 0


@pytest.mark.long
def test_process_that_was_suspended_has_got_no_signal() -> None:
    code = """
        from jobs.node.children import next_signal, watch_signals
        watch_signals()
        print("watching", flush=True)
        print([next_signal(0.5) for again in range(4)], flush=True)
        print(next_signal(30).name)
    """
    with python(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "watching\n"
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            wait_until(lambda: state_of(process.pid) == "T", HANGS_AFTER_SECONDS, "the process to stop")
            time.sleep(0.6)  # longer than it waits
            process.send_signal(signal.SIGCONT)
            wait_until(lambda: state_of(process.pid) != "T", HANGS_AFTER_SECONDS, "the process to go on")
        assert process.stdout.readline() == "[None, None, None, None]\n"
        process.send_signal(signal.SIGUSR2)
        assert process.communicate(timeout=HANGS_AFTER_SECONDS)[0] == "SIGUSR2\n"


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_child_hears_of_its_own_children_but_not_of_the_signals(tmp_path: Path) -> None:
    code = f"""
        import sys
        from pathlib import Path
        from jobs.node.children import Children, next_signal, watch_signals
        from jobs.node.commands import Command
        watch_signals()
        with open({str(tmp_path / "out")!r}, "wb") as out:
            children = Children([Command([sys.executable, "-c", {SHOW_MASK!r}], {{}})], out.fileno())
            while children.are_running():
                next_signal(30)
        print(children.first_failure())
    """
    with python(code) as process:
        assert process.communicate(timeout=HANGS_AFTER_SECONDS)[0] == "None\n"
    assert (tmp_path / "out").read_text().strip() == "['SIGTERM', 'SIGUSR2']"


def test_first_failure_is_seen_and_the_others_are_ended(tmp_path: Path) -> None:
    code = """
        import sys, time
        from jobs.node.children import Children, next_signal, watch_signals
        from jobs.node.commands import Command
        watch_signals()
        sleep = Command([sys.executable, "-c", "import time; time.sleep(600)"], {})
        fail = Command([sys.executable, "-c", "raise SystemExit(3)"], {})
        children = Children([sleep, fail], 1)
        while not children.first_failure():
            next_signal(30)
        print(children.first_failure(), children.are_running())
        children.end()
        print(children.are_running(), flush=True)
    """
    with python(code) as process:
        assert process.communicate(timeout=HANGS_AFTER_SECONDS)[0] == "(1, 3) True\nFalse\n"


@pytest.mark.long
def test_children_of_a_killed_parent_die(tmp_path: Path) -> None:
    code = """
        import sys
        from jobs.node.children import Children, next_signal, watch_signals
        from jobs.node.commands import Command
        watch_signals()
        child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        children = Children([Command([sys.executable, "-c", child], {})], 1)
        next_signal(600)
    """
    with python(code) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null"], check=True, timeout=HANGS_AFTER_SECONDS)


def test_all_children_are_killed_and_none_is_waited_for_without_limit() -> None:
    """A rank may be in a system call that does not return. No wait at all stands for a wait that is over."""
    code = """
        import os, sys
        from jobs.node import children
        from jobs.node.commands import Command
        children.KILLED_SECONDS = 0.0
        sleep = Command([sys.executable, "-c", "import time; time.sleep(600)"], {})
        three = children.Children([sleep] * 3, 1)
        three.end()
        print(*(os.waitstatus_to_exitcode(os.waitpid(each.pid, 0)[1]) for each in three._processes if each.returncode is None))
    """
    with python(code) as process:
        said = process.communicate(timeout=HANGS_AFTER_SECONDS)[0].splitlines()
    assert said[-1].split() == ["-9"] * said[-1].count("-9")
    assert all("is killed, but a system call keeps it" in line for line in said[:-1])
