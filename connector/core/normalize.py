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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from connector.core.identity import normalize_email
from connector.mapping.model import ActivityMapping, FieldSource, PeopleStream
from connector.mapping.model import Mapping as CompanyMapping
from connector.records import Activity, Contact, RecordKey, Stage, Value

MAX_COUNTED = 500
"""Of a counter only so many newest steps become activities: enough for any rule, bounded for any account."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAGES = frozenset(stage.value for stage in Stage)
_EPOCH_MS = re.compile(r"-?[0-9]{11,15}")
_PLAIN_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


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
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@lru_cache(maxsize=1024)
def matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Compile patterns, in which `*` stands for any text, to a test on folded text. Empty text never matches."""
    # fnmatch knows `?` and `[` too, which are plain characters here; its regexes do not backtrack over `*`.
    globs = (fold(p).replace("[", "[[]").replace("?", "[?]") for p in patterns)
    expression = re.compile("|".join(fnmatch.translate(g) for g in globs))
    return lambda folded: bool(folded) and expression.match(folded) is not None


def matches(where: Mapping[str, tuple[str, ...]], payload: Mapping[str, Any]) -> bool:
    """Tell whether every named field of a payload matches one of its patterns."""
    return all(matcher(patterns)(fold(text_of(payload.get(name)))) for name, patterns in where.items())


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
        if _EPOCH_MS.fullmatch(text) or not isinstance(value, str):
            return _EPOCH + timedelta(milliseconds=float(text))
        if _PLAIN_DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), zone).astimezone(UTC)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class _Table:
    """One value map, compiled: the first of our values whose patterns match."""

    def __init__(self, rows: Mapping[str, tuple[str, ...]]) -> None:
        tests = [(ours, matcher(patterns)) for ours, patterns in rows.items()]
        # Departments and titles repeat all day long; a few thousand spellings are nearly all there are.
        self.find = lru_cache(maxsize=4096)(
            lambda folded: next((ours for ours, matches in tests if matches(folded)), None)
        )


@dataclass(frozen=True, slots=True)
class _Domains:
    domains: tuple[str, ...]

    def hold(self, emails: Iterable[str]) -> bool:
        """Tell whether any address is of one of the domains or of a domain below it."""
        return any(
            host == domain or host.endswith("." + domain)
            for host in (email.rpartition("@")[2] for email in emails) for domain in self.domains
        )


