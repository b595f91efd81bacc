"""Send up to 100 rows in one request, so that each gets its own verdict and a bad one never sinks the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connector.adapters.hubspot.answers import GONE, Refusal, RefusedError, refusal
from connector.adapters.hubspot.client import Client, JsonObject
from connector.errors import OutcomeUnknownError

_UNSAID = Refusal("REFUSED", "refused")


class Sent(NamedTuple):
    """What became of one row. Without a refusal or a loss it was accepted.

    Attributes:
        remote_id: Of the record written; empty when HubSpot left it out of its answer.
        refusal: Why it was not carried out.
        lost: Why nobody knows whether it was; empty when that is known.
    """

    remote_id: str = ""
    refusal: Refusal | None = None
    lost: str = ""


def send_rows(
    client: Client, path: str, object_type: str, rows: Sequence[JsonObject], *, refused: Refusal | None = None,
) -> list[Sent]:
    """Send the rows as the inputs of one batch and return what became of each, in order.

    A batch that is refused whole is sent again without the rows that HubSpot names, else by halves: at most twice the
    logarithm of its size in requests for each bad row.

    Args:
        refused: These rows were sent together already, and refused whole for this.

    Raises:
        RetryableError, FatalError: As `Client.write`; what was not told by then was not carried out, unless rows of
            the same batch were sent before.
    """
    found: dict[int, Sent] = {}
    waiting = [dict(enumerate(rows))] if rows else []
    while waiting:
        part = waiting.pop()
        try:
            if refused is None:
                found |= _send(client, path, object_type, part)
        except RefusedError as error:
            refused = error.refusal
        if refused is not None:
            # By ids alone a whole batch's refusal may as well tell whom a row collides with.
            is_sure = bool(refused.traces) or refused.code in GONE
            bad = set(part) if len(part) == 1 else _named(part, refused) if is_sure else set()
            found |= dict.fromkeys(bad, Sent(refusal=refused))
            waiting += _rest(part, bad)
            refused = None
    return [found[number] for number in range(len(rows))]


def send_once(client: Client, path: str, object_type: str, rows: Sequence[JsonObject]) -> list[Sent]:
    """Send the rows as `send_rows` does, but leave a batch that is refused whole to the caller.

    Raises:
        RefusedError: All of it is refused; nothing was carried out.
    """
    found = _send(client, path, object_type, dict(enumerate(rows)))
    return [found[number] for number in range(len(rows))]


def _send(client: Client, path: str, object_type: str, rows: Mapping[int, JsonObject]) -> dict[int, Sent]:
    inputs = [{**row, "objectWriteTraceId": str(number)} for number, row in rows.items()]
    try:
        answer = client.write("POST", path, {"inputs": inputs}, object_type=object_type)
    except OutcomeUnknownError as error:
        return dict.fromkeys(rows, Sent(lost=str(error)))
    if not answer.get("errors") and not answer.get("results"):
        # A success without a word, such as a 204: what it did is seen by reading back.
        return {number: Sent(str(row.get("id", ""))) for number, row in rows.items()}
    found: dict[int, Sent] = {}
    unnamed: Refusal | None = None
    for error_ in answer.get("errors") or ():
        refused = refusal(error_)
        bad = _named(rows, refused)
        found |= dict.fromkeys(bad, Sent(refusal=refused if refused.reason else _UNSAID))
        unnamed = unnamed if bad else refused
    by_id = {str(row["id"]): number for number, row in rows.items() if "id" in row}
    for result in answer.get("results") or ():
        remote_id, trace = str(result.get("id", "")), str(result.get("objectWriteTraceId", ""))
        written = int(trace) if trace.isdecimal() else by_id.get(remote_id)
        if written is not None and written in rows:
            found[written] = Sent(remote_id)
    # What HubSpot says nothing about is refused where it refuses something without a name, else its answer is short.
    return dict.fromkeys(rows, Sent(refusal=unnamed)) | found


def _named(rows: Mapping[int, JsonObject], refused: Refusal) -> set[int]:
    """Return the rows that a refusal names: by trace id, else by their own id or that of whom they are about."""
    if refused.traces:
        return {number for number in rows if str(number) in refused.traces}
    return {number for number, row in rows.items() if refused.ids.intersection(_ids(row))}


def _ids(row: JsonObject) -> Iterator[str]:
    if "id" in row:
        yield str(row["id"])
    for association in row.get("associations") or ():
        yield str(association["to"]["id"])


def _rest(part: Mapping[int, JsonObject], bad: set[int]) -> list[dict[int, JsonObject]]:
    rest: dict[int, Any] = {number: row for number, row in part.items() if number not in bad}
    if bad or len(rest) < 2:
        return [rest] if rest else []
    numbers, middle = list(rest), len(rest) // 2
    return [{number: rest[number] for number in half} for half in (numbers[middle:], numbers[:middle])]
