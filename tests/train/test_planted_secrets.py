"""Secrets in every place where people put them: after a whole run, none stands anywhere, and no process shows one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from world import World

VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "WANDB_API_KEY",
    "COMET_API_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GITHUB_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "PGPASSWORD",
    "MYSQL_PWD",
    "SLURM_JWT",
)
"""Variables with a secret as their value."""
URIS = {
    "DATABASE_URL": "postgresql://me:{}@nowhere.invalid/db",
    "http_proxy": "http://me:{}@nowhere.invalid:3128",
    "PIP_INDEX_URL": "https://me:{}@nowhere.invalid/simple",
}
MESSAGE = (
    "could not reach mysql+pymysql://me:{}@h/db, https://h/x?token={}, redis://:{}@h:6379/0 "
    "nor https://{}@github.com/x/y (Authorization: Bearer {}; export HF_TOKEN={}; --api-key {})"
)
SETTINGS = (
    "hub_token={}",
    "comet_api_key={}",
    "setup=['export HF_TOKEN={}']",
    "setup=['docker login --password {}']",
    "tracking_uri=postgresql+psycopg2://me:{}@h/db",
    "tracking_uri=https://h/?sig={}",
    "datasets.0.path=https://me:{}@h/x.json",
    "train.slurm_additional_parameters={{export: 'ALL,HF_TOKEN={}'}}",
)
SECRETS = [
    f"s3cr3t{number:02d}Pa55" for number in range(len(VARIABLES) + len(URIS) + MESSAGE.count("{}") + len(SETTINGS))
]
"""33 of them, each in one place."""


@pytest.fixture
def planted() -> dict[str, str]:
    """An environment with the secrets of the variables and of a library's error."""
    drawn = iter(SECRETS)
    variables = {name: next(drawn) for name in VARIABLES}
    uris = {name: uri.format(next(drawn)) for name, uri in URIS.items()}
    message = MESSAGE.format(*(next(drawn) for _ in range(MESSAGE.count("{}"))))
    return variables | uris | {"REGROW_TEST_MESSAGE": message, "no_proxy": "127.0.0.1,localhost"}


@contextmanager
def arguments_of_all_processes() -> Iterator[set[str]]:
    """What `ps` shows to everybody, gathered during the block."""
    seen, ended = set[str](), threading.Event()

    def look() -> None:
        while not ended.wait(0.1):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        ended.set()
        looking.join()


def test_no_secret_stands_anywhere_after_a_run(world: World, planted: dict[str, str], tmp_path: Path) -> None:
    own = World(tmp_path, world.environment)  # its own data base and runs; the records and the model are the world's
    (tmp_path / "model").symlink_to(world.folder / "model")
    for name in ("hawks_train.json", "hawks_val.json", "person_dummy.json"):
        (tmp_path / name).symlink_to(world.folder / name)
    here = {"PYTHONPATH": str(Path(__file__).parent)}
    plugins = "plugins=[callbacks.plugin.RegrowPlugin, leaky_plugin.Leaky]"
    refused = SECRETS[-len(SETTINGS) :]
    said = []
    with arguments_of_all_processes() as arguments:
        done = own.submit("leaky", "max_steps=3", "regrow.requeue.max_crashes=0", plugins, environment=planted | here)
        assert done.returncode == 1 and "could not reach mysql+pymysql://***@h/db" in done.stdout, (
            done.stdout + done.stderr
        )
        run_dir = str(own.runs_root / "leaky")
        for typed in (["status", run_dir], ["status", run_dir, "--json"], ["report", run_dir], ["sync", run_dir]):
            shown = own.regrow(*typed, environment=planted | here)
            assert shown.returncode in (0, 1), shown.stderr
            said.append(shown.stdout + shown.stderr)
    said.append(done.stdout + done.stderr)
    for setting, secret in zip(SETTINGS, refused, strict=True):
        for flags in ([], ["--dry-run"]):
            with_secret = own.submit("refused", setting.format(secret), flags=flags, environment=planted | here)
            assert with_secret.returncode == 2, with_secret.stdout
            said.append(with_secret.stdout + with_secret.stderr)
    own_logs = set(Path(run_dir).rglob("*.log"))  # what libraries themselves print; only the user may read it
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file not in own_logs]
    assert tmp_path / "mlflow.db" in files and Path(run_dir, "report", "index.html") in files
    assert Path(run_dir).stat().st_mode & 0o077 == 0
    contents = {str(file): file.read_bytes() for file in files}
    found = [(secret, file) for file, content in contents.items() for secret in SECRETS if secret.encode() in content]
    found += [(secret, text) for secret in SECRETS for text in said if secret in text]
    found += [(secret, text) for secret in SECRETS for text in arguments if secret in text]
    assert not found
