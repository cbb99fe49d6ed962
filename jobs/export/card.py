"""The card of an exported model: what it is, how it was made, on what, and how good it is. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from callbacks.shared import events
from callbacks.shared.events import newest, only
from callbacks.shared.journal import Entry
from jobs.evaluation.markdown import interval_text, markdown_table
from jobs.evaluation.results import ModelResult
from jobs.evaluation.scores import metric_values
from jobs.history.progress import finished_step
from jobs.spec.run_spec import RunSpec, texts

VERSIONS = "version."
PLACES = ("output_dir", "dataset_prepared_path", "auto_resume_from_checkpoints", "plugins")
"""Keys of the resolved config that say nothing about the model."""


def model_card(
    spec: RunSpec, entries: Sequence[Entry], results: Sequence[ModelResult], merged: dict[str, Any] | None
) -> str:
    """The card as Markdown, with the front matter that the Hugging Face hub reads.

    Args:
        merged: what `merge` has compared; None: the adapter is exported as it was trained.
    """
    base = str(spec.axolotl.get("base_model") or "")
    adapter = spec.axolotl.get("adapter") if not merged else None
    front = {"base_model": base, "library_name": "peft" if adapter else "transformers", "tags": ["regrow"]}
    lines = ["---", yaml.safe_dump(front, allow_unicode=True).strip(), "---", "", f"# {spec.name}", ""]
    lines += [_what(base, adapter, finished_step(list(entries))), *_merge_lines(merged)]
    lines += [*_records(entries), *_scores(results), *_versions(entries), *_config(spec)]
    return "\n".join(lines) + "\n"


def _what(base: str, adapter: str | None, step: int | None) -> str:
    kind = f"An adapter ({adapter}) for" if adapter else "Trained from"
    return f"{kind} `{base}`, {step:,} optimizer steps." if step else f"{kind} `{base}`."


def _merge_lines(merged: dict[str, Any] | None) -> Iterator[str]:
    if merged:
        yield ""
        yield (
            f"The adapter is merged: {merged['changed']} of {merged['tensors']} tensors changed, as many as it trains. "
            f"On {merged['prompts']} prompts, the logits differ from those of base and adapter by "
            f"{merged['difference']:.2%} of what the adapter changes."
        )


def _records(entries: Sequence[Entry]) -> Iterator[str]:
    newest_of_role = {entry.role: entry for entry in only(entries, events.Dataset)}
    if newest_of_role:
        rows = [[role, f"{each.records:,}", f"`{each.sha256}`"] for role, each in newest_of_role.items()]
        yield "\n## Records\n"
        yield from markdown_table(["for", "records", "sha256 of the file"], rows)


def _scores(results: Sequence[ModelResult]) -> Iterator[str]:
    for result in results:
        rows = [[name, interval_text(value)] for name, value in metric_values(result.scores).items()]
        yield f"\n## Scores on {result.scores['records']:,} records ({result.model.name})\n"
        yield from markdown_table(["metric", "value, with its 95 % interval"], rows)


def _versions(entries: Sequence[Entry]) -> Iterator[str]:
    environment = newest(entries, events.Environment)
    if environment:
        versions = {key.removeprefix(VERSIONS): value for key, value in environment.values.items() if VERSIONS in key}
        yield "\n## Made with\n"
        yield ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _config(spec: RunSpec) -> Iterator[str]:
    shown = {key: value for key, value in spec.axolotl.items() if key not in PLACES}
    if others := [each for each in texts(spec.axolotl.get("plugins")) if not each.startswith("callbacks.")]:
        shown["plugins"] = others
    yield "\n## Config\n\n```yaml"
    yield yaml.safe_dump(shown, allow_unicode=True, sort_keys=False).strip()
    yield "```"
