"""Digests of everything that a training continues with: what is loaded must be, bit for bit, what was saved."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from callbacks.exact.rng import RngState

SHARE_WORDS = 2**20
"""Words of 8 bytes that are mixed at a time: the memory that a digest needs besides the tensor, some 30 MB."""
PRIME = 0x9E3779B97F4A7C15 - 2**64
"""Odd, as a signed 64-bit number; the fraction of the golden ratio."""


RANDOM = "random numbers of "
"""How the name of each generator's digest begins."""


class Differs(ValueError):
    """A resumed training has other weights, or another state of the optimizer, than its checkpoint says."""


def digests_file(rank: int) -> str:
    """The name of a rank's digests in a checkpoint."""
    return f"regrow_digests_{rank}.json"


class Digests:
    """The digests of one rank's share of a training. Those of frozen parameters are computed once."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._frozen: dict[str, str] = {}
        self._load_random_numbers = trainer._load_rng_state
        trainer._load_rng_state = self._load_and_compare_random_numbers

    def save(self, checkpoint: Path) -> None:
        """Write this rank's digests into a checkpoint that is being made."""
        path = checkpoint / digests_file(self._trainer.args.process_index)
        path.write_text(json.dumps(self.now() | random_digests(), indent=0), encoding="utf-8")

    def load(self, checkpoint: Path) -> None:
        """Raise Differs if the training does not continue with what the checkpoint was made of. HF loads random numbers later."""
        if saved := self._saved(checkpoint):
            _compare(checkpoint, {name: saved[name] for name in saved if not name.startswith(RANDOM)}, self.now())

    def _load_and_compare_random_numbers(self, checkpoint: str | None) -> None:
        """HF's method, called before the first batch. It only logs if it finds no file."""
        self._load_random_numbers(checkpoint)
        saved = self._saved(Path(checkpoint)) if checkpoint else {}
        random = {name: saved[name] for name in saved if name.startswith(RANDOM)}
        if checkpoint and random:  # an older version has saved none
            _compare(Path(checkpoint), random, random_digests())

    def _saved(self, checkpoint: Path) -> dict[str, str]:
        """What a checkpoint says; nothing for one without digests, or of another number of ranks."""
        args = self._trainer.args
        path = checkpoint / digests_file(args.process_index)
        if not path.exists() or (checkpoint / digests_file(args.world_size)).exists():
            return {}
        found: dict[str, str] = json.loads(path.read_bytes())
        return found

    def now(self) -> dict[str, str]:
        """Each part's name and digest."""
        tensors = dict(_optimizer_tensors(self._trainer))
        for name, parameter in self._trainer.model.named_parameters():
            if parameter.requires_grad:
                tensors[f"parameter {name}"] = parameter
            elif name not in self._frozen:
                self._frozen |= digests_of({name: parameter})
        frozen = hashlib.sha256(json.dumps(sorted(self._frozen.items())).encode()).hexdigest()
        return digests_of(tensors) | {"frozen parameters": frozen} | _plain_digests(self._trainer)


def random_digests() -> dict[str, str]:
    """The digest of each random number generator's state."""
    state = RngState.now()
    states = {"Python": state.python, "numpy": state.numpy, "torch": state.cpu.tolist()}
    if state.cuda is not None:
        states["CUDA"] = state.cuda.tolist()
    return {f"{RANDOM}{name}": hashlib.sha256(repr(each).encode()).hexdigest()[:16] for name, each in states.items()}


def _compare(checkpoint: Path, saved: Mapping[str, str], has: Mapping[str, str]) -> None:
    different = sorted(name for name in saved.keys() | has.keys() if saved.get(name) != has.get(name))
    if different:
        shown = ", ".join(different[:5]) + (f", and {len(different) - 5} more" if len(different) > 5 else "")
        raise Differs(f"{checkpoint.name} was not loaded as it was saved; different: {shown}")


def digests_of(tensors: dict[str, torch.Tensor]) -> dict[str, str]:
    """The digests of tensors, computed where they are. Each is type, shape and a sum over all bits that depends on their place.

    A tensor whose bits cannot be read (on the meta device, or of a class of its own) has the digest `unread`.
    """
    shares = {name: own_share(tensor) for name, tensor in tensors.items()}
    sums = {name: sum_of_bits(share) for name, share in shares.items()}
    kinds = {name: f"{share.dtype} {list(share.shape)}" for name, share in shares.items()}
    return {
        name: f"{kinds[name]} {'unread' if total is None else format(int(total) % 2**64, '016x')}"
        for name, total in sums.items()
    }


def own_share(tensor: torch.Tensor) -> torch.Tensor:
    """What this rank holds of a tensor. Under ZeRO-3, the tensor itself is sometimes whole and sometimes empty."""
    own: torch.Tensor = getattr(tensor, "ds_tensor", tensor)  # ZeRO-3
    return own.to_local() if hasattr(own, "to_local") else own  # FSDP2


def sum_of_bits(tensor: torch.Tensor) -> torch.Tensor | None:
    """A 64-bit sum over a tensor's bits, as a tensor on its device; None: the bits cannot be read."""
    if tensor.is_meta:
        return None
    try:
        octets = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    except (RuntimeError, NotImplementedError):  # a subclass that has no bits of its own
        return None
    if octets.numel() % 8 or octets.storage_offset() % 8:
        octets = torch.nn.functional.pad(octets, (0, -octets.numel() % 8)).clone()
    words = octets.view(torch.int64)
    places = 2 * torch.arange(min(SHARE_WORDS, max(1, words.numel())), device=words.device) + 1
    total = torch.zeros((), dtype=torch.int64, device=words.device)
    for share in torch.split(words, SHARE_WORDS):
        total = total * PRIME + ((share ^ (share >> 29)) * PRIME * places[: share.numel()]).sum()
    return total


def _optimizer_tensors(trainer: Trainer) -> Iterator[tuple[str, torch.Tensor]]:
    """The optimizer's state, by the place of each parameter in its groups; and weights of its own, as DeepSpeed has them."""
    of_model = {id(parameter) for parameter in trainer.model.parameters()}
    for group, place, parameter, state in _optimizer_places(trainer):
        name = f"optimizer {group}.{place}"
        if id(parameter) not in of_model:
            yield f"{name} weights", parameter
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                yield f"{name} {key}", value


def _optimizer_places(trainer: Trainer) -> Iterator[tuple[int, int, torch.Tensor, dict[str, Any]]]:
    optimizer = trainer.optimizer
    while hasattr(optimizer, "optimizer"):  # accelerate's and DeepSpeed's wrappers
        optimizer = optimizer.optimizer
    for group, settings in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(settings["params"]):
            yield group, place, parameter, optimizer.state.get(parameter, {})


def _plain_digests(trainer: Trainer) -> dict[str, str]:
    """What is no tensor: counters, the scheduler, the scaler of fp16."""
    counters = [
        (group, place, key, value)
        for group, place, _, state in _optimizer_places(trainer)
        for key, value in state.items()
        if isinstance(value, int | float)
    ]
    scheduler = trainer.lr_scheduler.state_dict() if trainer.lr_scheduler is not None else {}
    scaler = trainer.accelerator.scaler.state_dict() if trainer.accelerator.scaler is not None else {}
    return {
        "optimizer counters": _digest(counters),
        "scheduler": _digest(_plain(scheduler)),
        "scaler": _digest(_plain(scaler)),
    }


def _plain(value: Any) -> Any:
    """What of a state is plain data. The rest (functions) comes from the config again."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, int | float | str | None) else ""


def _digest(plain: Iterable[Any]) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]
