"""What `regrow submit` does before the first job: check, ask the site, write the run folder."""

from collections.abc import Sequence

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.check.shared.finding import Finding
from jobs.history.progress import parts_left, saved_step
from jobs.history.submissions import is_cancelled
from jobs.slurm.commands import SlurmCluster
from jobs.slurm.site import read_site
from jobs.spec.errors import ConfigError
from jobs.spec.own_code import copy_own_code
from jobs.spec.run_spec import RunSpec, write_run
from jobs.spec.stages import Stage
from jobs.submit.pipeline import Tell, login_journal, typed_patience


def checked(spec: RunSpec, force: bool) -> list[Finding]:
    """Run the check; its findings.

    Args:
        force: continue despite errors.

    Raises:
        ConfigError: the check found an error.
    """
    from jobs.check.report import check_run  # slow to import

    found = check_run(spec, absent="error").findings
    if not force and (errors := [str(finding) for finding in found if finding.level == "error"]):
        raise ConfigError("\n".join([*errors, "nothing was submitted\nhint: `--force` submits anyway"]))
    return found


def create_run(spec: RunSpec, tell: Tell) -> RunSpec:
    """Write the run folder, and return the spec with the facts of its site.

    Raises:
        ConfigError: the run folder already exists, or Slurm does not answer.
    """
    if spec.profile.executor == "slurm":
        spec = _with_site(spec, tell)
    write_run(spec)
    copy_own_code(spec)
    return spec


def note_check(spec: RunSpec, found: list[Finding] | None) -> None:
    """Write the check's findings into the journal, with the errors that `--force` ignored. None: there was no check."""
    if found is None:
        login_journal(spec).write(events.CheckSkipped())
        return
    errors, warnings = ([each.code for each in found if each.level == level] for level in ("error", "warning"))
    login_journal(spec).write(events.Checked(errors=errors, warnings=warnings))


def _with_site(spec: RunSpec, tell: Tell) -> RunSpec:
    cluster = SlurmCluster.of(spec.profile)
    try:
        site = typed_patience(tell).ask(lambda: read_site(cluster))
    except ConfigError as error:
        raise ConfigError(f"{error}\nhint: `--cluster local` runs here, `--dry-run` shows the jobs") from None
    facts = site.facts({stage: spec.profile.parameters(stage).get("slurm_partition") for stage in spec.stages})
    return spec.model_copy(update={"site": facts})


def from_saved_step(spec: RunSpec) -> str:
    """` from step N` if a step is saved; else empty."""
    step = saved_step(read_journal(spec.paths.journal))
    return f" from step {step:,}" if step else ""


def interrupted_stages(spec: RunSpec, stages: Sequence[Stage]) -> list[Stage]:
    """The unfinished stages of a run that Ctrl-C has ended. If Ctrl-C came between two stages, note it in the journal."""
    entries = read_journal(spec.paths.journal)
    left = [stage for stage in stages if parts_left(spec, entries, stage)]
    if left and not is_cancelled(entries):
        login_journal(spec).write(events.CancelRequested())
    return left
