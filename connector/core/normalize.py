"""From a CRM's record to our words: RawRecord and mapping in, Contact and Activity out.

Whatever a CRM sends is taken as hostile text: it is compared and carried, never run, and never copied into a problem
line.
"""

from __future__ import annotations

import fnmatch
import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from connector.core.identity import TELLING_ATTRIBUTES, normalize_email
from connector.mapping.load import history_of
from connector.mapping.model import AccountMapping, ActivityMapping, PeopleStream
from connector.mapping.model import Mapping as CompanyMapping
from connector.mapping.sources import FieldSource
from connector.mapping.waterfall import LOST, MOVED_TO, WON, DealMapping, StageMoves
from connector.records import (
    OVERRIDE,
    OVERRIDES,
    Activity,
    ActivityKind,
    Contact,
    RecordKey,
    Stage,
    StageMove,
    Value,
    from_columns,
)

MAX_COUNTED = 500
"""Of a counter only so many newest steps become activities: enough for any rule, bounded for any account."""

_LONGEST_REMEMBERED = 100
_MOST_REMEMBERED = 4_096

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAGES = frozenset(stage.value for stage in Stage)
_DEAL_ENDS = {WON: ActivityKind.DEAL_WON, LOST: ActivityKind.DEAL_LOST}
_BETWEEN_ADDRESSES = re.compile(r"[;,；，、\r\n]")
_EPOCH_MS = re.compile(r"-?[0-9]{11,15}")


def fold(text: str) -> str:
    """Return the text as it is compared: NFKC, without case, trimmed, inner white space as single spaces."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def text_of(value: Any) -> str:
    """Return a field's value as the text that patterns and rules are compared with.

    Booleans are `true` and `false`, whole floats have no fraction, None is empty.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@lru_cache(maxsize=1024)
def is_unticked(value: Value) -> bool:
    """Tell whether a value is that of an empty check box: in `override` it is no word, and not an unknown one."""
    return fold(text_of(value)) == "false"


def matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Compile patterns, in which `*` stands for any text, to a test on folded text. Empty text never matches."""
    # A table of titles has hundreds of patterns, nearly all with a star at an end only: for those plain comparing is
    # ten times as fast as a regex.
    whole, starts, ends, parts, others = set(), [], [], [], []
    for pattern in map(fold, patterns):
        inner = pattern.strip("*")
        if "*" in inner:
            # fnmatch knows `?` and `[` too, which are plain characters here; its regexes do not backtrack over `*`.
            others.append(fnmatch.translate(pattern.replace("[", "[[]").replace("?", "[?]")))
        elif inner == pattern:
            whole.add(pattern)
        elif not pattern.startswith("*"):
            starts.append(inner)
        elif not pattern.endswith("*"):
            ends.append(inner)
        else:
            parts.append(inner)
    first, last, expression = tuple(starts), tuple(ends), re.compile("|".join(others)) if others else None
    return lambda folded: bool(folded) and (
        folded in whole or folded.startswith(first) or folded.endswith(last) or any(part in folded for part in parts)
        or (expression is not None and expression.match(folded) is not None)
    )


def parse_moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """Read a moment as CRMs write it.

    ISO 8601 with any spelling of the offset, epoch milliseconds as number or text, or a plain date, which is
    midnight in the company's zone, as is a time of day without an offset. Date-only fields (Salesforce
    `Task.ActivityDate`) must not be shifted between zones: reading them as a local date keeps the day.
    Source: "timestamp part is always midnight UTC", Salesforce's reference of the Task object, checked 2026-11-22.

    Returns:
        Aware UTC datetime; None when the value is empty or cannot be read.
    """
    if value is None or isinstance(value, bool):
        return None
    text = value.strip() if isinstance(value, str) else text_of(value)
    try:
        # No epoch has a dash behind its fourth digit, and nearly every moment has.
        if text[4:5] != "-" and (_EPOCH_MS.fullmatch(text) or not isinstance(value, str)):
            return _EPOCH + timedelta(milliseconds=float(text))
        moment = datetime.fromisoformat(text)    # of a plain date: its midnight, without a zone
        if moment.tzinfo is UTC:
            return moment
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class _Memo(dict[str, T]):
    """What a function makes of a text, remembered: departments, titles and domains repeat all day long.

    Long texts are not kept and the memory is emptied when it is full, so that no account can fill it.
    """

    def __init__(self, read: Callable[[str], T]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> T:
        result = self._read(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[text] = result
        return result


class _Table:
    """One value map, compiled."""

    def __init__(self, rows: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        self._tests = [(ours, matcher(patterns)) for ours, patterns in rows]

    def find(self, value: Value) -> str | None:
        """Return the first of our values whose patterns match."""
        folded = fold(text_of(value))
        return next((ours for ours, matches in self._tests if matches(folded)), None)


class _Domains:
    """Domains of excluded people, and whether an address's host is one of them or below one."""

    def __init__(self, domains: Iterable[str]) -> None:
        self._domains = tuple(fold(domain) for domain in domains)

    def hold(self, host: str) -> bool:
        return any(host == domain or host.endswith("." + domain) for domain in self._domains)


