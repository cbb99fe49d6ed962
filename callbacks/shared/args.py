"""The `regrow:` section of an Axolotl config, as pydantic classes. Light, because the jobs use the same classes."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, field_validator


class Section(BaseModel):
    """A part of the `regrow:` section: immutable; an unknown key is an error, and so is a number that is none (NaN, infinity)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SourceSection(Section):
    """One file of records for the curriculum."""

    path: str
    """JSON array or JSON lines, plain or gzip; relative paths count from the repo root."""
    repeat: PositiveInt = 1
    """How many times the whole source is written."""
    take: PositiveInt | None = None
    """Use only the first `take` records; it is an error if the file has fewer. Default: all."""


class Prepare(Section):
    """The sources of the training and the validation file."""

    sources: tuple[SourceSection, ...] = ()
    """Training records, concatenated in this order; the trainer shuffles them. Empty: `datasets` are used as they are."""
    validation: tuple[SourceSection, ...] = ()
    """Validation records. Empty: `test_datasets` are used as they are."""


class ExtractionTask(Section):
    """An answer is a JSON object with one list of flat objects."""

    kind: Literal["extraction"] = "extraction"
    list_field: str = "offenders"
    """Key of the list; an empty list means that there is no offender."""
    name_field: str = "name"
    """The field that identifies an entry of the list."""
    fields: tuple[str, ...] = ("name", "age", "occupation", "offence")
    """The fields of an entry that are compared."""
    keywords: tuple[str, ...] = ()
    """Words of the trivial rule that a model has to beat: if any of them is in the input, there is an offender.
    The rule's presence F1 is reported beside the model's. Empty: no rule."""


class TextTask(Section):
    """An answer is free text."""

    kind: Literal["text"] = "text"


class LabelTask(Section):
    """An answer is one of several labels."""

    kind: Literal["label"] = "label"
    labels: tuple[str, ...] = ()
    """All labels; an expected answer that is none of them is an error. Empty: the labels of the expected answers."""


class JsonTask(Section):
    """An answer is a JSON value."""

    kind: Literal["json"] = "json"
    json_schema: dict[str, Any] | None = None
    """JSON schema that every answer, expected and generated, must satisfy. null: any JSON object or array."""


class OwnTask(Section):
    """A scorer of your own judges the answers."""

    kind: Literal["own"] = "own"
    scorer: str
    """Dotted path of a function: `my_module.my_scorer`. The module stands beside the config, or can be imported on the nodes."""


Task = Annotated[ExtractionTask | TextTask | LabelTask | JsonTask | OwnTask, Field(discriminator="kind")]


class GenerationEval(Section):
    """Generation at each evaluation, for a seeded sample of the validation records."""

    max_records: PositiveInt = 512
    """Number of validation records for which answers are generated; the same ones at every evaluation."""
    max_new_tokens: PositiveInt = 256
    """Most tokens of an answer; a longer answer is cut off, and does not parse."""
    batch_size: PositiveInt = 16
    """Records per generated batch and rank."""
    max_minutes: float = Field(default=15, gt=0)
    """Limit in minutes of wall-clock time; records that are left out are counted in `gen_records_skipped`."""


class Evaluate(Section):
    """The evaluation stage, after training: checkpoints on all validation records, in shards that continue where they stopped."""

    checkpoints: Literal["last"] | PositiveInt = "last"
    """last: the final adapter; a number: that many of the newest checkpoints, each in jobs of its own."""
    shards: PositiveInt = 4
    """Number of jobs among which the records are split."""
    engine: str = "transformers"
    """What generates: transformers, vllm, or the dotted path of a class of your own, `my_package.MyEngine`, that the nodes can
    import; its protocol is `Engine` in jobs/evaluation/engine.py. A Python of its own: `evaluate: {python: …}` in the profile."""
    vllm: dict[str, Any] = Field(default={})
    """More arguments of `vllm.LLM`, e.g. `gpu_memory_utilization: 0.8`."""
    token_budget: PositiveInt = 32768
    """Most tokens of a batch, with padding and new tokens; a batch that does not fit into memory is halved."""
    max_new_tokens: PositiveInt = 256
    """Most tokens of an answer; a longer answer is cut off, and counted as cut."""
    temperature: NonNegativeFloat = 0.0
    """0: greedy, always the most likely token. Above 0: tokens are sampled, reproducibly with the config's `seed`."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the most likely tokens whose probabilities sum to this. 1: from all tokens."""


class Mlflow(Section):
    """Where the run is in MLflow."""

    experiment: str = "qwen-finetune"
    """Name of the experiment; it is created if it does not exist."""


class Requeue(Section):
    """How often a stage that has not finished is started again. Preemptions and node failures are not counted."""

    max_timeouts: NonNegativeInt = 20
    """Most attempts that may end at the time limit; each attempt continues where the previous one stopped."""
    max_crashes: NonNegativeInt = 3
    """Most attempts that may crash, or be killed without a recorded reason."""
    prefer: Literal["requeue", "successor"] = "requeue"
    """successor: submit a new job. requeue: requeue the same job, which waits two minutes at most sites (cred_expire)."""


class Regrow(Section):
    """All keys that regrow adds to an Axolotl config."""

    prepare: Prepare = Prepare()
    task: Task | None = None
    """What an answer is, and how it is scored. `kind` is extraction, text, label or json; or `scorer` names a function of yours.
    null: the run has losses alone, and generates nothing."""
    generation_eval: GenerationEval | None = GenerationEval()
    """null: no generation at evaluations."""
    evaluate: Evaluate = Evaluate()
    mlflow: Mlflow = Mlflow()
    requeue: Requeue = Requeue()
    deterministic: bool = False
    """Bit-identical GPU kernels, at a cost in speed. CPU runs are always deterministic."""
    trainer: str | None = None
    """A Python script of yours that trains instead of Axolotl, and calls `callbacks.attach` with its trainer. The run has a copy
    of it and of the modules beside it."""
    train_stages: tuple[dict[str, Any], ...] = ()
    """Trainings one after the other in one run: each starts from the adapter, or the weights, of the one before. An entry has the
    keys of the config that differ; `name`, which names it in the journal; and `prepare`, as above, where its sources differ. The
    last one is evaluated."""
    audit: bool = False
    """Note the records of each step in `ledger-<rank>.jsonl`, so that `regrow verify` counts how often each was trained; some
    20 bytes a record. Without it, the ledger has one hash for each step."""
    run_dir: str | None = None
    """Set by `regrow submit`; null: the training was started by hand, and its journal is in `output_dir`."""

    @property
    def code(self) -> Path | None:
        """Folder of the user's own modules that the run needs (`RunPaths.code`); None: the training was started by hand."""
        return Path(self.run_dir) / "code" if self.run_dir else None

    @property
    def validation_samples(self) -> Path | None:
        """Where the training writes validation records that are in no single file (`RunPaths.validation_samples`)."""
        return Path(self.run_dir) / "eval" / "validation.jsonl" if self.run_dir else None

    @field_validator("task", mode="before")
    @classmethod
    def _own_kind(cls, task: Any) -> Any:
        """`scorer:` alone says the kind."""
        return {"kind": "own", **task} if isinstance(task, dict) and "scorer" in task else task


class RegrowArgs(BaseModel):
    """Mixin for Axolotl's schema. No `extra="forbid"`: it would make Axolotl's own top level strict."""

    regrow: Regrow = Regrow()
