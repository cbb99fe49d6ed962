"""A secret in a config or a profile is refused before anything is stored, and the message does not repeat it."""

import pytest
from many_runs import TINY

from jobs.spec.errors import ConfigError
from jobs.spec.resolve import load_run_spec

SECRET = "s3cr3tPa55"
SETTINGS = {
    f"tracking_uri=postgresql+psycopg2://me:{SECRET}@h/db": "tracking_uri",
    f"tracking_uri=https://h/?token={SECRET}": "tracking_uri",
    f"setup=['export HF_TOKEN={SECRET}']": "setup.0",
    f"train.setup=['x', 'hf auth login --token {SECRET}']": "train.setup.1",
    f"train.slurm_additional_parameters={{export: 'ALL,HF_TOKEN={SECRET}'}}": "train.slurm_additional_parameters.export",
    f"comet_api_key={SECRET}": "comet_api_key",
    f"hub_token={SECRET}": "hub_token",
    f"datasets.0.path=https://me:{SECRET}@h/x.json": "datasets.0.path",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_secret_is_refused_with_the_right_way(setting: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_run_spec(TINY, "dev", [setting], "one")
    said = str(raised.value)
    assert said.startswith(f"{SETTINGS[setting]}: ") and "hint: " in said and SECRET not in said


def test_reference_to_a_variable_is_none() -> None:
    settings = ["setup=['export HF_TOKEN=$(cat ~/.token)', 'source ~/.secrets']", "hf_use_auth_token=true"]
    assert load_run_spec(TINY, "dev", settings, "one").profile.setup[1] == "source ~/.secrets"
