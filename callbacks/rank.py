"""Runs a process of a job: `python -m callbacks.rank train|preprocess CONFIG [CHECKPOINT]`, or `script FILE`.

`train` and `preprocess` run Axolotl, `script` a user's own trainer, which has called `attach`. If a plugin cannot be imported,
Axolotl only logs it and trains without it. So this module imports the plugins first, and fails if it cannot.
"""

import importlib
import os
import runpy
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from callbacks.shared import events
from callbacks.shared.journal import JOURNAL_ENV, Journal
from callbacks.shared.process.file_locks import lock_on_this_node_where_there_are_no_locks
from callbacks.shared.process.interpreter import run_to_the_end, uncollected
from callbacks.shared.process.own_shield import shield_only_this_process

CONFIG_ERRORS = (ValueError, TypeError, KeyError, AttributeError, ImportError, NotImplementedError, AssertionError)
"""The errors that a wrong config raises; pydantic's ValidationError is a ValueError."""
EXIT_CONFIG = 2


def import_plugins(config: Path) -> None:
    """Import every plugin of the config.

    Raises:
        ImportError: a plugin cannot be imported.
    """
    for dotted in yaml.safe_load(config.read_text(encoding="utf-8")).get("plugins") or []:
        module, _, name = dotted.rpartition(".")
        try:
            getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ImportError(
                f"plugins: {dotted} cannot be imported: {error}\n"
                "hint: write a dotted path that can be imported from the repo root, e.g. callbacks.plugin.RegrowPlugin"
            ) from error


def check_tokens(config: Mapping[str, Any]) -> None:
    """Check the tokens and labels of every record, and write the result into the journal.

    Raises:
        ValueError: some records do not teach their answer.
    """
    from axolotl.utils.datasets import get_default_process_count

    from callbacks.shared.tokens.token_report import token_fault, token_report, unseen_reason

    datasets, stem = config.get("datasets") or [], os.environ.get(JOURNAL_ENV)
    if unseen_reason(config) or not (datasets and stem):
        return
    processes = int(config.get("dataset_num_proc") or get_default_process_count())
    try:
        report = token_report(config, datasets, processes=processes)
    except Exception:  # Axolotl itself has read and tokenised these records: this look is only an addition
        traceback.print_exc()
        print("the tokens are not checked: Axolotl can tokenise these records, and regrow cannot", flush=True)
        return
    Journal.of_writer(stem, "tokens").write(events.TokensChecked(**report))
    if fault := token_fault(report):
        raise ValueError(f"{', '.join(str(dataset['path']) for dataset in datasets)}: {fault}")


def run_axolotl(verb: str, config: str, checkpoint: str | None) -> None:
    """Run Axolotl's own command in this process."""
    with uncollected():
        import_plugins(Path(config))
    if verb == "preprocess":
        sys.argv[1:] = ["--no-download"]  # a CPU node: the weights are not needed there
        from axolotl.cli.preprocess import do_cli as preprocess

        preprocess(config)
        check_tokens(yaml.safe_load(Path(config).read_text(encoding="utf-8")))
        return
    sys.argv[1:] = []  # Axolotl parses the command line again
    from axolotl.cli.train import do_cli as train

    train(config, **({"resume_from_checkpoint": checkpoint} if checkpoint else {}))


def run_script(file: str) -> None:
    """Run a user's script as Python would: as `__main__`, with its folder first among those of modules."""
    sys.argv[:] = [file]
    sys.path.insert(0, str(Path(file).parent))
    runpy.run_path(file, run_name="__main__")


def main() -> None:
    shield_only_this_process()
    lock_on_this_node_where_there_are_no_locks()
    os.environ.setdefault(
        "AXOLOTL_DO_NOT_TRACK", "1"
    )  # its telemetry is opt-out, and retries for long without a network
    verb, file, *rest = sys.argv[1:]
    try:
        if verb == "script":
            run_script(file)
        else:
            run_axolotl(verb, file, rest[0] if rest else None)
    except Exception as error:
        if stem := os.environ.get(JOURNAL_ENV):
            rank = os.environ.get("RANK", "0")
            said = events.Error(rank=int(rank), type=type(error).__name__, message=str(error))
            Journal.of_writer(stem, f"error{rank}").write(said)
        traceback.print_exc()
        raise SystemExit(EXIT_CONFIG if isinstance(error, CONFIG_ERRORS) else 1) from None


if __name__ == "__main__":
    run_to_the_end(main)
