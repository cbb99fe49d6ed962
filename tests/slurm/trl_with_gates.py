"""trainers/trl_sft.py as a script of a run, with gates in its training."""

import runpy
from pathlib import Path
from typing import Any

import trl
from gates import GateKeeper

import callbacks

_make = trl.SFTTrainer.__init__


def _make_with_gates(self: trl.SFTTrainer, *arguments: Any, **named: Any) -> None:
    _make(self, *arguments, callbacks=[GateKeeper()], **named)


trl.SFTTrainer.__init__ = _make_with_gates
# The run has a copy of this file and of those beside it, but not of the trainers.
runpy.run_path(str(Path(callbacks.__file__).parents[1] / "trainers" / "trl_sft.py"), run_name="__main__")
