"""No payload, address or token in any log at any level: the suite's own ears, and everything that could be told.

Every test of the contract suite hears all logs (`clean_logs`); here are the cases that tell most.
"""

from __future__ import annotations

import logging

import pytest
from accounts import Account, Need, SandboxAccount
from logs import telling_nothing
from suite import CREATED, FOR_EVER, PERSONAL_WORDS, READ_FAILURES, change, handoff, needs

import connector
from connector.errors import ConnectorError
from connector.records import ChangeKind


def test_the_suite_hears_what_any_logger_says(account: Account) -> None:
    with telling_nothing(()) as heard:
        for name in ("", "connector.adapters", "urllib3.connectionpool", "made.up.later"):
            logging.getLogger(name).debug("nothing of anybody")
    assert len(heard) == 4

    with pytest.raises(AssertionError), telling_nothing(("token-of-nobody",)):
        logging.getLogger("urllib3").debug("sent %s", "token-of-nobody")
    with pytest.raises(AssertionError), telling_nothing(()):
        logging.getLogger("connector").debug("GET /search?q=%s", "person0%40kaneda.example")


def test_the_product_keeps_silent_who_writes_out_rows() -> None:
    assert "sqlalchemy" in connector.SEE_PERSONAL_DATA
    assert not logging.getLogger("sqlalchemy").propagate


@needs(Need.FAULTS)
@pytest.mark.usefixtures("waits")
def test_no_error_and_no_receipt_tells_a_secret_or_anything_of_a_person(account: SandboxAccount) -> None:
    told: list[str] = []
    with telling_nothing(account.secrets) as heard:
        cursor = None
        one, other = account.add(2)
        for failure in (*READ_FAILURES.values(), *account.failures.values()):
            adapter = account.connect()
            if failure.fault.get("delay_seconds"):
                continue
            account.fault(failure.match or account.reads, times=FOR_EVER, **failure.fault)
            try:
                for page in adapter.pull(account.request, cursor):
                    cursor = page.cursor
            except ConnectorError as error:
                told += [str(error), error.hint, repr(error)]
            account.heal()
            account.rename(one)
        adapter = account.connect()
        for kind in CREATED:
            account.fault(account.writes[kind], drop="after")
        changes = [*handoff(account, one), *handoff(account, account.unknown_id),
                   change(account, ChangeKind.SCORE, other, dict([account.words.refused]))]
        told += [receipt.reason for receipt in adapter.apply(changes)]
        adapter.look_up(changes)
        adapter.read_back(account.stream, [one, other], account.request.fields)
        adapter.find_removed(account.stream, [one, account.unknown_id])

    assert any(line.startswith("urllib3") and "HTTP/1.1" in line for line in heard)
    assert len(told) > 20
    text = "\n".join(told)
    assert [word for word in (*account.secrets, "Bearer", *PERSONAL_WORDS) if word in text] == []
