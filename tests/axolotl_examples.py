"""`python -m axolotl_examples [--examples FOLDER] [--write PAGE]`: checks every example config of Axolotl, and lets Axolotl
validate it too. Without a folder, the examples of the installed version are taken from its source package on PyPI."""

import argparse
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from world import REPO_ROOT, commit

from jobs.check import report
from jobs.check.shared import ask
from jobs.check.shared.finding import Finding, Place
from jobs.check.shared.probe import answer
from jobs.spec.errors import ConfigError
from jobs.spec.resolve import load_run_spec

A100 = {"bf16": True, "fp8": False, "tf32": True, "n_gpu": 4, "n_node": 1, "compute_capability": "sm_80"}
OURS = {
    "checkpoints.model-only": "a stopped run could not resume",
    "checkpoints.not-resumable": "a stopped run could not resume",
    "files.deepspeed-absent": "the file is of Axolotl's own checkout",
    "schema.unknown-key": "a misspelt key, which Axolotl ignores",
    "schema.misplaced-key": "a key in the wrong place, which Axolotl ignores",
    "schema.plugin": "a plugin whose package is not installed: Axolotl logs it, and trains without the plugin",
}
"""Errors that Axolotl itself does not make, and why they are errors."""


@dataclass(frozen=True)
class Example:
    """One example config: what the check finds, and what Axolotl says."""

    name: str
    errors: tuple[Finding, ...]
    others: tuple[str, ...]
    """The codes of warnings and notes."""
    refusal: str
    """Axolotl's error; empty: it accepts the config."""

    @property
    def is_without_cause(self) -> bool:
        """Whether the check makes an error that neither Axolotl makes nor a rule of ours explains."""
        return not self.refusal and any(_reason(each) is None for each in self.errors)


def examples(folder: Path, cluster: str = "a100") -> Iterator[Example]:
    """Each config below a folder, checked. Everything runs in this process, so that Axolotl is imported only once."""
    ask._probe = lambda python, questions: {name: answer(name, question) for name, question in questions.items()}
    with TemporaryDirectory() as runs_root:
        for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            findings = checked(path, cluster, runs_root)
            errors = tuple(each for each in findings if each.level == "error")
            others = tuple(each.code for each in findings if each.level != "error")
            yield Example(str(path.relative_to(folder)), errors, others, axolotls_refusal(path))


def checked(path: Path, cluster: str, runs_root: str) -> Sequence[Finding]:
    try:
        spec = load_run_spec(path, cluster, [f"runs_root={runs_root}"])
        return report.check_run(spec, with_site=False).findings
    except ConfigError as error:
        return [Finding.error("config", Place(str(path)), found=str(error), cost="", fix="")]


def axolotls_refusal(path: Path) -> str:
    """What Axolotl itself says against a config on a node with 4 A100; empty: nothing."""
    from axolotl.cli.config import prepare_plugins
    from axolotl.integrations.base import PluginManager
    from axolotl.utils.config import validate_config
    from axolotl.utils.dict import DictDefault

    config = DictDefault(yaml.safe_load(path.read_text(encoding="utf-8")) | {"output_dir": "."})
    PluginManager._instance = None
    try:
        prepare_plugins(config)
        validate_config(
            config, capabilities=dict(A100), env_capabilities={"torch_version": version("torch").split("+")[0]}
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def page(found: Sequence[Example]) -> str:
    """The table of findings by code, and each config with an error, as Markdown."""
    codes: dict[str, Counter[str]] = defaultdict(Counter)
    for example in found:
        for code in {each.code for each in example.errors}:
            codes[code]["errors"] += 1
            codes[code]["refused"] += bool(example.refusal)
        for code in set(example.others):
            codes[code]["others"] += 1
    refused, wrong = sum(bool(each.refusal) for each in found), sum(each.is_without_cause for each in found)
    reasons = {
        f"- `{each.code}`: {_reason(each)}." for example in found if not example.refusal for each in example.errors
    }
    lines = [
        "# Axolotl's own examples\n",
        "`make check-examples ARGS='--write docs/axolotl-examples.md'` made this page. It checks every config",
        "below `examples/` of Axolotl's source package, for 4×A100, and lets Axolotl validate the same config.",
        "Models and data are not downloaded.\n",
        f"axolotl {version('axolotl')}, commit {commit()}: {len(found)} configs. Axolotl refuses {refused}. The check finds",
        f"errors in {sum(bool(each.errors) for each in found)}; {wrong} of these are without cause.\n",
        "| code | configs with an error | of these, Axolotl refuses too | configs with a warning or a note |",
        "|---|---:|---:|---:|",
        *(f"| `{code}` | {n['errors'] or '–'} | {n['refused'] if n['errors'] else '–'} | {n['others'] or '–'} |"
          for code, n in sorted(codes.items())),
        "\nErrors where Axolotl accepts the config:\n",
        *sorted(reasons),
        "\n## Configs with an error\n",
        "| config | the check | Axolotl |",
        "|---|---|---|",
        *(f"| {each.name} | {_shown(each.errors)} | {_cell(each.refusal) or 'accepts it'} |"
          for each in found if each.errors or each.refusal),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _reason(error: Finding) -> str | None:
    """Why an error is right although Axolotl accepts the config; None: it is not."""
    if "no prompt strategy" in error.found:
        return "Axolotl looks for a data set's strategy only when it prepares the data, and ends there"
    return OURS.get(error.code)


def _shown(errors: Sequence[Finding]) -> str:
    return "<br>".join(f"`{each.code}` {each.place.key}: {_cell(each.found)}" for each in errors)


def _cell(text: str) -> str:
    one_line = " ".join(text.replace(f"{REPO_ROOT}/", "").split())
    shown = one_line if len(one_line) <= 160 else f"{one_line[:160]}…"
    return shown.replace("|", "&#124;").replace("<", "&lt;").replace("`", "'")


def downloaded(folder: Path) -> Path:
    """The examples of the installed Axolotl, from its source package."""
    wanted = f"axolotl=={version('axolotl')}"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            "axolotl",
            "--dest",
            folder,
            wanted,
        ],
        check=True,
    )
    with tarfile.open(next(folder.glob("axolotl-*.tar.gz"))) as package:
        package.extractall(folder, filter="data")
    return next(folder.glob("axolotl-*/examples"))


def main(arguments: Sequence[str]) -> int:
    """Print the page; 1 if an error is without cause."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=Path, help="folder of configs; default: those of the installed Axolotl")
    parser.add_argument("--write", type=Path, help="also write the page to this file")
    typed = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        found = list(examples(typed.examples or downloaded(Path(folder))))
    text = page(found)
    if typed.write:
        typed.write.write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(example.is_without_cause for example in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
