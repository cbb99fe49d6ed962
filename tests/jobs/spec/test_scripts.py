"""A run whose training is a script."""

from pathlib import Path

import pytest

from jobs.spec.errors import ConfigError
from jobs.spec.own_code import copy_own_code
from jobs.spec.paths import REPO_ROOT
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import write_run

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"


def test_script_needs_no_config_and_its_run_no_stage_that_tokenises(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("import helper")
    (tmp_path / "helper.py").write_text("")
    spec = load_run_spec(script, "local", [f"runs_root={tmp_path / 'runs'}"])
    assert (spec.regrow.trainer, spec.stages, spec.added) == (str(script), ("train", "report"), ())
    assert spec.axolotl["output_dir"] == str(spec.paths.checkpoints)
    spec = load_run_spec(TINY, "local", [f"regrow.trainer={script}", f"runs_root={tmp_path / 'runs'}"])
    assert spec.stages == ("prepare", "train", "evaluate", "report")
    write_run(spec)
    copy_own_code(spec)
    assert sorted(path.name for path in spec.paths.code.iterdir()) == ["helper.py", "mine.py"]
    with pytest.raises(ConfigError, match=r"regrow\.trainer: /no/such\.py: no such file"):
        load_run_spec(TINY, "local", ["regrow.trainer=/no/such.py"])
