"""A random Qwen3-MoE of toy size and its tokenizer, for the demo and the tests. Torch is imported inside the functions.

`python -m data_prep.tiny_model FOLDER SEED RECORDS...` trains the tokenizer on the records of JSON arrays.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3MoeForCausalLM

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""Qwen's chat markup as the Instruct-2507 models write it, without thinking."""
STD = {"embed_tokens": 0.5, "lm_head": 0.25}
OTHER_STD = 0.12
"""Standard deviations of the random weights. With transformers' own 0.02 the logits of the frozen head stay so flat
that no adapter learns anything in a minute."""


def build_tiny_model(folder: Path, *, texts: Iterable[str], seed: int) -> Path:
    """Write model and tokenizer into a new folder, completely or not at all, for transformers' Auto classes.

    Args:
        texts: the tokenizer is trained on these.
        seed: of the weights; the same seed and texts give the same files.

    Raises:
        FileExistsError: the folder already exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} already exists")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / "model"
        tokenizer = tiny_tokenizer(texts)
        tokenizer.save_pretrained(made)
        tiny_model(tokenizer, seed).save_pretrained(made)
        made.rename(folder)
    return folder


def tiny_tokenizer(texts: Iterable[str], vocabulary: int = 2048) -> "PreTrainedTokenizerFast":
    """Byte-level BPE with Qwen's special tokens. A token has at most two Chinese characters, so that a surname, a given
    name or a keyword is one token; a number is one; no token spans a JSON key and its quotes, else a random model writes JSON
    by luck."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{Han}{1,2}|\p{N}+|[A-Za-z]+|\n"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[PAD, START, END],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def tiny_model(tokenizer: "PreTrainedTokenizerFast", seed: int) -> "Qwen3MoeForCausalLM":
    """The random model in float32: 2 layers, 4 experts of which 2 are used, hidden size 128."""
    import torch
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    config = Qwen3MoeConfig(
        vocab_size=(len(tokenizer) + 63) // 64 * 64,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        moe_intermediate_size=64,
        num_experts=4,
        num_experts_per_tok=2,
        norm_topk_prob=True,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3MoeForCausalLM(config).to(torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:  # norms stay at one
                std = next((std for part, std in STD.items() if part in name), OTHER_STD)
                parameter.normal_(0.0, std, generator=generator)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def record_texts(files: Iterable[str]) -> Iterator[str]:
    """Instruction, input and output of each record of some JSON arrays."""
    for file in files:
        for record in json.loads(Path(file).read_text(encoding="utf-8")):
            yield f"{record['instruction']}\n{record['input']}\n{record['output']}"


if __name__ == "__main__":
    build_tiny_model(Path(sys.argv[1]), texts=record_texts(sys.argv[3:]), seed=int(sys.argv[2]))
