"""`regrow report`."""

from jobs.cli.options import Cluster, Run, Settings
from jobs.cli.screen.say import say


def report(run: Run, cluster: Cluster = "local", settings: Settings = []) -> None:  # noqa: B006
    """Write a run's report again. It has everything that the run has done so far."""
    from callbacks.shared.journal import read_journal
    from jobs.report.write import results_so_far, write_report
    from jobs.spec.find import named_run
    from jobs.submit.pipeline import login_journal

    spec = named_run(run, cluster, settings)
    say(write_report(spec, results_so_far(spec, read_journal(spec.paths.journal)), login_journal(spec)))
