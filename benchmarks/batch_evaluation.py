"""`make bench-eval`: compares the batched engine with the loop over single records that most scripts have, on the toy model."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from dev_cluster.ownership import exit_on_signals
from measure import machine, print_wide
from peft import LoraConfig, get_peft_model
from rich import box
from rich.table import Table
from transformers import AutoModelForCausalLM, AutoTokenizer

from callbacks.shared.predictions import Generated
from callbacks.shared.prompts import PromptFormat, load_records
from data_prep.synthetic import write_synthetic
from data_prep.tiny_model import build_tiny_model
from jobs.evaluation.transformers_engine import TransformersEngine
from jobs.spec.paths import REPO_ROOT
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec

LEAST_RATIO = 5.0
LOOP, OURS = "one record at a time", "regrow"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    options = parser.parse_args()
    exit_on_signals()  # a signal then also removes the temporary folder
    torch.set_num_threads(1)  # for both ways; the toy model is too small for more threads
    with tempfile.TemporaryDirectory() as folder:
        spec, adapter, prompts = world(Path(folder), options.records, options.max_new_tokens)
        ways = {LOOP: loop(spec, adapter), OURS: engine(spec, adapter)}
        rates, same = measured(ways, prompts, options.repeats)
    ratio = statistics.median(rates[OURS]) / statistics.median(rates[LOOP])
    show(rates, f"{len(prompts)} records, generated")
    print(f"answers that are the same: {same} of {len(prompts)}")
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft")))
    is_reached = ratio >= LEAST_RATIO and same == len(prompts)
    missed = f"goal missed: {LEAST_RATIO:.0f} times as fast, and the same answers"
    print(f"{machine()}\n{'all goals reached' if is_reached else missed}")
    return int(not is_reached)


def world(folder: Path, records: int, max_new_tokens: int) -> tuple[RunSpec, Path, list[str]]:
    """tiny_cpu.yml's model with an adapter, and the prompts of synthetic records."""
    files = write_synthetic(folder, positives=200, negatives=200, validation=records, seed=5)
    build_tiny_model(folder / "model", texts=[path.read_text(encoding="utf-8") for path in files.values()], seed=5)
    settings = [f"base_model={folder / 'model'}", f"regrow.evaluate.max_new_tokens={max_new_tokens}"]
    spec = load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "local", settings)
    torch.manual_seed(5)
    base = AutoModelForCausalLM.from_pretrained(folder / "model")
    config = LoraConfig(
        r=spec.axolotl["lora_r"], target_modules=spec.axolotl["lora_target_modules"], init_lora_weights=False
    )
    get_peft_model(base, config).save_pretrained(folder / "adapter")
    AutoTokenizer.from_pretrained(folder / "model").save_pretrained(folder / "adapter")
    template = PromptFormat.from_dataset(spec.axolotl["datasets"][0])
    return spec, folder / "adapter", [template.prompt(record) for record in load_records(files["hawks_val"])]


def engine(spec: RunSpec, adapter: Path) -> Callable[[Sequence[str]], list[Generated]]:
    """The engine, used as in an array task."""
    ours = TransformersEngine(spec, adapter)

    def run(prompts: Sequence[str]) -> list[Generated]:
        answers: dict[int, Generated] = {}
        for batch in ours.batches(prompts):
            answers.update(zip(batch, ours.generate([prompts[index] for index in batch]), strict=True))
        return [answers[index] for index in range(len(prompts))]

    return run


def loop(spec: RunSpec, adapter: Path) -> Callable[[Sequence[str]], list[Generated]]:
    """A loop that calls `generate`, with its cache, for each record, in inference mode."""
    ours = TransformersEngine(spec, adapter)
    model, tokenizer = ours._model.eval(), ours._tokenizer

    def one(prompt: str) -> Generated:
        inputs = tokenizer(prompt, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        output = model.generate(**inputs, max_new_tokens=spec.regrow.evaluate.max_new_tokens, do_sample=False,
                                pad_token_id=tokenizer.pad_token_id)  # fmt: skip
        new = output[0, inputs["input_ids"].shape[1] :]
        return Generated(tokenizer.decode(new, skip_special_tokens=True), len(new), False)

    def run(prompts: Sequence[str]) -> list[Generated]:
        with torch.inference_mode():
            return [one(prompt) for prompt in prompts]

    return run


def measured(
    ways: dict[str, Callable[[Sequence[str]], list[Generated]]], prompts: Sequence[str], repeats: int
) -> tuple[dict[str, list[float]], int]:
    """The tokens per second of each way, and the number of equal answers. The ways take turns."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, list[Generated]] = {}
    for run in ways.values():
        run(prompts[:8])
    for number in range(repeats):
        for name, run in ways.items():
            started = time.perf_counter()
            answers[name] = run(prompts)
            seconds = time.perf_counter() - started
            rates[name].append(sum(answer.tokens for answer in answers[name]) / seconds)
            print(f"{number + 1}/{repeats}  {name}: {seconds:.1f} s", file=sys.stderr)
    one, other = answers.values()
    same = sum((a.text, a.tokens) == (b.text, b.tokens) for a, b in zip(one, other, strict=True))
    return rates, same


def show(rates: dict[str, list[float]], title: str) -> None:
    heading = f"{title} (medians of {len(rates[OURS])})"
    table = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for header in ("", "tokens/s", "min-max", f"x {LOOP}"):
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    single = statistics.median(rates[LOOP])
    for name, values in rates.items():
        median = statistics.median(values)
        table.add_row(name, f"{median:,.0f}", f"{min(values):,.0f}-{max(values):,.0f}", f"{median / single:.1f}")
    print_wide(table)


if __name__ == "__main__":
    sys.exit(main())