class _FieldReader:
    """One CRM field read as one attribute: from the CRM's value to ours.

    `unsubscribed`, `stage` and `override` have a meaning to the core where they are a person's.
    """

    def __init__(
        self, name: str, source: FieldSource, table: _Table | None, *, of_person: bool = True, field: str = "",
    ) -> None:
        self._name = name
        self._meaning = name if of_person and name in ("unsubscribed", "stage", OVERRIDE) else ""
        self._source = source
        self.field = field or source.field
        self._table = table
        # Without a table a value stays as it is, and there is nothing to remember.
        is_plain = table is None and not self._meaning
        self.texts: _Memo[tuple[Value, str]] | None = None if is_plain else _Memo(self.read)

    def read(self, value: Any) -> tuple[Value, str]:
        """Return our value and the problem with it, empty when there is none."""
        name, field = self._name, self.field
        if value is True or value is False:
            if self._table is None and self._meaning not in ("stage", OVERRIDE):
                return value, ""
        elif isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            return None, ""
        if not isinstance(value, str | int | float | bool):
            return None, f"{name}: field {field} holds no plain value"
        if self._meaning == "unsubscribed" and self._table is None:
            return {"true": True, "false": False}.get(fold(text_of(value)), value), ""
        found = self.translate(value)
        if self._meaning == OVERRIDE and is_unticked(value) and found in (None, value):
            return None, ""
        if found is None:
            return None, f"{name}: field {field} has a value that [values.{self._source.values}] does not know"
        if self._meaning == "stage" and _stage(found) is None:
            return None, f"{name}: field {field} gives no stage of ours"
        if self._meaning == OVERRIDE:
            word = fold(text_of(found))
            return (word, "") if word in OVERRIDES else (None, f"{name}: field {field} gives none of our words")
        return found, ""

    def translate(self, value: Value) -> Value:
        """Return what the value map makes of the value, or the value where there is none."""
        return value if self._table is None else self._table.find(value)

    def read_from(self, payload: Mapping[str, Any]) -> tuple[Value, str]:
        """Return what `read` makes of the record's field."""
        value = payload.get(self.field)
        return self.texts[value] if self.texts is not None and value.__class__ is str else self.read(value)

    def read_column(self, payloads: Sequence[Mapping[str, Any]]) -> list[Value]:
        """Return our value of each record, None where there is a problem."""
        field, read = self.field, self.read
        if self.texts is not None:
            return [self.read_from(payload)[0] for payload in payloads]
        return [
            value if value is None else (value.strip() or None) if value.__class__ is str else read(value)[0]
            for value in [payload.get(field) for payload in payloads]
        ]


class _AttributeReader:
    """One attribute with all the fields it may come from: the first that says something known."""

    def __init__(self, name: str, source: FieldSource, table: _Table | None, *, of_person: bool = True) -> None:
        self._readers = [_FieldReader(name, source, table, of_person=of_person, field=one) for one in source.fields]

    def read_from(self, payload: Mapping[str, Any]) -> tuple[Value, str]:
        """Return our value and the problem with it; that a fallback says nothing known is none."""
        value, problem = self._readers[0].read_from(payload)
        for reader in self._readers[1:]:
            if value is None:
                value, _ = reader.read_from(payload)
        return value, problem if value is None else ""

    def read_column(self, payloads: Sequence[Mapping[str, Any]]) -> list[Value]:
        """Return our value of each record, None where there is a problem."""
        if len(self._readers) == 1:
            return self._readers[0].read_column(payloads)
        return [self.read_from(payload)[0] for payload in payloads]


