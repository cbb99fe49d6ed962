"""A stage's process is not ended by a stop signal; what it starts is, except for the workers that its training needs."""

import subprocess
import sys

import pytest

BEGIN = """
import multiprocessing, os, signal, subprocess, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})  # as the shield leaves it
from callbacks.shared.process.own_shield import shield_only_this_process
shield_only_this_process()

def blocked():
    return sorted(number.name for number in signal.pthread_sigmask(signal.SIG_BLOCK, ()) if number in (10, 12, 15))
"""
CASES = {
    "a program ends when its parent asks": """
process = subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"], stdout=subprocess.PIPE)
process.stdout.readline()
process.terminate()
print(process.wait())
""",
    "timeout ends a program": """
print(-subprocess.run(["timeout", "0.1", "sleep", "600"]).returncode)
""",
    "a Pool with an error ends its workers": """
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.apply_async(time.sleep, (600,))
    workers = pool._pool[:]
print(*{worker.is_alive() for worker in workers})
""",
    "so does the Pool of datasets": """
import multiprocess
with multiprocess.Pool(2) as pool:
    pool.apply_async(time.sleep, (600,))
    workers = pool._pool[:]
print(*{worker.is_alive() for worker in workers})
""",
    "a spawned process ends when its parent asks": """
process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
process.start()
process.terminate()
process.join()
print(process.exitcode)
""",
    "this process is not ended": """
os.kill(os.getpid(), signal.SIGTERM)
print(*blocked())
""",
    "it is not ended after multiprocessing's resource tracker has unblocked the signal": """
from multiprocessing.resource_tracker import ensure_running
ensure_running()
os.kill(os.getpid(), signal.SIGTERM)
print("alive")
""",
    "a worker of a DataLoader is as shielded as its parent": """
from torch.utils.data import DataLoader, Dataset
class Records(Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGTERM)
        return " ".join(blocked())
print(*{text for batch in DataLoader(Records(), num_workers=1) for text in batch})
""",
}
EXPECTED = {
    "a Pool with an error ends its workers": "False",
    "so does the Pool of datasets": "False",
    "timeout ends a program": "-124",
    "this process is not ended": "SIGTERM SIGUSR2",
    "it is not ended after multiprocessing's resource tracker has unblocked the signal": "alive",
    "a worker of a DataLoader is as shielded as its parent": "SIGTERM SIGUSR2",
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.train) if "Data" in case else case for case in CASES]
)
def test_stop_signals(case: str, clean_environment: dict[str, str]) -> None:
    """A process that cannot be ended waits for 600 s, longer than any test may take."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + CASES[case]], env=clean_environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == (EXPECTED.get(case, "-15"), 0), done.stderr


def test_nothing_changes_in_a_process_that_a_person_has_started(clean_environment: dict[str, str]) -> None:
    program = (
        "import signal, subprocess\n"
        "before = subprocess._fork_exec, signal.getsignal(signal.SIGTERM)\n"
        "from callbacks.shared.process.own_shield import shield_only_this_process\n"
        "shield_only_this_process()\n"
        "print(before == (subprocess._fork_exec, signal.getsignal(signal.SIGTERM)))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=clean_environment, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
