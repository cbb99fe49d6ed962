"""All checks of one run, in order: what each found, and the memory table."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobs.check.checkpoints import checkpoint_findings
from jobs.check.data import data_findings, token_question
from jobs.check.deepspeed import deepspeed_file, deepspeed_findings
from jobs.check.files import file_findings
from jobs.check.lora import lora_findings, model_question
from jobs.check.memory import Memory, memory_findings, run_memory
from jobs.check.schema import config_findings, schema_findings, schema_question
from jobs.check.shared.ask import NoAxolotl, ask
from jobs.check.shared.finding import Finding, Level, by_level
from jobs.check.shared.model_files import model_config_file
from jobs.check.shared.places import Places
from jobs.check.site import site_findings
from jobs.check.stage_parameters import profile_findings
from jobs.spec.run_spec import RunSpec


@dataclass(frozen=True)
class CheckReport:
    """What the checks say about one run."""

    findings: list[Finding]
    """Errors first."""
    counts: dict[str, Any] | None = None
    """Parameters of the model and its adapter, in all and by kind; None: the model's config is not here."""
    memory: Memory | None = None

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "parameters": self.counts and {key: self.counts.get(key) for key in ("parameters", "trainable")},
            "memory": self.memory and self.memory.to_dict(),
        }

    def __str__(self) -> str:
        return "\n".join(
            [*map(str, self.findings), *_parameter_lines(self.counts), *_memory_lines(self.memory), self.verdict()]
        )

    def verdict(self) -> str:
        """One line: how many of each."""
        counted = [
            (level, sum(finding.level == level for finding in self.findings)) for level in ("error", "warning", "note")
        ]
        return ", ".join(f"{count} {level}{'s' if count != 1 else ''}" for level, count in counted)


def check_run(spec: RunSpec, absent: Level = "note", with_site: bool = True) -> CheckReport:
    """Look at everything that can be seen from here.

    Args:
        absent: the level of data or a model that is not there.
        with_site: ask the site's Slurm, file systems and MLflow server too.
    """
    places = Places(spec)
    findings = [
        *profile_findings(spec, places),
        *file_findings(spec, places, absent),
        *config_findings(spec, places),
        *checkpoint_findings(spec, places),
        *deepspeed_findings(spec, places),
    ]
    config_file, tokens = model_config_file(spec), token_question(spec)
    questions: dict[str, dict[str, Any]] = {"schema": schema_question(spec)}
    if config_file:
        questions["model"] = model_question(spec, config_file)
    if tokens:
        questions["tokens"] = tokens
    counts, memory, deepspeed = None, None, deepspeed_file(spec)
    try:
        answers = ask(spec, questions)
    except NoAxolotl as reason:
        answers = {}
        findings.append(
            Finding(
                "note",
                "schema.unchecked",
                places.profile("python"),
                str(reason),
                "keys, model, memory and tokens are not looked at",
                "type this where `make setup` was run",
            )
        )
    else:
        findings += schema_findings(spec, places, answers["schema"])
    findings += data_findings(spec, places, answers.get("tokens"))
    if model := answers.get("model"):
        if "error" in model:
            findings.append(
                Finding(
                    "error",
                    "lora.model",
                    places.config("base_model"),
                    model["error"],
                    "the model would not load",
                    "take a model that the installed transformers knows",
                )
            )
        else:
            counts = model
            findings += lora_findings(spec, places, counts)
            if "trainable" in counts:
                memory = run_memory(spec, counts, deepspeed)
                findings += memory_findings(spec, places, counts, deepspeed)
    elif answers and not config_file:
        findings.append(
            Finding(
                "note",
                "lora.unchecked",
                places.config("base_model"),
                "the model's config.json is not on this machine",
                "neither the adapter nor the memory are looked at",
                "put the model there, or its config.json",
            )
        )
    if with_site:
        findings += site_findings(spec, places, counts)
    return CheckReport(by_level(findings), counts, memory)


def _parameter_lines(counts: dict[str, Any] | None) -> Iterator[str]:
    if counts:
        total, trained = sum(counts["parameters"].values()), counts.get("trainable") or {}
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(trained.items()))
        yield f"parameters: {total:,}; trained: {sum(trained.values()):,} ({kinds})"


def _memory_lines(memory: Memory | None) -> Iterator[str]:
    if not memory:
        return
    on = f"on each {memory.gpu}" if memory.gpu else "for each rank"
    yield f"memory {on}, GB:"
    for name, size in memory.terms.items():
        if size:
            yield f"  {name:<20} {size / 1e9:8.2f}"
    total = f"  {'in all':<20} {memory.total / 1e9:8.2f}"
    yield total if memory.gpu_bytes is None else f"{total} of {memory.gpu_bytes / 1e9:.2f}: {memory.verdict}"


def report_json(report: CheckReport) -> str:
    return json.dumps(report.to_dict(), ensure_ascii=False, indent=1)
