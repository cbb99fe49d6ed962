"""All checks of one run, in order, with their findings and the memory table."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from jobs.check.checkpoints import checkpoint_findings
from jobs.check.config import config_findings
from jobs.check.data import data_findings
from jobs.check.deepspeed import deepspeed_findings
from jobs.check.experts import expert_findings
from jobs.check.files import file_findings
from jobs.check.lora import lora_findings, model_question
from jobs.check.memory import Memory, is_estimable, memory_findings, run_memory
from jobs.check.schema import schema_findings, schema_question
from jobs.check.shared.ask import NoAxolotl, ask
from jobs.check.shared.deepspeed_file import deepspeed_file
from jobs.check.shared.finding import Finding, Level, Place, by_level
from jobs.check.shared.model_files import model_config_file
from jobs.check.shared.places import Places
from jobs.check.site import site_findings
from jobs.check.stage_parameters import profile_findings
from jobs.check.task import task_findings
from jobs.check.tokens import token_question
from jobs.spec.run_spec import RunSpec


@dataclass(frozen=True)
class CheckReport:
    """The result of all checks of one run."""

    findings: list[Finding]
    """Errors first."""
    counts: dict[str, Any] | None = None
    """Parameters of the model and its adapter by kind, as `model_counts` counts them; None: the model cannot be counted here."""
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
        """One line: the number of findings of each level."""
        counted = [
            (level, sum(finding.level == level for finding in self.findings)) for level in ("error", "warning", "note")
        ]
        return ", ".join(f"{count} {level}{'s' if count != 1 else ''}" for level, count in counted)


def check_run(spec: RunSpec, absent: Level = "note", with_site: bool = True) -> CheckReport:
    """Run every check that this machine can make, for each of the run's trainings. Parameters and memory are the last one's.

    Args:
        absent: the level of data or a model that is not on this machine.
        with_site: also ask the site's Slurm, file systems and MLflow server.
    """
    *earlier, last = spec.trainings
    report = _of_training(last, absent, with_site)
    findings = list(report.findings)
    for training in earlier:
        found = _of_training(training, absent, with_site=False).findings
        findings += [replace(each, place=_in(training, each.place)) for each in found if each not in report.findings]
    return replace(report, findings=by_level(findings))


def _in(training: RunSpec, place: Place) -> Place:
    return place._replace(key=f"{place.key} (training {training.training})")


def _of_training(spec: RunSpec, absent: Level, with_site: bool) -> CheckReport:
    places, deepspeed = Places(spec), deepspeed_file(spec)
    answers, findings = _of_script(spec, places) if spec.regrow.trainer else _answers(spec, places)
    findings = [
        *profile_findings(spec, places),
        *file_findings(spec, places, absent),
        *config_findings(spec, places),
        *checkpoint_findings(spec, places),
        *task_findings(spec, places),
        *deepspeed_findings(spec, places),
        *findings,
        *data_findings(spec, places, answers.get("tokens")),
    ]
    counts, memory = None, None
    if model := answers.get("model"):
        findings += [*lora_findings(spec, places, model), *expert_findings(spec, places, model)]
        counts = None if "error" in model else model
    if counts and "trainable" in counts:
        memory = run_memory(spec, counts, deepspeed) if is_estimable(spec) else None
        findings += memory_findings(spec, places, counts, deepspeed)
    if with_site:
        findings += site_findings(spec, places, counts)
    return CheckReport(by_level(findings), counts, memory)


def _of_script(spec: RunSpec, places: Places) -> tuple[dict[str, dict[str, Any]], list[Finding]]:
    """No answers about a training that a script sets up, and a finding that says so."""
    unseen = Finding.note(
        "trainer.own",
        places.config("regrow", "trainer"),
        found="a script trains, not Axolotl",
        cost="its model, records, memory and precision are not checked",
        fix="try the script by hand first, for a few steps",
    )
    return {}, [unseen]


def _answers(spec: RunSpec, places: Places) -> tuple[dict[str, dict[str, Any]], list[Finding]]:
    """What the node's Python says about schema, model and tokens; and the findings about schema and about missing answers."""
    questions = {"schema": schema_question(spec)}
    if config_file := model_config_file(spec):
        questions["model"] = model_question(spec, config_file)
    if tokens := token_question(spec):
        questions["tokens"] = tokens
    try:
        answers = ask(spec, questions)
    except NoAxolotl as reason:
        return {}, [
            Finding.note(
                "schema.unchecked",
                places.profile("python"),
                found=str(reason),
                cost="keys, model, memory and tokens are not checked",
                fix="run the check where `make setup` was run, or set `python:` in the profile",
            )
        ]
    findings = list(schema_findings(spec, places, answers["schema"]))
    if not config_file:
        findings.append(
            Finding.note(
                "lora.unchecked",
                places.config("base_model"),
                found="the model's config.json is not on this machine",
                cost="the adapter and the memory are not checked",
                fix="download the model, or its config.json alone",
            )
        )
    return answers, findings


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
