"""Share work among processes, each with CRMs of its own."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from tests.harness.serve import served

Work = Callable[[Any], Any]
Prepare = Callable[[dict[str, str], Path], Work]
"""Is called once in each process, with the addresses of its CRMs and a folder of its own; returns what does a job."""

_work: list[Work] = []


def share(
    prepare: Prepare, jobs: Sequence[Any], workers: int, urls: dict[str, str] | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Yield each job with what came of it, in the order of the jobs; what is handed over must be picklable.

    Args:
        urls: Of CRMs that run already: one worker, which is this process, takes those.
    """
    if workers == 1:
        with ExitStack() as stack:
            work = _begin(stack, prepare, urls)
            for job in jobs:
                yield job, work(job)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin_worker, (prepare,)) as pool:
        yield from zip(jobs, pool.map(_do, jobs))


def _begin(stack: ExitStack, prepare: Prepare, urls: dict[str, str] | None = None) -> Work:
    return prepare(urls or stack.enter_context(served()), Path(stack.enter_context(tempfile.TemporaryDirectory())))


def _begin_worker(prepare: Prepare) -> None:
    stack = ExitStack()
    Finalize(None, stack.close, exitpriority=10)
    _work.append(_begin(stack, prepare))


def _do(job: Any) -> Any:
    return _work[0](job)
