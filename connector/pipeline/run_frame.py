"""What every run begins and ends with: its number, which all its log lines carry, and how it ended, in the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from connector.logs import bound, get_logger
from connector.pipeline.company import Company
from connector.pipeline.trouble import trouble_of

log = get_logger(__name__)


@dataclass
class OpenRun:
    """A run under way; what it says when it is left is stored as its end.

    Attributes:
        status: How it ended, where no error ends it.
        trouble: What is wrong, on one line; of an error that ends it that error's.
        counts: What it did -> how many.
    """

    run_id: int
    status: str = "failed"
    trouble: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


@contextmanager
def begin_run(company: Company, kind: str) -> Iterator[OpenRun]:
    """Store that a run of this kind begins, give it to be filled in, and store how it ended."""
    began_at = company.clock()
    run = OpenRun(company.store.start_run(company.name, kind, began_at))
    with bound(run_id=run.run_id):
        log.info("run started", kind=kind)
        try:
            yield run
        except BaseException as error:
            run.status, run.trouble = "failed", trouble_of(error, company.credential_places)
            raise
        finally:
            finished_at = company.clock()
            company.store.finish_run(run.run_id, run.status, run.counts, finished_at, trouble=run.trouble)
            seconds = round((finished_at - began_at).total_seconds(), 1)
            log.info(
                "run finished", status=run.status, seconds=seconds, **run.counts, exc_info=run.status == "failed",
            )
