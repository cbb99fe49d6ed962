"""The `regrow:` section of an Axolotl config, as pydantic classes. Light: the jobs read the same classes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt


class Section(BaseModel):
    """A part of the `regrow:` section: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSection(Section):
    """One file of records that goes into the curriculum."""

    path: str
    """JSON array or JSON lines, plain or gzip; relative paths count from the repo root."""
    repeat: PositiveInt = 1
    """How often the whole source is written."""
    take: PositiveInt | None = None
    """Only the first so many records; fewer in the file is an error. Default: all."""


class Prepare(Section):
    """What is merged into the training and the validation file."""

    sources: tuple[SourceSection, ...] = ()
    """Concatenated in this order; the trainer shuffles. Empty: `datasets[0].path` is used as it stands."""
    validation: tuple[SourceSection, ...] = ()
    """The validation records; empty: `test_datasets[0].path` is used as it stands."""


class Target(Section):
    """What an answer is: a JSON object with one list of flat objects."""

    list_field: str = "offenders"
    """Key of the list; an empty list means that there is nobody."""
    name_field: str = "name"
    """Field that identifies an entry of the list."""
    fields: tuple[str, ...] = ("name", "age", "occupation", "offence")
    """The fields of an entry that are compared."""
    keywords: tuple[str, ...] = ()
    """Words for the trivial rule that a model has to beat ("any of them in the input: somebody is named").
    Its presence F1 is reported beside the model's. Empty: no rule."""


class GenerationEval(Section):
    """Generation at each evaluation, over a seeded sample of the validation records."""

    max_records: PositiveInt = 512
    """How many validation records answer; the same ones at every evaluation."""
    max_new_tokens: PositiveInt = 256
    """Tokens of an answer at most; what is longer is cut off, and does not parse."""
    batch_size: PositiveInt = 16
    """Records per generated batch and rank."""
    max_minutes: float = Field(default=15, gt=0)
    """Wall-clock bound; records that it leaves out are counted in `gen_records_skipped`."""


class Evaluate(Section):
    """The evaluation stage, after training: checkpoints over all validation records, in shards that go on where they stopped."""

    checkpoints: Literal["last"] | PositiveInt = "last"
    """last: the final adapter; a number: so many of the newest checkpoints, each in a job of its own."""
    shards: PositiveInt = 4
    """Into how many jobs the records are split."""
    engine: str = "transformers"
    """What generates: transformers, or the dotted path of a class of your own, `my_package.MyEngine`, that the nodes can import;
    its protocol is `Engine` in jobs/evaluation/engine.py."""
    token_budget: PositiveInt = 32768
    """Most tokens of a batch, padding and new ones included; what does not fit into memory is halved."""
    max_new_tokens: PositiveInt = 256
    """Tokens of an answer at most; what is longer is cut off, and counted as such."""
    temperature: NonNegativeFloat = 0.0
    """0: greedy, always the most likely token. Above, the answers are drawn, and repeat with the config's `seed`."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Of the likely tokens that make up so much together, one is drawn. 1: of all."""


class Mlflow(Section):
    """Where in MLflow the run stands."""

    experiment: str = "qwen-finetune"
    """Name of the experiment; made if there is none."""


class Requeue(Section):
    """How often a stage that did not get through comes back. Preemptions and nodes that die are not counted."""

    max_timeouts: NonNegativeInt = 20
    """Time limits reached; each attempt goes on where the one before stopped."""
    max_crashes: NonNegativeInt = 3
    """Attempts that ended by their own fault, or were killed without a word."""
    prefer: Literal["requeue", "successor"] = "requeue"
    """successor: a new job instead of the same one again, which waits for two minutes at most sites (cred_expire)."""


class Regrow(Section):
    """All that regrow adds to an Axolotl config."""

    prepare: Prepare = Prepare()
    target: Target = Target()
    generation_eval: GenerationEval | None = GenerationEval()
    """`null` turns the generation at evaluations off."""
    evaluate: Evaluate = Evaluate()
    mlflow: Mlflow = Mlflow()
    requeue: Requeue = Requeue()
    deterministic: bool = False
    """Bit-identical GPU kernels, at a cost in speed. CPU runs are always deterministic."""
    run_dir: str | None = None
    """Filled in by `regrow submit`; null: started by hand, the journal stands in `output_dir`."""


class RegrowArgs(BaseModel):
    """Mixin for Axolotl's schema. `forbid` makes Axolotl's own top level strict too, which drops unknown keys otherwise."""

    model_config = ConfigDict(extra="forbid")

    regrow: Regrow = Regrow()
