"""The toy model loads with transformers' Auto classes, is the same for the same seed, and uses Qwen's chat markup."""

from pathlib import Path

import pytest

from data_prep.tiny_model import build_tiny_model

TEXTS = ["山田太郎容疑者(35)を逮捕した。", '{"offenders": [{"name": "山田太郎", "age": 35}]}'] * 4


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny") / "model", texts=TEXTS, seed=1)


def test_tiny_model_loads_as_a_qwen3_moe_with_fused_experts(model_folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder)
    assert model.config.model_type == "qwen3_moe"
    assert "model.layers.0.mlp.experts.gate_up_proj" in dict(model.named_parameters())


def test_tiny_tokenizer_writes_qwens_markup_and_round_trips(model_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False, add_generation_prompt=True)
    assert chat == "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"
    for text in [*TEXTS, "見たことのない字: 鑑 🙂"]:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.eos_token == "<|im_end|>"


@pytest.mark.parametrize(("seed", "same"), [(1, True), (2, False)])
def test_tiny_model_is_its_seed_and_texts(model_folder: Path, tmp_path: Path, seed: int, same: bool) -> None:
    other = build_tiny_model(tmp_path / "other", texts=TEXTS, seed=seed)
    weights = "model.safetensors"
    assert ((other / weights).read_bytes() == (model_folder / weights).read_bytes()) is same
    assert (other / "tokenizer.json").read_bytes() == (model_folder / "tokenizer.json").read_bytes()


def test_tiny_model_never_overwrites(model_folder: Path) -> None:
    with pytest.raises(FileExistsError, match="already exists"):
        build_tiny_model(model_folder, texts=TEXTS, seed=1)
    assert not list(model_folder.parent.glob(".model*"))
