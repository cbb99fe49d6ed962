"""Keys of the config that the Axolotl on the node does not know: it would drop them without a word."""

import difflib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from callbacks.manifest import write_atomically
from jobs.check.axolotl_keys import EXIT_PLUGIN
from jobs.check.finding import Finding
from jobs.launch import child_environment, python_of
from jobs.paths import REPO_ROOT
from jobs.spec import PLUGIN, RunSpec

AXOLOTL_VERSION = "import importlib.metadata as m; print(m.version('axolotl'))"


def schema_findings(spec: RunSpec) -> list[Finding]:
    """Unknown keys at every level, each with the nearest valid one; a plugin that cannot be imported."""
    python = python_of(spec, sys.executable)
    version = _run([python, "-c", AXOLOTL_VERSION])
    if version.returncode:
        found = f"{python} has no Axolotl here"
        return [
            Finding("note", "schema.unchecked", spec.config, found, "the keys are checked where `make setup` was run")
        ]
    plugins = [plugin for plugin in spec.axolotl.get("plugins") or [] if plugin != PLUGIN]
    cache = _cache_file(python, version.stdout.strip(), plugins)
    if not cache.exists():
        listed = _run([python, "-m", "jobs.check.axolotl_keys", *plugins])
        if listed.returncode == EXIT_PLUGIN:
            last_line = listed.stderr.strip().splitlines()[-1]
            fix = "write the dotted path of a class that can be imported from the repo root"
            return [Finding("error", "schema.plugin", f"{spec.config}: plugins", last_line, fix)]
        listed.check_returncode()
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, listed.stdout.strip().splitlines()[-1])
    return list(_unknown(spec.axolotl, json.loads(cache.read_bytes()), spec.config, ()))


def _unknown(
    content: Mapping[str, Any], known: Mapping[str, Any], config: str, above: tuple[str, ...]
) -> Iterator[Finding]:
    for key, value in content.items():
        path = (*above, str(key))
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            fix = f"did you mean `{close[0]}`?" if close else "remove it, or look it up in Axolotl's config reference"
            found = "Axolotl does not know this key and would drop it without a word"
            yield Finding("error", "schema.unknown-key", f"{config}: {'.'.join(path)}", found, fix)
        elif known[key] is not None:
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(item, Mapping):
                    below = (*path, str(index)) if isinstance(value, list) else path
                    yield from _unknown(item, known[key], config, below)


def _cache_file(python: str, version: str, plugins: list[str]) -> Path:
    """One file per Axolotl, Python and set of plugins; a new version of this file's sibling makes new ones too."""
    source = (Path(__file__).parent / "axolotl_keys.py").read_text(encoding="utf-8")
    digest = hashlib.sha256(json.dumps([python, version, plugins, source]).encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "regrow" / f"axolotl-{version}-{digest}.json"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = child_environment({"AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"})
    return subprocess.run(command, capture_output=True, text=True, cwd=REPO_ROOT, env=environment, check=False)
