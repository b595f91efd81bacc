"""Who takes the next turn where many processes serve the same companies: procrastinate, on PostgreSQL.

Every few seconds one of the workers hands out who is due, as one job a company; a lock of the company's name lets one
of them run and one wait. Jobs are thrown away when they end, however they ended: how it went and when the next is due
stands in the store. So is the job of a worker that died: it is not run again under its own number, or a worker that
was only asleep would end the other's job together with its own; the company is due, and gets a new one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import psycopg
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status
from procrastinate.utils import causes

from connector.logs import get_logger
from connector.service.job_tables import STALLED_SECONDS, ensure_job_tables, job_address

log = get_logger(__name__)

HANDED_OUT = "* * * * * */5"
"""Who is due is looked for so often: seconds are the sixth field."""

LOOKED_AFTER = "* * * * * */10"
"""So often the dead are looked for."""

HEARTBEAT_SECONDS = 5
_POLL_SECONDS = 5
"""A job is told of by a notification; this is for one that got lost, and for locks that others gave back."""

_CONNECTIONS = 3
_PATIENCE_SECONDS = 5
_LOOK_SECONDS = 0.5
WATCHED_SECONDS = 5
_TURNS, _CHORES = "turns", "chores"
_ALIVE = (Status.TODO.value, Status.DOING.value)


class EngineStoppedError(Exception):
    """The engine ended without being asked to, as it does when its database goes away; it may be started again."""


@dataclass(frozen=True)
class Work:
    """What the engine is to do.

    Attributes:
        find_due: Gives the companies whose turn it is, the longest due first.
        take: Takes one company's turn. It is given a function that tells whether it shall end at its next step, and
            must not raise.
        watch: Called every few seconds; what it raises ends the work, and is raised by it.
        turns_at_once: So many turns this process takes at the same time.
        asked_to_stop: Whether the work shall end.
    """

    find_due: Callable[[], list[str]]
    take: Callable[[str, Callable[[], bool]], None]
    watch: Callable[[], None]
    turns_at_once: int
    asked_to_stop: Callable[[], bool]


def work_on_jobs(store_url: str, work: Work) -> None:
    """Take turns together with all others who work on this database, until asked to stop.

    Returns when the turns of this process have ended.

    Raises:
        EngineStoppedError: The database went away; the turns were asked to end, and have.
        StoreError: The engine's tables cannot be made.
    """
    address = job_address(store_url)
    try:
        ensure_job_tables(address)
        # Turns run in the loop's own threads: as many as there may be turns, and one for each chore.
        with asyncio.Runner(loop_factory=partial(_loop, work.turns_at_once + 2)) as runner:
            runner.run(_work(_app(address, work), work))
    except (ConnectorException, psycopg.OperationalError) as error:
        raise EngineStoppedError from error


def is_of_the_connection(error: BaseException | None) -> bool:
    """Tell whether an error comes of a database that cannot be reached."""
    return any(isinstance(one, psycopg.OperationalError) for one in causes(error))


def was_forgotten(error: BaseException | None) -> bool:
    """Tell whether the engine stopped because this process slept, was taken for dead, and has no row any more."""
    return any(isinstance(one, psycopg.errors.ForeignKeyViolation) for one in causes(error))


def quieten_libraries() -> None:
    """Keep the engine's libraries from writing a line for each attempt while the database is away: we tell it once."""
    for name in ("procrastinate.worker", "procrastinate.worker.worker", "procrastinate.utils", "asyncio"):
        logging.getLogger(name).addFilter(_is_news)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)      # warns of each connection that broke


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    # Whoever was taken for dead finds its job gone at the end of its turn, which the turn itself has told of.
    is_gone = any(isinstance(one, psycopg.errors.RaiseException) for one in causes(error))
    return not (is_gone or is_of_the_connection(error))


def _loop(threads: int) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="turn"))
    return loop


async def _work(app: App, work: Work) -> None:
    watched_at = time.monotonic()
    async with app.open_async():
        worker = asyncio.create_task(app.run_worker_async(
            queues=[_CHORES, _TURNS], concurrency=work.turns_at_once, install_signal_handlers=False,
            fetch_job_polling_interval=_POLL_SECONDS, abort_job_polling_interval=3600,      # nobody aborts jobs here
            # Turns learn at once that they shall end, by `should_abort`, whatever made the worker end.
            shutdown_graceful_timeout=0, delete_jobs="always",
            update_heartbeat_interval=HEARTBEAT_SECONDS, stalled_worker_timeout=STALLED_SECONDS,
        ))
        try:
            while not worker.done() and not work.asked_to_stop():
                await asyncio.wait([worker], timeout=_LOOK_SECONDS)
                if time.monotonic() - watched_at > WATCHED_SECONDS:
                    await asyncio.to_thread(work.watch)
                    watched_at = time.monotonic()
        finally:
            worker.cancel()      # is how the engine is asked to end; it waits for its turns
            await asyncio.wait([worker])
        if not worker.cancelled():
            raise EngineStoppedError from worker.exception()


async def _each_by_itself(connection: psycopg.AsyncConnection) -> None:
    """Have each of the engine's statements be a transaction: it never sends two, and asks half as often then."""
    await connection.set_autocommit(True)


def _app(address: str, work: Work) -> App:
    app = App(connector=PsycopgConnector(
        conninfo=address, min_size=1, max_size=_CONNECTIONS, timeout=_PATIENCE_SECONDS, configure=_each_by_itself,
    ))

    @app.task(name="turn", queue=_TURNS, pass_context=True)
    def turn(context: JobContext, company: str) -> None:
        work.take(company, lambda: work.asked_to_stop() or context.should_abort())

    @app.periodic(cron=HANDED_OUT)
    @app.task(name="hand-out", queue=_CHORES, queueing_lock="hand-out", priority=2)
    def hand_out(timestamp: int) -> None:
        have_one = {job.lock for job in app.job_manager.list_jobs(queue=_TURNS) if job.status in _ALIVE}
        due = [company for company in work.find_due() if company not in have_one]
        jobs = [turn.configure(lock=name, queueing_lock=name, task_kwargs={"company": name}).job for name in due]
        try:
            if jobs:
                app.job_manager.batch_defer_jobs(jobs)
        except AlreadyEnqueued:
            log.debug("another worker hands out")      # what it leaves over comes next time

    @app.periodic(cron=LOOKED_AFTER)
    @app.task(name="look-after", queue=_CHORES, queueing_lock="look-after", priority=1)
    async def look_after(timestamp: int) -> None:
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
            try:
                await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)
            except ConnectorException as error:
                if is_of_the_connection(error):
                    raise
                continue      # another worker looked after it, or it ended meanwhile
            if job.lock:
                log.warning("worker lost, its company is handed out again", company=job.lock)

    return app