class _PeopleReader:
    """One people stream of the mapping, compiled: the hot path of every load."""

    def __init__(
        self, stream: PeopleStream, tables: Mapping[str, _Table], staff: _Domains, competitors: _Domains,
        zone: ZoneInfo, account: tuple[str, str, str] | None,
    ) -> None:
        self._stream = stream
        self._account = account
        self._zone = zone
        self._fields = {
            name: _FieldReader(name, source, tables.get(source.values)) for name, source in stream.fields.items()
        }
        single = [(name, one) for name, one in self._fields.items() if not stream.fields[name].fallback_field]
        self._as_sent = [(name, one.field, one.read) for name, one in single if one.texts is None]
        self._translated = [(name, one.field, one.texts, one.read) for name, one in single if one.texts is not None]
        self._history = history_of(stream.stage_history) if stream.stage_history else ""
        # Copied for every contact: a dict that need not grow, where what is empty stands already.
        self._blank: dict[str, Value] = dict.fromkeys((*self._fields, "email_domain", "staff", "competitor"))
        self._fallbacks = [
            (name, _AttributeReader(name, source, tables.get(source.values)))
            for name, source in stream.fields.items() if source.fallback_field
        ]
        self._links = _compile_links(stream.links)
        self._superseded_by = _compile_links(stream.superseded_by)
        self._stages = _Memo(_stage)
        self._former_stages = _Memo(self.stage)
        self._hosts = _Memo(lambda host: (staff.hold(host), competitors.hold(host)))

    def contact(self, key: RecordKey, modified_at: datetime, payload: Mapping[str, Any]) -> Contact:
        """See `Normalizer.contact`."""
        problems: list[str] = []
        attributes = self._attributes(payload, problems)
        emails = self._emails(attributes, problems)
        host, is_staff, is_competitor = None, False, False
        for email in reversed(emails):    # the primary one last
            host = email.rpartition("@")[2]
            staff, competitor = self._hosts[host]
            is_staff, is_competitor = is_staff or staff, is_competitor or competitor
        attributes["email_domain"] = host
        attributes["staff"] = is_staff
        attributes["competitor"] = is_competitor
        stage = attributes.get("stage")
        # Before `problems` are told, which this adds to.
        stage_moves = self._stage_moves(payload.get(self._history), problems) if self._history else ()
        return Contact(
            key, modified_at, attributes, emails,
            _record_keys(self._links, payload) if self._links else (),
            self._stages[text_of(stage)] if stage is not None else None,
            text_of(attributes.get("owner_id")),
            _first_key(self._superseded_by, payload) if self._superseded_by else None,
            tuple(problems),
            stage_moves,
            _first_key((self._account,), payload) if self._account else None,
        )

    def stage(self, value: Value) -> Stage | None:
        """See `Normalizer.stage`."""
        reader = self._fields.get("stage")
        return None if reader is None else _stage(reader.translate(value))

    def _attributes(self, payload: Mapping[str, Any], problems: list[str]) -> dict[str, Value]:
        """Return the mapped attributes; what could not be understood is None and told in `problems`."""
        attributes = self._blank.copy()
        get = payload.get
        for name, field, read in self._as_sent:
            value = get(field)
            if value.__class__ is str:
                attributes[name] = value.strip() or None
            elif value is not None:
                attributes[name], problem = read(value)
                if problem:
                    problems.append(problem)
        for name, field, texts, read in self._translated:
            value = get(field)
            if value is not None:
                attributes[name], problem = texts[value] if value.__class__ is str else read(value)
                if problem:
                    problems.append(problem)
        for name, one in self._fallbacks:
            attributes[name], problem = one.read_from(payload)
            if problem:
                problems.append(problem)
        return attributes

    def _emails(self, attributes: dict[str, Value], problems: list[str]) -> tuple[str, ...]:
        """Return the normalised addresses, primary first, each once; the `email` attribute becomes one of them."""
        told, more = attributes["email"], attributes.get("additional_emails")
        if told is None and more is None:
            return ()
        first = text_of(told)
        attributes["email"] = primary = normalize_email(first) if first else None
        if primary and more is None:
            return (primary,)
        found: dict[str, None] = {}
        for name, email in _addresses(told, more):
            if email is None:
                problems.append(f"{name}: field {self._stream.fields[name].field} holds what is no e-mail address")
            else:
                found[email] = None
        return tuple(found)

    def _stage_moves(self, told: Any, problems: list[str]) -> tuple[StageMove, ...]:
        """Return the stages of a history, oldest first; one that is repeated counts from its first moment."""
        moves: list[StageMove] = []
        for one in told if isinstance(told, list) else ():
            value = text_of(one.get("value")).strip() if isinstance(one, Mapping) else ""
            moved_at = parse_moment(one.get("timestamp"), self._zone) if value else None
            if moved_at is None:
                continue  # cleared, or not dated: it says nothing about where the record stood
            stage = self._former_stages[value]
            if stage is None:
                problems.append(f"stage_history: field {self._history} has a value that gives no stage of ours")
            else:
                moves.append(StageMove(stage, moved_at))
        if len(moves) < 2:
            return tuple(moves)
        moves.sort(key=lambda move: move.moved_at)
        return tuple(move for number, move in enumerate(moves) if not number or moves[number - 1].stage != move.stage)


