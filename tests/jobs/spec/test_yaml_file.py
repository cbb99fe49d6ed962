"""What YAML would read as something else is refused with what it would have read; a file that is no YAML is named."""

from pathlib import Path

import pytest

from jobs.spec.errors import ConfigError
from jobs.spec.yaml_file import load_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a: 1\nlearning_rate: 1\nlearning_rate: 2",
            "line 3: `learning_rate` stands twice, in lines 2 and 3\nhint: keep one",
        ),
        ("train: {timeout_min: 1}\nb: 2\ntrain: {}", "line 3: `train` stands twice, in lines 1 and 3"),
        ("x: {y: [{z: 1, z: 2}]}", "line 1: `z` stands twice"),
        ("train: {timeout_min: 24:00:00}", "YAML reads 24:00:00 as 86,400, a number to the base of 60"),
        ("t: 1:30", "YAML reads 1:30 as 90"),
        ("mlflow_run_name: 2026-11-26", 'YAML reads 2026-11-26 as a date\nhint: write "2026-11-26"'),
        ("hub_model_id: &a [*a]", "an alias stands inside its own anchor"),
        ("- a", "expected keys and values, found list"),
        ("", "expected keys and values, found NoneType"),
        ("5: a", "the key 5 is not text"),
        ("a: [", "is not YAML"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
    ],
)
def test_surprises_are_refused_with_what_was_read(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(tmp_path / "x.yml")
    assert said in str(caught.value)
    assert "x.yml" in str(caught.value)


@pytest.mark.parametrize("encoding", ["shift-jis", "utf-16"])
def test_another_encoding_is_named(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes("name: 日本".encode(encoding))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_yaml(tmp_path / "x.yml")


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load_yaml(tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        load_yaml(tmp_path / "x.yml")


def test_what_is_no_surprise_is_read(tmp_path: Path) -> None:
    text = 'a: &x {lr: 1, no: 2}\nb: {<<: *x, lr: 3}\nc: "24:00:00"\nd: "2026-11-26"\ne: no\nf: sqlite:///x:1'
    (tmp_path / "x.yml").write_text("\ufeff" + text, encoding="utf-8")
    found = load_yaml(tmp_path / "x.yml")
    assert found["b"] == {"lr": 3, False: 2}
    assert (found["c"], found["d"], found["e"], found["f"]) == ("24:00:00", "2026-11-26", False, "sqlite:///x:1")
