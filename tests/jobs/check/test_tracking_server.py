"""The check of the tracking server: whatever listens at its address, and whatever stands in its place, it says so and ends."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from many_runs import TINY

from jobs.check import tracking_server
from jobs.check.shared.places import Places
from jobs.check.tracking_server import mlflow_findings
from jobs.spec.resolve import load_run_spec

PAGE = b"<html>please log in</html>"
EXPERIMENT = b'{"experiment": {"experiment_id": "7", "name": "regrow-demo", "lifecycle_stage": "%s"}}'


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


ANSWERS = {
    "an active experiment": (http(EXPERIMENT % b"active"), ""),
    "no such experiment yet": (http(b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}', "404 Not Found"), ""),
    "a deleted experiment": (http(EXPERIMENT % b"deleted"), "has deleted the run's experiment"),
    "a proxy's page": (http(PAGE), "does not answer as MLflow does"),
    "JSON of another service": (http(b"[1]"), "does not answer as MLflow does"),
    "30 MB": (http(30 * 2**20 * b"x"), "does not answer as MLflow does"),
    "no such page": (http(PAGE, "404 Not Found"), "HTTP 404"),
    "a proxy without a server behind it": (http(PAGE, "502 Bad Gateway"), "HTTP 502"),
    "no credentials": (http(b"", "401 Unauthorized"), "rejects the request: HTTP 401"),
    "a redirect to itself": (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "does not answer: SSH-2.0-OpenSSH"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46", "does not answer"),
    "half an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "does not answer"),
    "nothing": (b"", "does not answer"),
    "silence": (None, "does not answer within 0.5 s"),
}


@contextmanager
def listener(answer: bytes | None) -> Iterator[str]:
    """The URI of a server that gives every client the same answer, whatever it asks; None: it never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as connections:

        def serve() -> None:
            with suppress(OSError):  # the test is over
                while True:
                    client = connections.enter_context(server.accept()[0])
                    if answer is not None:
                        client.recv(4096)
                        with suppress(OSError):
                            client.sendall(answer)
                        client.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def said(uri: str) -> list[str]:
    spec = load_run_spec(TINY, "local", ['tracking_uri="http://127.0.0.1:9"'], "new")
    spec = spec.model_copy(update={"profile": spec.profile.model_copy(update={"tracking_uri": uri})})
    found = list(mlflow_findings(spec, Places(spec)))
    assert all(finding.code == "site.mlflow" and finding.fix for finding in found)
    return [finding.found.removeprefix(uri).strip() for finding in found]


@pytest.mark.parametrize("case", ANSWERS)
def test_every_kind_of_answer(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, expected = ANSWERS[case]
    if answer is None:
        monkeypatch.setattr(tracking_server, "ALL_SECONDS", 0.5)
    with listener(answer) as uri:
        found = said(uri)
    assert len(found) == bool(expected) and all(expected in text for text in found)


@pytest.mark.parametrize(
    "uri", ["127.0.0.1:5000", "localhost:5000", "mlflow.example", "mlruns", "foo://x", "htp://h:5000"]
)
def test_uri_without_a_scheme_that_mlflow_knows_is_none(uri: str) -> None:
    assert said(uri) == ["is no tracking URI"]


@pytest.mark.parametrize("uri", ["http://h:50OO", "http://a b:5000", "http://[::1", "http://", "http://ü\udcff:5"])
def test_uri_that_cannot_be_asked_is_no_traceback(uri: str) -> None:
    (found,) = said(uri)
    assert found.startswith("does not answer")


@pytest.mark.parametrize(
    "uri", ["sqlite:////x/m.db", "postgresql+psycopg2://h/db", "databricks", "file:///x", "/x/mlruns"]
)
def test_what_is_no_server_is_not_asked(uri: str) -> None:
    assert said(uri) == []
