"""The train stage: choose the newest complete checkpoint, and start the ranks. Only the journal says that they finished."""

import random
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import read_journal
from callbacks.shared.manifest import checkpoint_step, checkpoints, torn_reason
from callbacks.shared.stop_file import StopFile
from jobs.history.progress import finished_step, finished_trainings, steps_before
from jobs.node.attempt import Attempt, StageFailed
from jobs.node.commands import rank_commands
from jobs.node.lease import Lease
from jobs.spec.errors import EXIT_TEMPORARY
from jobs.spec.run_spec import RunSpec, cpus_of, python_of

LOWEST_PORT, TRIED_PORTS = 15000, 100


def train(attempt: Attempt) -> None:
    """Train to the target step.

    Raises:
        StageFailed: a rank failed, or all ranks ended without finishing.
        Stopped: the stage was told to stop, and the ranks have saved and left.
    """
    spec = attempt.spec
    attempt.lease = Lease(spec.paths.lease, attempt.name)
    attempt.lease.take(meanwhile=attempt.check_stop)
    if has_finished(spec):
        return  # never train a finished run further: one step more would overwrite its adapter
    remove_half_compiled(spec.paths.torch_extensions)
    for training in spec.trainings:
        if not has_finished(training):
            _train(attempt, training)


def _train(attempt: Attempt, spec: RunSpec) -> None:
    """One of the run's trainings, which have not finished. `spec`: of `RunSpec.trainings`."""
    checkpoint = newest_valid_checkpoint(attempt, spec)
    name, before = checkpoint.name if checkpoint else None, steps_before(read_journal(spec.paths.journal))
    started = events.RanksStarted(world_size=spec.world_size, checkpoint=name, training=spec.training)
    attempt.journal.write(started)
    python = python_of(spec, sys.executable)
    with StopFile() as stop_file:
        commands = rank_commands(
            spec, python, attempt.stem, checkpoint, _free_port(), cpus_of(spec, "train"), stop_file, before
        )
        try:
            attempt.run(commands, stop_file)
        except StageFailed as error:
            if not has_finished(spec):
                raise
            attempt.journal.write(events.FailedAfterTheEnd(message=str(error)))
    if not has_finished(spec):
        hint = (
            "\nhint: the script calls callbacks.attach(trainer) before trainer.train()" if spec.regrow.trainer else ""
        )
        raise StageFailed(f"the ranks ended before the target step\nTheir output: {attempt.log}{hint}", EXIT_TEMPORARY)


def has_finished(spec: RunSpec) -> bool:
    """Whether the journal says that the target step is reached and the final adapter is saved."""
    entries = read_journal(spec.paths.journal)
    return spec.training in finished_trainings(entries) if spec.training else finished_step(entries) is not None


def newest_valid_checkpoint(attempt: Attempt, spec: RunSpec) -> Path | None:
    """The newest complete checkpoint; None: there is none. Newer, torn checkpoints are renamed to `torn-<step>-<attempt>`, so
    that no rotation of checkpoints counts them."""
    for checkpoint in _listed_or_saved(spec):
        reason = torn_reason(checkpoint)
        if not reason:
            return checkpoint
        aside = checkpoint.with_name(f"torn-{checkpoint_step(checkpoint)}-{attempt.name}")
        checkpoint.rename(aside)
        torn = events.CheckpointTorn(checkpoint=checkpoint.name, renamed=aside.name, reason=reason)
        attempt.journal.write(torn)
    return None


def _listed_or_saved(spec: RunSpec) -> list[Path]:
    """The checkpoint folders, newest first. The journal names those that a shared file system does not list on this node yet."""
    folder = spec.paths.checkpoints
    saved = {folder / entry.checkpoint for entry in only(read_journal(spec.paths.journal), events.Saved)}
    found = {*checkpoints(folder), *(path for path in saved if path.is_dir())}
    return sorted(found, key=lambda path: checkpoint_step(path) or 0, reverse=True)


def remove_half_compiled(extensions: Path) -> None:
    """Remove what an earlier attempt was compiling when it was killed: its lock would stay, and all ranks would wait forever.

    Nobody else compiles here: the folder is the run's own, and this attempt has the lease.
    """
    for lock in list(extensions.rglob("lock")):
        shutil.rmtree(lock.parent, ignore_errors=True)


def _free_port() -> int:
    """A port at which the ranks can find one another, outside the range from which the kernel gives ports to others: one of
    that range may be taken before rank 0 listens."""
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    own = range(LOWEST_PORT, max(LOWEST_PORT, lowest_given))
    candidates = [*random.sample(own, min(TRIED_PORTS, len(own))), 0]  # 0: whatever the kernel gives
    return next(port for wanted in candidates if (port := _bound(wanted)))


def _bound(port: int) -> int | None:
    """The port that this process could listen at; None: it is in use."""
    with socket.socket() as free, suppress(OSError):
        free.bind(("127.0.0.1", port))
        found: int = free.getsockname()[1]
        return found
    return None
