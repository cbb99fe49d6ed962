"""The process that posts a journal to MLflow: the side that starts it, and the process itself.

It runs beside the training. If the server is slow, hangs or is away, only this process waits. It ends soon after its
standard input is closed: by the process that started it, or because that process died.
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
from callbacks.shared.journal import Journal
from callbacks.shared.process.interpreter import leave_now
from callbacks.shared.tracking import is_refusal

MLFLOW_WRITER = "mlflow"
"""The name of this process as a writer of the journal."""
POST_SECONDS, MOST_SECONDS = 3.0, 15.0
"""Pause between two posts. After failures the pause grows, up to the second value."""
SAMPLE_SECONDS = 30.0
HTTP_SETTINGS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""When MLflow's client gives up, unless the user has set this: early, because this process tries again."""
EXIT_BEHIND = 1


class MlflowProcess:
    """The process, from the side that starts it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: int | IO[bytes],
        folder: Path | None = None,
    ) -> None:
        """`folder`: its working directory; None: that of this process."""
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=HTTP_SETTINGS | dict(environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal does not reach it: it still has to post the rest
        )

    def close(self, seconds: float) -> bool:
        """Let the process post the rest and end, and wait for it.

        Args:
            seconds: the longest wait; after it, the process is killed.

        Returns:
            Whether MLflow has everything.
        """
        assert self._process.stdin
        self._process.stdin.close()
        try:
            return self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False


def keep_posting(post: Callable[[], object], journal: Journal, last_seconds: float) -> None:
    """Post again and again until standard input is closed. Then post the rest, for at most `last_seconds`.

    Raises:
        SystemExit: the rest could not be posted.
    """
    ended = threading.Event()
    threading.Thread(target=_end_with_input, args=(ended, last_seconds), daemon=True).start()
    failure, pause, last_try_at = "", POST_SECONDS, float("inf")
    while True:
        is_last = ended.is_set()
        last_try_at = min(last_try_at, time.monotonic() + last_seconds - 1) if is_last else last_try_at
        said, (failure, is_final) = failure, _failure(post)
        if failure != said:
            with suppress(OSError):  # a full disk
                journal.write(events.MlflowFailed(error=failure) if failure else events.MlflowCaughtUp())
        if is_last and (not failure or is_final or time.monotonic() >= last_try_at):
            if failure:
                sys.exit(EXIT_BEHIND)
            return
        pause = min(2 * pause, MOST_SECONDS) if failure else POST_SECONDS
        if is_last:
            time.sleep(1)
        else:
            ended.wait(pause)


def _failure(post: Callable[[], object]) -> tuple[str, bool]:
    """Post, and return what went wrong (empty: nothing), and whether MLflow will refuse it again."""
    try:
        post()
    except Exception as error:  # any error of MLflow: the post is tried again
        return f"{type(error).__name__}: {error}", is_refusal(error)
    return "", False


def _end_with_input(ended: threading.Event, last_seconds: float) -> None:
    """Runs in a thread, so that a call that hangs cannot keep the process alive."""
    sys.stdin.buffer.read()
    ended.set()
    time.sleep(last_seconds)
    leave_now(EXIT_BEHIND)


def keep_sampling(journal: Journal, since: float) -> None:
    """Write the use of CPU, memory, disk, network and GPUs into the journal, in a thread. `since`: the time of second 0."""
    threading.Thread(target=_sample, args=(journal, since), daemon=True).start()


def _sample(journal: Journal, since: float) -> None:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    # The monitor is never started: it would post by itself, and give up at an outage. Without an address it would create a
    # database here.
    monitor = SystemMetricsMonitor(run_id="", tracking_uri="http://nowhere")
    while True:
        try:
            monitor.collect_metrics()
            values = {f"system/{key}": value for key, value in monitor.aggregate_metrics().items()}
            for each in monitor.monitors:
                each.clear_metrics()
            journal.write(events.System(second=int(time.time() - since), values=values))
        except Exception as error:  # any error of a driver: the next sample may succeed
            print(f"no system metrics: {type(error).__name__}: {error}", flush=True)
        time.sleep(SAMPLE_SECONDS)
