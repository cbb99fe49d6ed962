"""Config, profile and `--set` are resolved once."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.cli.screen.dry_run import job_texts
from jobs.slurm.sbatch import sbatch_text
from jobs.spec.errors import ConfigError
from jobs.spec.find import name_to_type
from jobs.spec.paths import REPO_ROOT
from jobs.spec.profile import load_profile
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec, write_run
from jobs.spec.settings import apply_setting, parse_setting

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
QWEN = REPO_ROOT / "axolotl_configs" / "qwen_finetune.yml"


def test_validation_records_of_ones_own_stay_beside_merged_sources(tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_text("{}")
    (tmp_path / "s.jsonl").write_text("{}")
    settings = [f"regrow.prepare.sources=[{{path: {tmp_path}/s.jsonl}}]", "regrow.prepare.validation=[]",
                f"test_datasets.0.path={tmp_path}/v.jsonl", f"runs_root={tmp_path}"]  # fmt: skip
    spec = load_run_spec(TINY, "local", settings)
    assert spec.prepared_paths
    assert spec.axolotl["datasets"][0]["path"] == str(spec.prepared_paths.train)
    assert spec.axolotl["test_datasets"][0]["path"] == f"{tmp_path}/v.jsonl"


def test_validation_without_sources_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"regrow\.prepare\.validation: there are no regrow\.prepare\.sources"):
        load_run_spec(TINY, "local", ["regrow.prepare.sources=[]"])


def test_data_sets_that_are_null_are_left_out_since_axolotl_fails_on_them() -> None:
    spec = load_run_spec(TINY, "local", ["datasets=null", "test_datasets=null", "bf16=null", "regrow.prepare={}"])
    assert {"datasets", "test_datasets"}.isdisjoint(spec.axolotl)
    assert spec.axolotl["bf16"] is None  # another key: without it, Axolotl has a default that is not null


def test_ranks_and_jobs_know_the_same_paths_of_a_run() -> None:
    spec = load_run_spec(TINY, "local")
    assert (spec.regrow.code, spec.regrow.validation_samples) == (spec.paths.code, spec.paths.validation_samples)


def test_a_config_without_regrow_gets_the_plugin_and_a_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config: dict[str, Any] = {
        "base_model": "owner/model",
        "datasets": [{"path": "mine.jsonl", "type": "chat_template"}],
    }
    liger = "axolotl.integrations.liger.LigerPlugin"
    (tmp_path / "mine.yml").write_text(yaml.safe_dump(config | {"plugins": [liger]}))
    (tmp_path / "mine.jsonl").write_text("{}")
    monkeypatch.chdir(tmp_path)
    spec = load_run_spec(Path("mine.yml"), "local")
    assert spec.axolotl["plugins"] == [liger, "callbacks.plugin.RegrowPlugin"]
    assert spec.axolotl["seed"] == 42
    assert set(spec.added) == {"plugins", "seed"}
    assert spec.axolotl["datasets"][0]["path"] == str(tmp_path / "mine.jsonl")  # relative to where one types
    (tmp_path / "mine.yml").write_text(yaml.safe_dump(config | {"plugins": list(spec.axolotl["plugins"]), "seed": 7}))
    again = load_run_spec(Path("mine.yml"), "local")
    assert (again.axolotl["plugins"], again.axolotl["seed"], again.added) == (spec.axolotl["plugins"], 7, ())


@pytest.mark.parametrize(
    ("key", "value"),
    [("path", "data.jsonl"), ("data_files", "data.jsonl"), ("data_files", ["data.jsonl", "owner/name"])],
)
def test_files_of_a_data_set_are_found_where_one_types(
    key: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yml").write_text(yaml.safe_dump({"pretraining_dataset": [{"path": "json"} | {key: value}]}))
    (tmp_path / "data.jsonl").write_text("{}")
    (tmp_path / "json").mkdir()  # `path: json` names a format all the same
    monkeypatch.chdir(tmp_path)
    found = load_run_spec(Path("mine.yml"), "local").axolotl["pretraining_dataset"][0]
    here = str(tmp_path / "data.jsonl")
    assert found[key] == ([here, "owner/name"] if isinstance(value, list) else here)
    assert found["path"] == ("json" if key != "path" else here)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("a=1", 1),
        ("a=1e-4", 1e-4),
        ("a=-2.5E3", -2500.0),
        ("a=true", True),
        ("a=[x, y]", ["x", "y"]),
        ("a=", None),
        ("a=b=c", "b=c"),
    ],
)
def test_setting_is_read_as_yaml_and_numbers_as_numbers(setting: str, value: Any) -> None:
    assert parse_setting(setting) == (["a"], value)


def test_setting_reaches_into_mappings_and_lists() -> None:
    content: dict[str, Any] = {"datasets": [{"path": "x"}]}
    apply_setting(content, ["datasets", "0", "path"], "y")
    apply_setting(content, ["new", "key"], 1)
    assert content == {"datasets": [{"path": "y"}], "new": {"key": 1}}
    with pytest.raises(ConfigError, match="there is no '7' in datasets"):
        apply_setting(content, ["datasets", "7", "path"], "y")


def test_settings_go_to_the_profile_or_to_the_config() -> None:
    spec = load_run_spec(QWEN, "a100", ["train.gpus_per_node=1", "max_steps=50", "regrow.mlflow.experiment=trial"])
    assert spec.world_size == 1
    assert spec.axolotl["max_steps"] == 50
    assert spec.regrow.mlflow.experiment == "trial"


def test_what_the_shell_says_for_sbatch_is_in_every_job_unless_the_profile_says_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ACCOUNT", "QOS", "RESERVATION"):
        monkeypatch.setenv(f"SBATCH_{name}", f"my-{name.lower()}")
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")
    spec = load_run_spec(
        QWEN, "a100", ["train.slurm_qos=long", "train.slurm_additional_parameters={reservation: deep}"]
    )
    prepare, train = (sbatch_text(spec, stage, "python") for stage in ("prepare", "train"))
    for line in ("--account=my-account", "--qos=my-qos", "--reservation=my-reservation"):
        assert f"#SBATCH {line}\n" in prepare
    for line in ("--account=my-account", "--qos=long", "--reservation=deep"):
        assert f"#SBATCH {line}\n" in train
    assert "NONE" not in train
    assert load_run_spec(TINY, "local").profile.train == load_profile("local").train


def test_cluster_of_the_shell_counts_unless_the_profile_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CLUSTERS", "b")
    spec = load_run_spec(QWEN, "a100")
    assert spec.profile.slurm_clusters == "b"
    assert "cluster:    b (SLURM_CLUSTERS for sbatch)" in job_texts(spec)
    assert "\nunset SLURM_CLUSTERS\n" in sbatch_text(spec, "train", "python")
    assert load_run_spec(QWEN, "a100", ["slurm_clusters=c"]).profile.slurm_clusters == "c"
    assert load_run_spec(TINY, "dev").profile.slurm_clusters is None  # its slurm_conf names one
    monkeypatch.setenv("SLURM_CLUSTERS", "b,c")
    with pytest.raises(ConfigError, match="a run has one cluster"):
        load_run_spec(QWEN, "a100")


def test_signal_is_that_of_the_shield_whatever_the_shell_says() -> None:
    code = "from pathlib import Path; from jobs.slurm.sbatch import *; from jobs.spec.resolve import *; "
    code += f"print(sbatch_text(load_run_spec(Path({str(QWEN)!r}), 'a100'), 'train', 'python'))"
    environment = {**os.environ, "SUBMITIT_PREEMPT_SIGNAL": "USR1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "#SBATCH --signal=USR2@300\n" in done.stdout


def test_spec_survives_its_json(tmp_path: Path) -> None:
    spec = load_run_spec(TINY, "local", [f"runs_root={tmp_path}"], "one")
    write_run(spec)
    assert RunSpec.load(spec.paths.run_dir) == spec
    assert spec.paths.run_dir.stat().st_mode & 0o777 == 0o700


def test_resolved_config_is_absolute_and_never_resumes_by_itself(tmp_path: Path) -> None:
    spec = load_run_spec(TINY, "local", [f"runs_root={tmp_path}"], "one")
    write_run(spec)
    resolved = yaml.safe_load(spec.paths.axolotl_yml.read_text(encoding="utf-8"))
    assert resolved["output_dir"] == str(tmp_path / "one" / "checkpoints")
    assert resolved["base_model"] == str(REPO_ROOT / "data" / "demo" / "seed1" / "model")
    assert resolved["auto_resume_from_checkpoints"] is False
    assert resolved["regrow"]["run_dir"] == str(tmp_path / "one")


def test_prepared_folder_follows_the_content_and_what_tokens_depend_on(tmp_path: Path) -> None:
    (tmp_path / "records.json").write_text("[1]", encoding="utf-8")

    def folder(*settings: str) -> str | None:
        sources = f"regrow.prepare.sources=[{{path: {tmp_path}/records.json}}]"
        return load_run_spec(TINY, "local", [sources, "regrow.prepare.validation=[]", *settings]).prepared

    first = folder()
    assert folder("learning_rate=1e-5") == first
    assert folder("sequence_len=99") != first
    assert folder("seed=7") != first
    (tmp_path / "records.json").write_text("[2]", encoding="utf-8")
    assert folder() != first


def test_relative_paths_of_a_profile_count_from_the_repo_root() -> None:
    spec = load_run_spec(TINY, "local")
    assert spec.profile.runs_root == str(REPO_ROOT / "runs")
    assert spec.profile.tracking_uri == f"sqlite:///{REPO_ROOT}/runs/mlflow.db"


@pytest.mark.parametrize("profile", sorted((REPO_ROOT / "slurm").glob("*.yml")), ids=lambda path: path.stem)
def test_shipped_profile_loads_with_parameters_that_submitit_knows(profile: Path) -> None:
    from jobs.slurm.sbatch import unknown_parameters

    assert list(unknown_parameters(load_run_spec(QWEN, profile.stem))) == []


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:secret@mlflow:5000",
        "https://token@mlflow",
        "postgresql+psycopg2://user:pw@h/db",
        "mysql+pymysql://user:pw@h:3306/db?charset=utf8",
        "http://mlflow:5000/?token=abc",
        "http://me:secret@[::1",
    ],
)
def test_credentials_in_a_tracking_uri_are_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_USERNAME") as error:
        load_run_spec(TINY, "local", [f"tracking_uri={uri}"])
    assert uri not in str(error.value)


def test_path_that_sbatch_would_change_is_refused() -> None:
    with pytest.raises(ConfigError, match="a folder without `%`"):
        load_run_spec(TINY, "dev", ["runs_root=/x/50%j done", "slurm_conf=null"])


def test_command_in_a_hint_can_be_pasted(tmp_path: Path) -> None:
    spec = load_run_spec(TINY, "local", [f"runs_root={tmp_path}/my runs"], "one")
    assert name_to_type(spec) == f"'{tmp_path}/my runs/one'"


def test_name_that_no_file_system_takes_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most 128"):
        load_run_spec(TINY, "local", [], "a" * 300)


@pytest.mark.parametrize("uri", ["http://mlflow:5000", "https://h/mlflow?workspace=a", "databricks", "file:///a@b/c"])
def test_tracking_uri_without_credentials_is_taken_as_it_is(uri: str) -> None:
    assert load_run_spec(TINY, "local", [f"tracking_uri={uri}"]).profile.tracking_uri == uri
