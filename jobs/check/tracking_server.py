"""The tracking server: whether its URI is one, whether it answers, and accepts the credentials."""

import base64
import json
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.run_spec import RunSpec

ANSWER_SECONDS = 3
"""For a connection, and for each part of an answer."""
ALL_SECONDS = 6
MOST_BYTES = 2**16
"""The most that is read of an answer; MLflow's has some hundred bytes."""
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SCHEMES = ("http", "https", "file", "databricks", "uc", *DATABASES)
COST = "the run would continue, but MLflow would not show it"


def mlflow_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """One finding if MLflow would not show the run. A run continues without it: the journal keeps every point."""
    uri, name = spec.profile.tracking_uri, spec.regrow.mlflow.experiment
    found, fix = _fault(uri, name)
    if found:
        yield Finding.warning("site.mlflow", places.profile("tracking_uri"), found=f"{uri} {found}", cost=COST, fix=fix)


def _fault(uri: str, experiment: str) -> tuple[str, str]:
    """What is wrong, and what to do; empty: nothing is wrong, as far as this machine can tell."""
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme not in SCHEMES and not uri.startswith("/"):
        return "is no tracking URI", f"write its scheme, for example http://{uri}"
    if scheme not in ("http", "https"):
        return "", ""
    answers: list[tuple[str, str]] = []
    thread = threading.Thread(target=lambda: answers.append(_answer(uri, experiment)), daemon=True)
    thread.start()
    thread.join(ALL_SECONDS)
    return next(iter(answers), (f"does not answer within {ALL_SECONDS} s", "correct the URI, or start the server"))


def _answer(uri: str, experiment: str) -> tuple[str, str]:
    """Ask the server for the run's experiment. What is wrong, and what to do."""
    try:
        with urllib.request.urlopen(_question(uri, experiment), timeout=ANSWER_SECONDS) as answer:  # noqa: S310 (http and https alone)
            return _fault_of_experiment(answer.read(MOST_BYTES))
    except urllib.error.HTTPError as error:
        if error.code == 404 and b"RESOURCE_DOES_NOT_EXIST" in error.read(MOST_BYTES):
            return "", ""  # the experiment does not exist yet
        said = f"HTTP {error.code}"
        if error.code in (401, 403):
            fix = "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            return f"rejects the request: {said}", fix
    except (OSError, HTTPException, ValueError) as error:  # ValueError: the URI is none; HTTPException: not HTTP
        reason = getattr(error, "reason", error)
        said = str(reason) or type(error).__name__
    return f"does not answer: {said}", "correct the URI, or start the server"


def _fault_of_experiment(body: bytes) -> tuple[str, str]:
    try:
        experiment = json.loads(body)["experiment"]
        stage, number = experiment["lifecycle_stage"], experiment["experiment_id"]
    except (ValueError, KeyError, TypeError):
        return "does not answer as MLflow does: another service, or a proxy", "correct the URI"
    if stage == "deleted":
        fix = f"mlflow experiments restore --experiment-id {number}, or write another regrow.mlflow.experiment"
        return "has deleted the run's experiment", fix
    return "", ""


def _question(uri: str, experiment: str) -> urllib.request.Request:
    """A request for the experiment, as MLflow's own client sends it. `/health` would answer without credentials.

    Raises:
        ValueError: the URI is none.
    """
    name = urllib.parse.quote(experiment)
    question = urllib.request.Request(  # noqa: S310 (http and https alone)
        f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}"
    )
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{what}") for what in ("USERNAME", "PASSWORD"))
    if user and password:
        question.add_header("Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        question.add_header("Authorization", f"Bearer {token}")
    return question