class _TracesReader:
    """Of one people stream what tells whose its records are, a page at a time: the hot path of every load.

    Each field is read for the whole page before the next: so little is done with a record that calling a function for
    it would cost most of the time.
    """

    def __init__(self, stream: PeopleStream, tables: Mapping[str, _Table]) -> None:
        self._readers = {
            name: _AttributeReader(name, source, tables.get(source.values))
            for name, source in stream.fields.items() if name in TELLING_ATTRIBUTES
        }
        self._links = _compile_links(stream.links)
        self._superseded_by = _compile_links(stream.superseded_by)

    def traces(
        self, keys: Sequence[RecordKey], moments: Sequence[datetime], payloads: Sequence[Mapping[str, Any]],
    ) -> list[Contact]:
        """See `Normalizer.traces`."""
        told, more = self._column("email", payloads), self._column("additional_emails", payloads)
        primaries = [
            normalize_email(value if value.__class__ is str else text_of(value)) if value else None for value in told
        ]
        emails = [
            (primary,) if primary and rest is None
            else tuple({email: None for _, email in _addresses(value, rest) if email})
            for primary, value, rest in zip(primaries, told, more)
        ]
        attributes: list[dict[str, Value]] = [
            {"email": primary, "additional_emails": rest, "last_name": last_name, "first_name": first_name}
            for primary, rest, last_name, first_name in zip(
                primaries, more, self._column("last_name", payloads), self._column("first_name", payloads),
            )
        ]
        linked = [_record_keys(self._links, payload) for payload in payloads] if self._links else repeat(())
        superseded_by: Iterable[RecordKey | None] = repeat(None)
        if self._superseded_by:
            superseded_by = [_first_key(self._superseded_by, payload) for payload in payloads]
        none, empty = repeat(None), repeat(())
        return from_columns(
            Contact, keys, moments, attributes, emails, linked, none, repeat(""), superseded_by, empty, empty, none,
        )

    def _column(self, name: str, payloads: Sequence[Mapping[str, Any]]) -> list[Value]:
        reader = self._readers.get(name)
        return [None] * len(payloads) if reader is None else reader.read_column(payloads)


