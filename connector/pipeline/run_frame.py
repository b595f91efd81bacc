"""What every run begins with: its number, which all its log lines carry from then on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connector.logs import bound, get_logger
from connector.pipeline.company import Company

log = get_logger(__name__)


@contextmanager
def begin_run(company: Company, kind: str) -> Iterator[int]:
    """Store that a run of this kind begins, and give its number; its end is for the caller to store."""
    run_id = company.store.start_run(company.name, kind, company.clock())
    with bound(run_id=run_id):
        log.info("run started", kind=kind)
        yield run_id
