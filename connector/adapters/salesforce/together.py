"""Ask several queries at once where the org lets us: a Composite request of five is one API call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from connector.adapters.salesforce import soql
from connector.adapters.salesforce.answers import CRM
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.limits import CHARACTERS_TOGETHER, IDS_PER_QUERY, LARGEST_PAGE, QUERIES_TOGETHER
from connector.errors import AccessDeniedError, ApiChangedError, ConnectorError, RejectedError, RetryableError
from connector.logs import get_logger

log = get_logger(__name__)


class Asked(NamedTuple):
    """A query's first page, and Salesforce's clock when it was asked for."""

    page: dict[str, Any]
    asked_at: datetime


class Together:
    """Asks queries together, and one by one for good once the org has refused that."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._is_refused = False

    def first_pages(
        self, queries: Sequence[str], *, batch_size: int = LARGEST_PAGE, include_deleted: bool = True,
    ) -> Iterator[tuple[str, Asked | ConnectorError]]:
        """Yield each query with its first page, or with what is wrong with it.

        Args:
            include_deleted: Deleted and archived rows, too.

        Raises:
            RetryableError, AuthError: It is not the fault of one of the queries.
        """
        for group in _groups(queries):
            answers = self._ask(group, batch_size, include_deleted)
            asked_at = self._client.asked_at
            for query, answer in zip(group, answers):
                yield query, answer if isinstance(answer, ConnectorError) else Asked(answer, asked_at)

    def rows_by_ids(
        self, object_type: str, fields: Sequence[str], key: str, ids: Sequence[str], *, condition: str = "",
        include_deleted: bool = True,
    ) -> Iterator[dict[str, Any]]:
        """Yield an object's rows whose `key` field holds one of the ids."""
        unique = sorted(set(ids))
        also = f" AND {condition}" if condition else ""
        queries = [
            f"SELECT {', '.join(fields)} FROM {object_type} "  # noqa: S608 - names are ours, ids are quoted
            f"WHERE {key} IN {soql.texts(unique[start : start + IDS_PER_QUERY])}{also}"
            for start in range(0, len(unique), IDS_PER_QUERY)
        ]
        for query, answer in self.first_pages(queries, include_deleted=include_deleted):
            if isinstance(answer, RetryableError):
                page = self._client.query(query, include_deleted=include_deleted)
            elif isinstance(answer, ConnectorError):
                raise answer
            else:
                page = answer.page
            yield from page["records"]
            while not page["done"]:
                page = self._client.query_more(page["nextRecordsUrl"])
                yield from page["records"]

    def _ask(
        self, queries: Sequence[str], batch_size: int, include_deleted: bool,
    ) -> Sequence[dict[str, Any] | ConnectorError]:
        if len(queries) > 1 and not self._is_refused:
            try:
                return self._client.query_together(
                    queries, batch_size=batch_size, include_deleted=include_deleted,
                )
            except (RejectedError, AccessDeniedError, ApiChangedError) as error:
                log.info("queries together refused, asking one by one", crm=CRM, error=type(error).__name__)
                self._is_refused = True
        return [self._ask_one(query, batch_size, include_deleted) for query in queries]

    def _ask_one(self, query: str, batch_size: int, include_deleted: bool) -> dict[str, Any] | ConnectorError:
        try:
            return self._client.query(query, batch_size=batch_size, include_deleted=include_deleted)
        except (RejectedError, AccessDeniedError, ApiChangedError) as error:
            return error


def calls_for(queries: int) -> int:
    """Return how many calls that many queries cost when they are asked together."""
    return -(-queries // QUERIES_TOGETHER)


def _groups(queries: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for query in queries:
        is_too_long = sum(map(len, group)) + len(query) > CHARACTERS_TOGETHER
        if group and (len(group) == QUERIES_TOGETHER or is_too_long):
            yield group
            group = []
        group.append(query)
    if group:
        yield group
