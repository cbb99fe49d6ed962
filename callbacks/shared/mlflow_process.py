"""The process that posts a journal to MLflow, beside the training and never in its way: both of its sides.

A server that is slow, hangs or is away keeps this process waiting alone. It ends soon after its standard input does,
which is closed by whoever started it, or by that one's death.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from callbacks.shared import events
from callbacks.shared.interpreter import leave_now
from callbacks.shared.journal import Journal

MLFLOW_WRITER = "mlflow"
"""The journal's writer that this process is."""
POST_SECONDS, MOST_SECONDS = 3.0, 15.0
"""Between two posts; after failures longer and longer, up to the second."""
SAMPLE_SECONDS = 30.0
HTTP_SETTINGS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""What MLflow's own client does before it gives up, unless the user has set it: this process comes back anyway."""
EXIT_BEHIND = 1


class MlflowProcess:
    """The process, seen by who starts it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: int | IO[bytes],
        folder: Path | None = None,
    ) -> None:
        """`folder`: where it runs; None: here."""
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=HTTP_SETTINGS | dict(environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C is not for it: there is something left to say
        )

    def close(self, seconds: float) -> bool:
        """Let it post the rest and end, and wait for that so long; whether MLflow has everything."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            return self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False


def keep_posting(post: Callable[[], object], journal: Journal, last_seconds: float) -> None:
    """Post again and again until standard input ends, and then the rest, for `last_seconds` at most.

    Raises:
        SystemExit: the rest could not be posted.
    """
    ended = threading.Event()
    threading.Thread(target=_end_with_input, args=(ended, last_seconds), daemon=True).start()
    failure, pause, last_try_at = "", POST_SECONDS, float("inf")
    while True:
        is_last = ended.is_set()
        last_try_at = min(last_try_at, time.monotonic() + last_seconds - 1) if is_last else last_try_at
        said, failure = failure, _failure(post)
        if failure != said:
            with suppress(OSError):  # a full disk
                journal.write(events.MlflowFailed(error=failure) if failure else events.MlflowCaughtUp())
        if is_last and (not failure or time.monotonic() >= last_try_at):
            if failure:
                sys.exit(EXIT_BEHIND)
            return
        pause = min(2 * pause, MOST_SECONDS) if failure else POST_SECONDS
        if is_last:
            time.sleep(1)
        else:
            ended.wait(pause)


def _failure(post: Callable[[], object]) -> str:
    """What went wrong; empty: nothing."""
    try:
        post()
    except Exception as error:  # whatever MLflow raises: it is tried again
        return f"{type(error).__name__}: {error}"
    return ""


def _end_with_input(ended: threading.Event, last_seconds: float) -> None:
    """A thread: a call that hangs must not keep the process."""
    sys.stdin.buffer.read()
    ended.set()
    time.sleep(last_seconds)
    leave_now(EXIT_BEHIND)


def keep_sampling(journal: Journal, since: float) -> None:
    """Write what CPU, memory, disk, network and GPUs do into the journal, in a thread. `since`: when second 0 was."""
    threading.Thread(target=_sample, args=(journal, since), daemon=True).start()


def _sample(journal: Journal, since: float) -> None:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    # Never started: it would post, and give up at an outage. Without an address it would make a database here.
    monitor = SystemMetricsMonitor(run_id="", tracking_uri="http://nowhere")
    while True:
        try:
            monitor.collect_metrics()
            values = {f"system/{key}": value for key, value in monitor.aggregate_metrics().items()}
            for each in monitor.monitors:
                each.clear_metrics()
            journal.write(events.System(second=int(time.time() - since), values=values))
        except Exception as error:  # whatever a driver has to say: the next sample may succeed
            print(f"no system metrics: {type(error).__name__}: {error}", flush=True)
        time.sleep(SAMPLE_SECONDS)
