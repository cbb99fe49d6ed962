"""The engine on a real model: batches within a budget, the same answers as one by one, out of memory, sampling."""

import subprocess
import sys
from pathlib import Path

import pytest
from world import REPO_ROOT, World

from jobs.evaluation.engine import token_batches
from jobs.evaluation.transformers_engine import TransformersEngine
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec

PROMPTS = [f"{'警察は容疑者を逮捕した。' * (1 + number % 5)}{number}" for number in range(20)]


def spec_of(world: World, **settings: object) -> RunSpec:
    more = [f"regrow.evaluate.{key}={value}" for key, value in {"max_new_tokens": 12, **settings}.items()]
    return load_run_spec(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml", "local", [*world.settings, *more])


def answered(world: World, **settings: object) -> tuple[list[str], int]:
    """The answers in the prompts' order, and the number of batches."""
    engine = TransformersEngine(spec_of(world, **settings), world.folder / "model")
    batches, texts = engine.batches(PROMPTS), {}
    for batch in batches:
        texts.update(zip(batch, engine.generate([PROMPTS[index] for index in batch]), strict=True))
    return [texts[index].text for index in range(len(PROMPTS))], len(batches)


@pytest.mark.parametrize("budget", [1, 100, 1000, 10**6])
def test_token_batches_hold_all_and_stay_under_the_budget(budget: int) -> None:
    lengths = [(number * 37) % 90 + 1 for number in range(50)]
    batches = token_batches(lengths, 10, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(50))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * (longest + 10) <= budget
    order = [lengths[index] for batch in batches for index in batch]
    assert order == sorted(lengths, reverse=True)
    assert token_batches([], 10, budget) == []


def test_batches_give_the_answers_of_one_at_a_time(world: World) -> None:
    alone, one_by_one = answered(world, token_budget=1)
    together, batches = answered(world, token_budget=600)
    assert (one_by_one, alone) == (20, together)
    assert 1 < batches < 10


def test_sampled_answers_repeat_with_the_seed_and_differ_from_greedy(world: World) -> None:
    drawn, _ = answered(world, temperature=1.0, top_p=0.9)
    assert drawn == answered(world, temperature=1.0, top_p=0.9)[0]
    assert drawn != answered(world)[0]


def test_answers_are_counted_up_to_their_end(world: World) -> None:
    engine = TransformersEngine(spec_of(world), world.folder / "model")
    answers = engine.generate(PROMPTS[:4])
    for answer in answers:
        assert 0 < answer.tokens <= 12
        assert answer.is_cut == (answer.tokens == 12) or answer.tokens == 12
    assert engine.peak_memory_gib() > 0.1


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import torch
from jobs.evaluation.transformers_engine import TransformersEngine
from jobs.spec.resolve import load_run_spec

torch.set_num_threads(1)
count, sentences, room_mib = map(int, sys.argv[2:])
spec = load_run_spec(Path("axolotl_configs/tiny_cpu.yml"), "local", ["regrow.evaluate.max_new_tokens=2"])
engine = TransformersEngine(spec, Path(sys.argv[1]))
prompts = ["警察は容疑者を逮捕した。" * sentences + str(number) for number in range(count)]
alone = [answer for prompt in prompts[1:5] for answer in engine.generate([prompt])]
used = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + room_mib * 2**20,) * 2)
answers = engine.generate(prompts)
assert answers[1:5] == alone
print("pieces", engine.pieces)
"""


def test_batch_that_does_not_fit_into_memory_is_halved_and_goes_on(world: World) -> None:
    """The address space is limited, so that torch's allocator really gets no memory."""
    command = [sys.executable, "-c", OUT_OF_MEMORY, str(world.folder / "model"), "64", "40", "20"]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, env=world.environment, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 1


def test_adapter_is_put_on_its_base_without_merging(world: World, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(world.folder / "model")
    get_peft_model(base, LoraConfig(target_modules=["q_proj"], init_lora_weights=False)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(world.folder / "model").save_pretrained(tmp_path)
    engine = TransformersEngine(spec_of(world), tmp_path)
    assert isinstance(engine._model, PeftModel)
    assert not any(getattr(module, "merged", False) for module in engine._model.modules())
    assert [answer.text for answer in engine.generate(PROMPTS)] != answered(world)[0]
