"""Distributes work to processes that run side by side. Each one gets signals in its main thread, and cleans up by itself."""

import ctypes
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from multiprocessing.connection import Connection, wait
from typing import Any

from dev_cluster.ownership import exit_on_signals

Work = Callable[[int, Iterator[int]], Generator[Any, None, None]]
"""One worker's work: a function of the worker's number and the items that it draws, which yields the results."""
PR_SET_PDEATHSIG = 1


def side_by_side(work: Work, items: int, workers: int) -> Iterator[Any]:
    """The results of the items 0, 1, …, in the order in which they come. If the caller stops early, the workers end.

    Raises:
        RuntimeError: a worker has failed, and has printed the reason.
    """
    context = multiprocessing.get_context("fork")
    drawn = context.SimpleQueue()
    for item in (*range(items), *[None] * workers):
        drawn.put(item)
    processes, open_ends = [], []
    try:
        for number in range(workers):
            ours, its = context.Pipe(duplex=False)
            processes.append(context.Process(target=_worker, args=(work, number, iter(drawn.get, None), its)))
            processes[-1].start()
            its.close()
            open_ends.append(ours)
        while open_ends:
            for end in wait(open_ends):
                try:
                    yield end.recv()
                except EOFError:
                    open_ends.remove(end)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a worker has failed")


def _worker(work: Work, number: int, items: Iterator[int], results: Connection) -> None:
    exit_on_signals()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    with closing(work(number, items)) as found:
        for result in found:
            results.send(result)
