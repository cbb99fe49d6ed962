"""A secret is known wherever people put one; what only looks like one is left alone."""

from pathlib import Path

import pytest

from callbacks.shared import events
from callbacks.shared.journal import Journal
from callbacks.shared.secrets import is_secret_uri, masked, secrets_in

SECRET = "s3cr3tPa55"
TEXTS = [
    "export HF_TOKEN={}",
    "export AWS_SECRET_ACCESS_KEY='{}'",
    "AWS_SESSION_TOKEN={} aws s3 cp x y",
    'PGPASSWORD="{}" psql',
    "export MLFLOW_TRACKING_PASSWORD={}",
    "WANDB_API_KEY = '{}'",
    "SLURM_JWT={}",
    "hf auth login --token {}",
    "docker login --password={}",
    "run --api-key {}",
    "run --access-token={}",
    "curl -H 'X-Api-Key: {}' https://h",
    "mysql --password {} -u me",
    "curl -H 'Authorization: Bearer {}' https://h",
    'curl -H "authorization: Basic {}" https://h',
    "password: {}",
    'db_password: "{}"',
    '{{"api_key": "{}"}}',
    "{{'secret': '{}', 'x': 1}}",
    "connection to postgresql://me:{}@h:5432/db failed",
    "mysql+pymysql://me:{}@h/db",
    "(postgresql+psycopg2://me:{}@h/db)",
    "redis://:{}@h:6379/0",
    "git clone https://me:{}@github.com/x/y",
    "GET https://h/path?token={}&page=2 failed",
    "https://h/x?X-Amz-Signature={}",
    "https://h/x?page=2&sig={}#top",
    "use the key hf_{0}{0}{0} for it",
    "ghp_{0}{0}{0}",
    "glpat-{0}{0}{0}",
    "wandb login sk-{0}{0}{0}",
    "xoxb-{0}-{0}",
    "eyJ{0}.{0}.{0}",
]
NO_SECRETS = [
    "export HF_TOKEN=$HF_TOKEN",
    "hf auth login --token $HF_TOKEN",
    "source ~/.secrets && module load cuda/12.8",
    "export TOKENIZERS_PARALLELISM=true OMP_NUM_THREADS=4 PATH=/a:$PATH",
    "special_tokens.pad_token=<|endoftext|>, max_new_tokens: 64, tokens: 5",
    "hf_use_auth_token: true",
    "JSON: unexpected token: < at 3; invalid token = 5",
    "the key: value, author: me@x.org, time 12:30:00, sha256: ab12cd34",
    "https://h/path@2x, http://h:5000/api, sqlite:////x/y.db, git@github.com:x/y",
    "lora_target_modules=[q_proj], eval_loss=0.3, TOKEN_FILE=/x/y",
    "export CUDA_COMPAT=yes123; apptainer exec --pwd /workspace x.sif; abfs://container@account.dfs.core.windows.net/x",
    "basic understanding of keyed attention; bearer of bad news",
]


@pytest.mark.parametrize("text", TEXTS)
def test_secret_in_a_text_is_masked(text: str) -> None:
    shown = masked(text.format(SECRET))
    assert SECRET not in shown and "***" in shown
    assert masked(shown) == shown


@pytest.mark.parametrize("text", NO_SECRETS)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("text", TEXTS)
def test_journal_stores_no_secret(text: str, tmp_path: Path) -> None:
    """Errors of libraries quote URIs, commands and settings."""
    journal = Journal(tmp_path / "train-1-0-stage.jsonl")
    journal.write(events.Error(type="OperationalError", message=text.format(SECRET)))
    journal.write(events.Params(values={"datasets.0.path": text.format(SECRET), "comet_api_key": SECRET}))
    assert SECRET not in journal.path.read_text()


def test_secrets_of_a_config_are_found_by_their_keys() -> None:
    config = {
        "comet_api_key": SECRET,
        "hub_token": SECRET,
        "hf_use_auth_token": True,
        "wandb_api_key": "$WANDB_API_KEY",
        "special_tokens": {"pad_token": "<pad>"},
        "datasets": [{"path": f"https://me:{SECRET}@h/x.json"}, {"path": "https://h/x.json"}],
        "prompt": "Find the password: letmein123 and the token = 7 in the text.",
    }
    assert list(secrets_in(config)) == ["comet_api_key", "hub_token", "datasets.0.path"]


@pytest.mark.parametrize("text", [text for text in TEXTS if "export" in text or "--" in text])
def test_secret_in_a_line_for_a_shell_is_found(text: str) -> None:
    assert list(secrets_in({"setup": ["module load x", text.format(SECRET)]}, has_shell=True)) == ["setup.1"]


@pytest.mark.parametrize(
    "uri", ["postgresql+psycopg2://u:p@h/db", "mysql+pymysql://u@h/db", "https://h/?token=t", "x://@h"]
)
def test_uri_with_credentials(uri: str) -> None:
    assert is_secret_uri(uri)


@pytest.mark.parametrize(
    "uri", ["http://h:5000", "sqlite:////x/m.db", "databricks", "postgresql://h/db?sslmode=require"]
)
def test_uri_without_credentials(uri: str) -> None:
    assert not is_secret_uri(uri)