class Normalizer:
    """One company's mapping, compiled once and used for every record of a run. Safe to share between threads."""

    def __init__(self, mapping: CompanyMapping) -> None:
        self._mapping = mapping
        self._zone = mapping.zone
        self._tables = {name: _Table(rows) for name, rows in mapping.values.items()}
        self._staff = _Domains(tuple(fold(d) for d in mapping.excluded.staff_domains))
        self._competitors = _Domains(tuple(fold(d) for d in mapping.excluded.competitor_domains))
        self._activities: dict[tuple[str, str], list[ActivityMapping]] = {}
        for crm, part in mapping.crm.items():
            for one in part.activities:
                self._activities.setdefault((crm, one.stream), []).append(one)

    def is_people(self, crm: str, stream: str) -> bool:
        """Tell whether the stream's records are humans."""
        return crm in self._mapping.crm and stream in self._mapping.crm[crm].people

    def contact(self, key: RecordKey, modified_at: datetime, payload: Mapping[str, Any]) -> Contact:
        """Translate one record of a people stream.

        A value that its table does not know becomes None and a problem line. Beside the mapped attributes there are
        `email_domain` of the primary address, and `staff` and `competitor` by any address.

        Raises:
            KeyError: The stream is no people stream of the mapping; ask `is_people` first.
        """
        stream = self._mapping.crm[key.crm].people[key.stream]
        problems: list[str] = []
        attributes = {name: self._attribute(name, s, payload, problems) for name, s in stream.fields.items()}
        emails = _emails(attributes, stream, problems)
        attributes["email"] = normalize_email(text_of(attributes["email"]))
        attributes["email_domain"] = emails[0].rpartition("@")[2] if emails else None
        attributes["staff"] = self._staff.hold(emails)
        attributes["competitor"] = self._competitors.hold(emails)
        superseding = _record_keys(stream.superseded_by, payload)
        return Contact(
            key=key, modified_at=modified_at, attributes=attributes, emails=emails,
            linked_to=_record_keys(stream.links, payload), stage=_stage(attributes.get("stage")),
            owner_id=text_of(attributes.get("owner_id")),
            superseded_by=superseding[0] if superseding else None, problems=tuple(problems),
        )

    def stage(self, key: RecordKey, value: Value) -> Stage | None:
        """Translate a value of the stage field of this record's stream; None when it has none or means nothing."""
        source = self._mapping.crm[key.crm].people[key.stream].fields.get("stage")
        return None if source is None else _stage(self._translate(source, value))

    def activities(
        self, key: RecordKey, modified_at: datetime, payload: Mapping[str, Any], links: Mapping[str, tuple[str, ...]]
    ) -> list[Activity]:
        """Translate one record to what humans did, one activity for each participant.

        The first matching mapping without a counter applies, and every matching counter. A counter of n gives its
        newest `MAX_COUNTED` activities up to number n, all dated by the last-seen field: right only because they
        are `is_dated_once`, as is what has no readable date and takes the record's own. `activity_id` is
        `{key}#{kind}`, then the participant for a record that is no human itself (so that a participant joining
        later changes no id), then the counter's number.

        Args:
            links: As in RawRecord; ignored for a people stream, whose record is the subject itself.

        Returns:
            Nothing when no mapping matches or nobody took part.
        """
        matching = [one for one in self._activities.get((key.crm, key.stream), []) if matches(one.where, payload)]
        first = [m for m in matching if not m.count][:1]
        activities: list[Activity] = []
        for one in (*first, *(m for m in matching if m.count)):
            told_at = parse_moment(payload.get(one.occurred_at), self._zone)
            occurred_at = told_at or modified_at
            is_dated_once = told_at is None or bool(one.count)
            title = text_of(payload.get(one.title)).strip()
            count = _count(payload.get(one.count)) if one.count else 0
            numbers = [f"#{n}" for n in range(max(1, count - MAX_COUNTED + 1), count + 1)] if one.count else [""]
            activities += [
                Activity(
                    f"{key}#{one.kind}{participant}{number}", subject, one.kind, occurred_at, title, key.crm,
                    is_dated_once,
                )
                for subject, participant in self._subjects(key, links) for number in numbers
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

    def _attribute(self, name: str, source: FieldSource, payload: Mapping[str, Any], problems: list[str]) -> Value:
        value = payload.get(source.field)
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            return None
        if not isinstance(value, str | int | float | bool):
            problems.append(f"{name}: field {source.field} holds no plain value")
            return None
        if name == "unsubscribed" and not source.values:
            return {"true": True, "false": False}.get(fold(text_of(value)), value)
        found = self._translate(source, value)
        if found is None:
            problems.append(f"{name}: field {source.field} has a value that [values.{source.values}] does not know")
        elif name == "stage" and _stage(found) is None:
            problems.append(f"{name}: field {source.field} gives no stage of ours")
            return None
        return found

    def _translate(self, source: FieldSource, value: Value) -> Value:
        return self._tables[source.values].find(fold(text_of(value))) if source.values else value


def _stage(ours: Value) -> Stage | None:
    word = fold(text_of(ours))
    return Stage(word) if word in _STAGES else None


def _emails(attributes: Mapping[str, Value], stream: PeopleStream, problems: list[str]) -> tuple[str, ...]:
    """Return the normalised addresses, primary first, each once."""
    found: dict[str, None] = {}
    for name in ("email", "additional_emails"):
        for text in text_of(attributes.get(name)).split(";"):
            if not text.strip():
                continue
            email = normalize_email(text)
            if email is None:
                problems.append(f"{name}: field {stream.fields[name].field} holds what is no e-mail address")
            else:
                found[email] = None
    return tuple(found)


def _record_keys(targets: Mapping[str, str], payload: Mapping[str, Any]) -> tuple[RecordKey, ...]:
    keys = []
    for target, name in targets.items():
        crm, _, stream = target.partition(".")
        remote_id = text_of(payload.get(name)).strip()
        if remote_id:
            keys.append(RecordKey(crm, stream, remote_id))
    return tuple(keys)


def _count(value: Any) -> int:
    try:
        number = float(text_of(value))
    except ValueError:
        return 0
    return int(number) if math.isfinite(number) else 0