class _ActivityReader:
    """One activity mapping, compiled."""

    def __init__(self, mapping: ActivityMapping, tables: Mapping[str, _Table]) -> None:
        self.mapping = mapping
        self._attributes = [
            (name, _AttributeReader(name, source, tables.get(source.values), of_person=False))
            for name, source in mapping.attributes.items()
        ]
        self.matches = _where(mapping.where)

    def same_as(self, payload: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what else goes by the name of what the record tells of; see `Activity.same_as`."""
        names = []
        for name, field in self.mapping.same_as.items():
            told = text_of(payload.get(field)).strip()
            crm, dot, stream = name.partition(".")
            if dot and told:
                names.append(str(RecordKey(crm, stream, told)))
            elif shared := told.removeprefix("<").removesuffix(">").strip().casefold():
                names.append(f"{name}:{shared}")
        return tuple(names)

    def attributes(self, payload: Mapping[str, Any]) -> dict[str, Value]:
        """Return what rules may ask of it; what has no value, or none that its table knows, is not in it."""
        read = ((name, one.read_from(payload)[0]) for name, one in self._attributes)
        return {name: value for name, value in read if value is not None}

    def numbers(self, payload: Mapping[str, Any]) -> Sequence[str]:
        """Return what the ids of the activities end in: the newest steps of a counter, or one empty text."""
        if not self.mapping.count:
            return ("",)
        count = _count(payload.get(self.mapping.count))
        return [f"#{n}" for n in range(max(1, count - MAX_COUNTED + 1), count + 1)]


class _Told(NamedTuple):
    """One thing that a record tells of a deal or a stage; `at` is None where it has no date of its own."""

    kind: ActivityKind
    at: datetime | None
    title: str
    attributes: Mapping[str, Value]


class _DealReader:
    """One CRM's deals, compiled."""

    def __init__(self, mapping: DealMapping, tables: Mapping[str, _Table], zone: ZoneInfo) -> None:
        self._mapping = mapping
        self._zone = zone
        table = tables.get(mapping.outcome.values)
        self._outcome = _AttributeReader("outcome", mapping.outcome, table, of_person=False)
        self._attributes = [
            (name, _AttributeReader(name, source, tables.get(source.values), of_person=False))
            for name, source in mapping.attributes.items()
        ]

    def read(self, payload: Mapping[str, Any]) -> list[_Told]:
        """Return that a deal was opened, and that it was won or lost where its outcome says so."""
        mapping, zone = self._mapping, self._zone
        title = text_of(payload.get(mapping.title)).strip()
        read = ((name, one.read_from(payload)[0]) for name, one in self._attributes)
        attributes = {name: value for name, value in read if value is not None}
        told = [_Told(ActivityKind.DEAL_OPENED, parse_moment(payload.get(mapping.opened_at), zone), title, attributes)]
        ended = _DEAL_ENDS.get(text_of(self._outcome.read_from(payload)[0]))
        if ended is not None:
            told.append(_Told(ended, parse_moment(payload.get(mapping.closed_at), zone), title, attributes))
        return told


class _MoveReader:
    """One stream of a field's history, compiled."""

    def __init__(self, mapping: StageMoves, tables: Mapping[str, _Table], zone: ZoneInfo) -> None:
        self._mapping = mapping
        self._zone = zone
        self._matches = _where(mapping.where)
        self._stage = _AttributeReader("stage", mapping.stage, tables.get(mapping.stage.values), of_person=False)

    def read(self, payload: Mapping[str, Any]) -> list[_Told]:
        """Return the move that a row tells of; nothing of one about another field, or to what is no stage of ours."""
        stage = _stage(self._stage.read_from(payload)[0]) if self._matches(payload) else None
        if stage is None:
            return []
        at = parse_moment(payload.get(self._mapping.moved_at), self._zone)
        return [_Told(ActivityKind.STAGE_MOVED, at, "", {MOVED_TO: stage.value})]


class Normalizer:
    """One company's mapping, compiled once and used for every record of a run. Safe to share between threads."""

    def __init__(self, mapping: CompanyMapping) -> None:
        self._zone = mapping.zone
        tables = {name: _Table(mapping.rows(name)) for name in mapping.values}
        staff, competitors = _Domains(mapping.excluded.staff_domains), _Domains(mapping.excluded.competitor_domains)
        self._people = {
            (crm, name): _PeopleReader(
                stream, tables, staff, competitors, mapping.zone, _account_link(crm, name, part.accounts),
            )
            for crm, part in mapping.crm.items() for name, stream in part.people.items()
        }
        self._traces = {
            (crm, name): _TracesReader(stream, tables)
            for crm, part in mapping.crm.items() for name, stream in part.people.items()
        }
        self._accounts = {
            (crm, part.accounts.stream): [
                (name, _AttributeReader(name, source, tables.get(source.values), of_person=False))
                for name, source in part.accounts.fields.items()
            ]
            for crm, part in mapping.crm.items() if part.accounts is not None
        }
        self._singles: dict[tuple[str, str], list[_ActivityReader]] = {}
        self._counters: dict[tuple[str, str], list[_ActivityReader]] = {}
        for crm, part in mapping.crm.items():
            for one in part.activities:
                readers = self._counters if one.count else self._singles
                readers.setdefault((crm, one.stream), []).append(_ActivityReader(one, tables))
        self._ours: dict[tuple[str, str], list[_DealReader | _MoveReader]] = {}
        for crm, part in mapping.crm.items():
            if part.deals is not None:
                deals = _DealReader(part.deals, tables, mapping.zone)
                self._ours.setdefault((crm, part.deals.stream), []).append(deals)
            for moves in part.stage_moves:
                self._ours.setdefault((crm, moves.stream), []).append(_MoveReader(moves, tables, mapping.zone))

    def is_people(self, crm: str, stream: str) -> bool:
        """Tell whether the stream's records are humans."""
        return (crm, stream) in self._people

    def is_accounts(self, crm: str, stream: str) -> bool:
        """Tell whether the stream's records are companies that people are matched to."""
        return (crm, stream) in self._accounts

    def account(self, key: RecordKey, payload: Mapping[str, Any]) -> dict[str, Value]:
        """Return a company's attributes in our words; what has no value is None.

        Raises:
            KeyError: The mapping takes the stream for no companies; ask `is_accounts` first.
        """
        return {name: one.read_from(payload)[0] for name, one in self._accounts[key.crm, key.stream]}

    def contact(self, key: RecordKey, modified_at: datetime, payload: Mapping[str, Any]) -> Contact:
        """Translate one record of a people stream.

        A value that its table does not know becomes None and a problem line. Beside the mapped attributes there are
        `email_domain` of the primary address, and `staff` and `competitor` by any address.

        Raises:
            KeyError: The stream is no people stream of the mapping; ask `is_people` first.
        """
        return self._people[key.crm, key.stream].contact(key, modified_at, payload)

    def traces(
        self, crm: str, stream: str, keys: Sequence[RecordKey], moments: Sequence[datetime],
        payloads: Sequence[Mapping[str, Any]],
    ) -> list[Contact]:
        """Return of the `contact` of each record of one stream only what tells whose it is: addresses, names and links.

        A fraction of the work. The records come as columns, as long as each other.

        Raises:
            KeyError: As `contact` does.
        """
        return self._traces[crm, stream].traces(keys, moments, payloads)

    def stage(self, key: RecordKey, value: Value) -> Stage | None:
        """Translate a value of the stage field of this record's stream; None when it has none or means nothing."""
        return self._people[key.crm, key.stream].stage(value)

    def activities(
        self, key: RecordKey, modified_at: datetime, payload: Mapping[str, Any], links: Mapping[str, tuple[str, ...]]
    ) -> list[Activity]:
        """Translate one record to what happened to humans, one activity for each participant.

        The first matching mapping without a counter applies, every matching counter, and what the record tells of a
        deal or a stage. A counter of n gives its
        newest `MAX_COUNTED` activities up to number n, all dated by the last-seen field: right only because they
        are `is_dated_once`, as is what has no readable date and takes the record's own. `activity_id` is
        `{key}#{kind}`, then the participant for a record that is no human itself (so that a participant joining
        later changes no id), then the counter's number.

        Args:
            links: As in RawRecord; ignored for a people stream, whose record is the subject itself.

        Returns:
            Nothing when no mapping matches or nobody took part.
        """
        stream = (key.crm, key.stream)
        applying = [one for one in self._counters.get(stream, ()) if one.matches(payload)]
        if single := next((one for one in self._singles.get(stream, ()) if one.matches(payload)), None):
            applying.insert(0, single)
        activities: list[Activity] = []
        for reader in applying:
            numbers, one = reader.numbers(payload), reader.mapping
            if not numbers:
                continue
            told_at = parse_moment(payload.get(one.occurred_at), self._zone)
            occurred_at = told_at or modified_at
            is_dated_once = told_at is None or bool(one.count)
            title = text_of(payload.get(one.title)).strip()
            same_as = reader.same_as(payload) if one.same_as else ()
            attributes = reader.attributes(payload) if one.attributes else {}
            activities += [
                Activity(
                    f"{key}#{one.kind}{participant}{number}", subject, one.kind, occurred_at, title, key.crm,
                    is_dated_once, same_as, attributes,
                )
                for subject, participant in self._subjects(key, links) for number in numbers
            ]
        for ours in self._ours.get(stream, ()):
            activities += [
                Activity(
                    f"{key}#{told.kind}{participant}", subject, told.kind, told.at or modified_at, told.title, key.crm,
                    told.at is None, attributes=told.attributes,
                )
                for told in ours.read(payload) for subject, participant in self._subjects(key, links)
            ]
        return activities

    def _subjects(self, key: RecordKey, links: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
        """Return (subject, its part of the activity id) of each participant, each once, in a fixed order."""
        if self.is_people(key.crm, key.stream):
            return [(str(key), "")]
        subjects: set[tuple[str, str]] = set()
        for stream, ids in links.items():
            for remote_id in ids:
                if stream != "email":
                    subjects.add((str(RecordKey(key.crm, stream, remote_id)), f"#{stream}:{remote_id}"))
                elif email := normalize_email(remote_id):
                    # Ids travel further than subjects do; an address has no business in them.
                    subjects.add((f"email:{email}", f"#email:{hashlib.sha256(email.encode()).hexdigest()[:16]}"))
        return sorted(subjects)


def _stage(ours: Value) -> Stage | None:
    word = fold(text_of(ours))
    return Stage(word) if word in _STAGES else None


def _where(where: Mapping[str, tuple[str, ...]]) -> Callable[[Mapping[str, Any]], bool]:
    """Compile patterns by field to a test: whether every named field of a payload matches one of its patterns."""
    compiled = [(field, _Memo(_folded(matcher(patterns)))) for field, patterns in where.items()]
    return lambda payload: all(tests[text_of(payload.get(field))] for field, tests in compiled)


def _folded(test: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda text: test(fold(text))


def _compile_links(targets: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return the CRM, the stream and the field of each target."""
    parts = [(target.partition("."), field) for target, field in targets.items()]
    return [(crm, stream, field) for (crm, _, stream), field in parts]


def _account_link(crm: str, stream: str, accounts: AccountMapping | None) -> tuple[str, str, str] | None:
    """Return the CRM, the stream and the field of a people stream's own companies, in the form of a link."""
    if accounts is None or stream not in accounts.linked_from:
        return None
    return crm, accounts.stream, accounts.linked_from[stream]


def _addresses(told: Value, more: Value) -> Iterator[tuple[str, str | None]]:
    """Yield each address of a human, primary ones first, behind its attribute; None for what is no address."""
    for name, texts in (("email", told), ("additional_emails", more)):
        for text in _BETWEEN_ADDRESSES.split(text_of(texts)):
            if text.strip():
                yield name, normalize_email(text)


def _first_key(links: Iterable[tuple[str, str, str]], payload: Mapping[str, Any]) -> RecordKey | None:
    for crm, stream, field in links:
        value = payload.get(field)
        if value is not None and (remote_id := text_of(value).strip()):
            return RecordKey(crm, stream, remote_id)
    return None


def _record_keys(links: Iterable[tuple[str, str, str]], payload: Mapping[str, Any]) -> tuple[RecordKey, ...]:
    keys: tuple[RecordKey, ...] = ()
    for crm, stream, field in links:
        value = payload.get(field)
        if value is not None and (remote_id := text_of(value).strip()):
            keys += (RecordKey(crm, stream, remote_id),)
    return keys


def _count(value: Any) -> int:
    if value is None:
        return 0
    try:
        number = float(text_of(value))
    except ValueError:
        return 0
    return int(number) if math.isfinite(number) else 0
