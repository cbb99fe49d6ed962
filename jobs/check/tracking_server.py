"""The tracking server: whether it answers, and accepts the credentials."""

import base64
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec

ANSWER_SECONDS = 3


def mlflow_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """One finding if the tracking server does not answer. A run continues without it: the journal keeps every point."""
    uri = spec.profile.tracking_uri
    found, fix = "does not answer", "correct the URI, or start the server"
    try:
        with urllib.request.urlopen(_mlflow_question(uri, spec), timeout=ANSWER_SECONDS):  # noqa: S310 (http and https alone)
            return
    except urllib.error.HTTPError as error:
        if error.code == 404 and b"RESOURCE_DOES_NOT_EXIST" in error.read():
            return  # the experiment does not exist yet
        said = f"HTTP {error.code}"
        if error.code in (401, 403):
            found = "rejects the request"
            fix = "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    except OSError as error:
        said = str(getattr(error, "reason", error))
    yield Finding.warning(
        "site.mlflow",
        places.profile("tracking_uri"),
        found=f"{uri} {found}: {said}",
        cost="the run would continue, but MLflow would not show it",
        fix=fix,
    )


def _mlflow_question(uri: str, spec: RunSpec) -> urllib.request.Request:
    """A request for the run's experiment, as MLflow's own client sends it. `/health` would answer without credentials."""
    name = urllib.parse.quote(spec.regrow.mlflow.experiment)
    question = urllib.request.Request(  # noqa: S310 (http and https alone)
        f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}"
    )
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{what}") for what in ("USERNAME", "PASSWORD"))
    if user and password:
        question.add_header("Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        question.add_header("Authorization", f"Bearer {token}")
    return question
