"""trainers/trl_sft.py as a script of a run, with gates in its training."""

import runpy
from typing import Any

import trl
from gates import GateKeeper
from world import REPO_ROOT

_make = trl.SFTTrainer.__init__


def _make_with_gates(self: trl.SFTTrainer, *arguments: Any, **named: Any) -> None:
    _make(self, *arguments, callbacks=[GateKeeper()], **named)


trl.SFTTrainer.__init__ = _make_with_gates
runpy.run_path(str(REPO_ROOT / "trainers" / "trl_sft.py"), run_name="__main__")
