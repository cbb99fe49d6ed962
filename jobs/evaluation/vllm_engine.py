"""The engine that generates with vLLM. Needs vLLM; the Python that has it needs nothing else of ours but xxhash."""

import hashlib
import json
import os
import resource
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ["VLLM_NO_USAGE_STATS"] = "1"
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = (
    "0"  # with a process of its own, when a request begins depends on the clock
)

import torch
from transformers import AutoTokenizer
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

from callbacks.shared.predictions import Generated
from callbacks.shared.prompts import Prompt
from jobs.evaluation.adapters import ADAPTER, base_of
from jobs.evaluation.engine import sampling_of, token_batches
from jobs.spec.run_spec import RunSpec

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes for the highest rank of an adapter."""

CPU_CACHE_BYTES = 2**30
"""The size of the KV cache without a GPU. If a batch needs more, some of its requests wait."""


class VllmEngine:
    """vLLM, with the adapter as a LoRA request beside its base model.

    The requests of a batch begin together, and none before the batch ahead has ended: so what is computed together does not
    depend on where an earlier attempt was stopped, and neither do the answers.
    """

    pieces = 1
    """vLLM finds room for a batch by itself."""

    def __init__(self, spec: RunSpec, model: Path) -> None:
        """Load the tokenizer; the model is loaded with the first batches, when the longest prompt is known.

        Args:
            spec: the run that trained the model; has the precision and the settings of `regrow.evaluate`.
            model: a checkpoint or adapter that vLLM can put on its base model, or a complete model.
        """
        self._settings, self._model = spec.regrow.evaluate, model
        self._dtype = "bfloat16" if spec.axolotl.get("bf16") else "float32"
        self._seed = int(spec.axolotl.get("seed") or 0)
        self.sampling: Mapping[str, Any] | None = sampling_of(spec)
        self._is_adapter = (model / ADAPTER).exists()
        has_own_tokenizer = any(model.glob("tokenizer*"))
        self._tokenizer_folder = str(model) if has_own_tokenizer else base_of(model)
        self._tokenizer = AutoTokenizer.from_pretrained(self._tokenizer_folder)
        self._longest = 0

    def batches(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        lengths = [len(self._tokens(prompt)) for prompt in prompts]
        self._longest = max(lengths, default=0)
        return token_batches(lengths, self._settings.max_new_tokens, self._settings.token_budget)

    def generate(self, prompts: Sequence[Prompt]) -> list[Generated]:
        requests = [{"prompt_token_ids": self._tokens(prompt)} for prompt in prompts]
        adapter = LoRARequest("adapter", 1, str(self._model)) if self._is_adapter else None
        sampling = [self._sampling(prompt) for prompt in prompts]
        found = self._llm.generate(requests, sampling, lora_request=adapter, use_tqdm=False)
        answers = [request.outputs[0] for request in found]
        texts = self._tokenizer.batch_decode([each.token_ids for each in answers], skip_special_tokens=True)
        return [
            Generated(text, len(each.token_ids), each.finish_reason == "length")
            for text, each in zip(texts, answers, strict=True)
        ]

    def peak_memory_gib(self) -> float:
        """Of a GPU: all that is taken on the fullest one, since vLLM reserves its cache at the start."""
        if torch.cuda.is_available():
            free_and_whole = map(torch.cuda.mem_get_info, range(torch.cuda.device_count()))
            return max(whole - free for free, whole in free_and_whole) / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    @cached_property
    def _llm(self) -> LLM:
        gpus = torch.cuda.device_count()
        options: dict[str, Any] = {
            "model": base_of(self._model),
            "tokenizer": self._tokenizer_folder,
            "dtype": self._dtype,
            "seed": self._seed,
            "tensor_parallel_size": max(1, gpus),
            "enforce_eager": not gpus,  # vLLM would compile for minutes, for a machine that has no use for it
            "enable_prefix_caching": False,  # a prompt's numbers would depend on the batches before
            "max_model_len": self._longest + self._settings.max_new_tokens,
        }
        if not gpus:  # by default vLLM would want nearly all memory of the machine, where other jobs run too
            options["kv_cache_memory_bytes"] = CPU_CACHE_BYTES
        if self._is_adapter:
            rank = int(json.loads((self._model / ADAPTER).read_bytes())["r"])
            options |= {"enable_lora": True, "max_lora_rank": next(each for each in RANKS if each >= rank)}
        return LLM(**options | self._settings.vllm)

    def _tokens(self, prompt: Prompt) -> list[int]:
        return list(self._tokenizer(prompt)["input_ids"]) if isinstance(prompt, str) else list(prompt)

    def _sampling(self, prompt: Prompt) -> SamplingParams:
        """How the answer to a prompt is drawn. What the model's own generation config says besides, as a penalty of repetitions,
        counts as it does in transformers. The seed is the prompt's: a repeated batch gives the same answers."""
        parameters: SamplingParams = self._llm.get_default_sampling_params()
        parameters.max_tokens = self._settings.max_new_tokens
        drawn = self.sampling or {"temperature": 0.0, "top_p": 1.0, "top_k": 0}
        for name, value in drawn.items():
            setattr(parameters, name, value)
        parameters.min_p = 0.0
        parameters.detokenize = False  # vLLM leaves out half a character at the end, and transformers shows it
        if self.sampling:
            digest = hashlib.sha256(str(prompt).encode()).hexdigest()
            parameters.seed = (self._seed + int(digest[:8], 16)) % 2**31
        return parameters
