"""One org's data: a SQLite file with a real table per sObject and a column per field.

Rows are plain dicts of stored values (see `schema.Field`). Nothing here judges a value; `writes` does. Text
comparison is SQLite's NOCASE: without regard to case for ASCII only, where the vendor folds every script.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from connector.adapter_kit.sandbox.ids import checksum, salesforce_id
from connector.adapter_kit.sandbox.server import SandboxClock
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.objects import (
    CLOSED_TASK_STATUSES,
    LEAD_STATUSES,
    TASK_STATUSES,
    product_fields,
    standard_objects,
)
from connector.adapters.salesforce.sandbox.options import Options
from connector.adapters.salesforce.sandbox.schema import Field, SObject
from connector.adapters.salesforce.sandbox.switches import Switches
from connector.adapters.salesforce.sandbox.tables import create_tables
from connector.adapters.salesforce.sandbox.values import datetime_text

Row = dict[str, Any]
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ARCHIVED_AFTER_DAYS = 365
"""Closed tasks and events older than this are seen by queryAll only.

Source: developer.salesforce.com/docs, sforce_api_guidelines_archive, checked 2026-11-22.
"""


class Org:
    """One account's records and fields. Not safe for threads by itself: callers hold the sandbox's lock.

    Attributes:
        account: The name that credentials carry.
        objects: The org's sObjects by API name, custom fields included.
        db: The open database.
        switches: What is unverified about the vendor, and what this org lacks; not kept over a restart.
        stamped_at: The moment whose stamps are written while a long transaction is committed, else None.
        options: How the request that is being answered wants its writes done.
        rules: What the administrator set up, see `admin_rules`.
        locks: Ids of rows that another transaction holds, and until when; not kept over a restart.
        looked_in_bin_at: When the recycle bin was last tidied; None, look at the next request.
    """

    def __init__(self, account: str, path: Path, clock: SandboxClock, *, prepared: bool = True) -> None:
        self.account = account
        self.path = path
        self.clock = clock
        self.objects = standard_objects()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        # State must survive a restart of the sandbox, not a power cut: waiting for the disk buys nothing.
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("PRAGMA cache_size = -65536")
        self.switches = Switches()
        self.stamped_at: datetime | None = None
        self.looked_in_bin_at: datetime | None = None
        self.options = Options()
        self.rules: list[dict[str, Any]] = []
        self.locks: dict[str, datetime] = {}
        self._calls: dict[int, int] = {}
        self._savepoints = 0
        self._schema_touched = False
        if self.db.execute("SELECT count(*) FROM sqlite_master WHERE name = '_field'").fetchone()[0]:
            self.reload_schema()
        else:
            with self.transaction():
                self._create(prepared=prepared)
        self.load_rules()
        self.time_zone = ZoneInfo(self.db.execute('SELECT "TimeZoneSidKey" FROM "Organization"').fetchone()[0])

    # Calls and rules ------------------------------------------------------------------------------------

    @property
    def api_calls(self) -> int:
        """Calls counted in the last 24 hours, hour by hour; not kept over a restart."""
        self._calls = {hour: count for hour, count in self._calls.items() if self._hour() - 24 < hour <= self._hour()}
        return sum(self._calls.values())

    def count_call(self) -> None:
        """Count one call now."""
        self._calls[self._hour()] = self._calls.get(self._hour(), 0) + 1

    def _hour(self) -> int:
        return int(self.clock.now().timestamp() // 3600)

    def load_rules(self) -> None:
        """Read the administrator's rules anew."""
        self.rules = [orjson.loads(row[0]) for row in self.db.execute("SELECT definition FROM _rule ORDER BY id")]

    # Schema ---------------------------------------------------------------------------------------------

    def sobject(self, name: str) -> SObject | None:
        """Return the object of that API name, whatever its case, or None."""
        wanted = name.lower()
        found = self.objects.get(name) or next((o for o in self.objects.values() if o.name.lower() == wanted), None)
        return None if found is None or found.name in self.switches.missing_objects else found

    @property
    def visible_objects(self) -> list[SObject]:
        """The objects this org has, in describe's order."""
        return [one for one in self.objects.values() if one.name not in self.switches.missing_objects]

    def by_prefix(self, record_id: str) -> SObject | None:
        """Return the object whose records have ids like `record_id`, or None."""
        return next((o for o in self.objects.values() if o.prefix == record_id[:3]), None)

    def add_field(self, sobject: SObject, field: Field) -> str:
        """Add a custom field to an object and return the id of its CustomField record."""
        self._schema_touched = True
        field_id = self.next_id("00N")
        definition = {name: getattr(field, name) for name in field.__slots__}
        self.db.execute("INSERT INTO _field VALUES (?, ?, ?)", (field_id, sobject.name, orjson.dumps(definition)))
        default = " DEFAULT 1" if field.type == "boolean" and field.default else ""
        column = field.sql_column.replace(" DEFAULT 0", default or " DEFAULT 0")
        self.db.execute(f'ALTER TABLE "{sobject.name}" ADD COLUMN {column}')
        if field.unique or field.external_id:
            self.db.execute(f'CREATE INDEX "{sobject.name}_{field.name}" ON "{sobject.name}" ("{field.name}")')
        sobject.add(field)
        return field_id

    def remove_field(self, field_id: str) -> None:
        """Delete a custom field with its values, as an administrator would; harmless when there is none of that id."""
        found = next((one for one in self.custom_fields() if one[0] == field_id), None)
        if found is not None:
            _, name, field = found
            self.db.execute(f'DROP INDEX IF EXISTS "{name}_{field.name}"')
            self.db.execute(f'ALTER TABLE "{name}" DROP COLUMN "{field.name}"')
            self.db.execute("DELETE FROM _field WHERE id = ?", (field_id,))
            self.reload_schema()

    def change_field(self, field_id: str, field: Field) -> None:
        """Give a custom field another definition under its name; values that the new type cannot hold are lost."""
        name, old = next((name, old) for known, name, old in self.custom_fields() if known == field_id)
        numbers = ("int", "double", "currency", "percent")
        kept = f'"{old.name}"'
        if (field.type in numbers) != (old.type in numbers) or "boolean" in (field.type, old.type):
            # A text that reads as a number back from one is one.
            number = f'CAST("{old.name}" AS REAL)'
            kept = f'CASE WHEN CAST({number} AS TEXT) = "{old.name}" THEN {number} END' if field.type in numbers else (
                "0" if field.type == "boolean" else f'CAST("{old.name}" AS TEXT)'
            )
        self.db.execute(f'DROP INDEX IF EXISTS "{name}_{old.name}"')
        self.db.execute(f'ALTER TABLE "{name}" ADD COLUMN {replace(field, name="_changed").sql_column}')
        self.db.execute(f'UPDATE "{name}" SET "_changed" = {kept}')
        self.db.execute(f'ALTER TABLE "{name}" DROP COLUMN "{old.name}"')
        self.db.execute(f'ALTER TABLE "{name}" RENAME COLUMN "_changed" TO "{field.name}"')
        if field.unique or field.external_id:
            self.db.execute(f'CREATE INDEX "{name}_{field.name}" ON "{name}" ("{field.name}")')
        definition = {one: getattr(field, one) for one in field.__slots__}
        self.db.execute("UPDATE _field SET definition = ? WHERE id = ?", (orjson.dumps(definition), field_id))
        self.reload_schema()

    def custom_fields(self) -> list[tuple[str, str, Field]]:
        """Return every custom field as (CustomField id, object, field)."""
        rows = self.db.execute("SELECT id, sobject, definition FROM _field ORDER BY rowid").fetchall()
        return [(field_id, name, _field_from(definition)) for field_id, name, definition in rows]

    def set_picklist(self, sobject: str, field: str, values: Iterable[str], *, restricted: bool = False) -> None:
        """Replace a standard picklist's values, as an administrator would; kept over a restart."""
        self._schema_touched = True
        row = (sobject, field, orjson.dumps({"values": list(values), "restricted": restricted}))
        self.db.execute("INSERT OR REPLACE INTO _picklist VALUES (?, ?, ?)", row)
        self._apply_picklists()

    def _apply_picklists(self) -> None:
        for sobject, field, values in self.db.execute("SELECT sobject, field, picklist FROM _picklist"):
            known = self.objects[sobject].fields[field]
            kept = orjson.loads(values)
            words = tuple(kept["values"])
            default = words[0] if known.default is not None and known.default not in words else known.default
            self.objects[sobject].add(replace(known, picklist=words, default=default, restricted=kept["restricted"]))

    def _create(self, *, prepared: bool) -> None:
        create_tables(self.db, self.objects.values())
        if prepared:
            for object_name, field in product_fields():
                self.add_field(self.objects[object_name], field)
        self._create_people()

    def reload_schema(self) -> None:
        """Build the objects anew from what is stored: custom fields, picklists, and who may see and write what."""
        self._schema_touched = True
        self.objects = standard_objects()
        for _, object_name, field in self.custom_fields():
            self.objects[object_name].add(field)
        self._apply_picklists()
        for (object_name, field_name), (may_read, may_edit) in self._field_permissions().items():
            sobject = self.sobject(object_name)
            known = sobject.field(field_name) if sobject else None
            if sobject is None or known is None:
                continue
            if not may_read:
                sobject.hide(known.name)
            elif not may_edit:
                sobject.add(replace(known, createable=False, updateable=False))

    def _field_permissions(self) -> dict[tuple[str, str], tuple[bool, bool]]:
        """Return what the user may do with fields: (object, field) -> (read, edit), rights of all sources added up.

        A record whose parent is a permission set counts only when the set is assigned to the user; with any other
        parent it always does.
        """
        sets = {row["Id"] for row in self.rows("PermissionSet")}
        assigned = {row["PermissionSetId"] for row in self.rows(
            "PermissionSetAssignment", '"AssigneeId" = ?', self.user_id,
        )}
        found: dict[tuple[str, str], tuple[bool, bool]] = {}
        for row in self.rows("FieldPermissions"):
            if row["ParentId"] in sets and row["ParentId"] not in assigned:
                continue
            place = row["SobjectType"], row["Field"].rpartition(".")[2]
            may_read, may_edit = found.get(place, (False, False))
            found[place] = may_read or bool(row["PermissionsRead"]), may_edit or bool(row["PermissionsEdit"])
        return found

    def hide_field(self, sobject: str, field: str) -> None:
        """Let nobody see a field until a permission set grants it."""
        self.insert_row("FieldPermissions", {
            "Id": self.next_id("01k"), "ParentId": "profile", "SobjectType": sobject, "Field": f"{sobject}.{field}",
            "PermissionsRead": 0, "PermissionsEdit": 0, "SystemModstamp": self.now_text(),
        })
        self.reload_schema()

    def _create_people(self) -> None:
        """Make what every org has: itself, two active users and the lead statuses."""
        now = self.now_text()
        stamps = {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
        admin = self.user_id
        users = (("admin", "Admin", "Sandbox"), ("rep", "Rep", "Sales"))
        for key, last, first in users:
            email = f"{key}@{self.account}.example"
            self.insert_row("User", {
                "Id": salesforce_id("005", self.account, f"user:{key}"), "Username": email, "Email": email,
                "LastName": last, "FirstName": first, "Name": f"{first} {last}", "Alias": key, "IsActive": 1,
                "TimeZoneSidKey": "Asia/Tokyo", "LocaleSidKey": "ja_JP", "LanguageLocaleKey": "ja",
                "UserType": "Standard", "CreatedById": admin, "LastModifiedById": admin, **stamps,
            })
        self.insert_row("Organization", {
            "Id": salesforce_id("00D", self.account, "organization"), "Name": self.account,
            "TimeZoneSidKey": "Asia/Tokyo", "DefaultLocaleSidKey": "ja_JP", "LanguageLocaleKey": "ja",
            "OrganizationType": "Enterprise Edition", "InstanceName": "SBX1", "IsSandbox": 0, **stamps,
        })
        self.set_lead_statuses(LEAD_STATUSES, converted="Closed - Converted")
        self.set_task_statuses(TASK_STATUSES, closed=CLOSED_TASK_STATUSES)

    def set_lead_statuses(self, values: Iterable[str], converted: str) -> None:
        """Make `values` the words of Lead.Status; `converted` is the one that a converted lead takes."""
        labels = list(dict.fromkeys(values))
        self.db.execute('DELETE FROM "LeadStatus"')
        now = self.now_text()
        for order, label in enumerate(labels, 1):
            self.insert_row("LeadStatus", {
                "Id": self.next_id("01J"), "MasterLabel": label, "ApiName": label, "SortOrder": order,
                "IsDefault": int(order == 1), "IsConverted": int(label == converted),
                "CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now,
            })
        self.set_picklist("Lead", "Status", labels)

    def set_task_statuses(self, values: Iterable[str], closed: Iterable[str]) -> None:
        """Make `values` the words of Task.Status; a task with one of `closed` is closed."""
        labels, ends = list(dict.fromkeys(values)), set(closed)
        self.db.execute('DELETE FROM "TaskStatus"')
        now = self.now_text()
        for order, label in enumerate(labels, 1):
            self.insert_row("TaskStatus", {
                "Id": self.next_id("01T"), "MasterLabel": label, "ApiName": label, "SortOrder": order,
                "IsDefault": int(order == 1), "IsClosed": int(label in ends),
                "CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now,
            })
        self.set_picklist("Task", "Status", labels)

    # Time and ids ---------------------------------------------------------------------------------------

    def now_text(self) -> str:
        """Return the stamp of what is written now: whole seconds, as the vendor keeps every stamp."""
        return datetime_text(self.stamped_at or self.clock.now())

    def today(self) -> date:
        """Return today's date in the org's time zone."""
        return self.clock.now().astimezone(self.time_zone).date()

    def archive_before(self) -> str:
        """Return the day before which a closed activity is archived."""
        return (self.today() - timedelta(days=ARCHIVED_AFTER_DAYS)).isoformat()

    def local_midnight(self, day: date) -> datetime:
        """Return when `day` begins in the org's time zone."""
        return datetime(day.year, day.month, day.day, tzinfo=self.time_zone)

    @property
    def user_id(self) -> str:
        """The id of the user whom every credential stands for."""
        return salesforce_id("005", self.account, "user:admin")

    @property
    def organization_id(self) -> str:
        """The org's own id."""
        return salesforce_id("00D", self.account, "organization")

    def next_id(self, prefix: str) -> str:
        """Return a fresh 18-character record id."""
        number = self.db.execute("UPDATE _sequence SET last = last + 1 RETURNING last").fetchone()[0]
        digits = ""
        for _ in range(9):
            number, digit = divmod(number, 62)
            digits = _BASE62[digit] + digits
        first_15 = f"{prefix}SB0{digits}"
        return first_15 + checksum(first_15)

    # Rows -----------------------------------------------------------------------------------------------

    def stamps(self, sobject: SObject) -> Row:
        """Return what a change now sets in the system fields that the object has."""
        now = self.now_text()
        stamps = {"LastModifiedDate": now, "LastModifiedById": self.user_id, "SystemModstamp": now}
        return {name: value for name, value in stamps.items() if name in sobject.fields}

    def insert_row(self, table: str, values: Mapping[str, Any]) -> None:
        """Store one row as it is; a row with the same id is replaced."""
        columns = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        self.db.execute(f'INSERT OR REPLACE INTO "{table}" ({columns}) VALUES ({marks})', tuple(values.values()))

    def update_row(self, table: str, record_id: str, changes: Mapping[str, Any]) -> None:
        """Change one row as told."""
        if changes:
            sets = ", ".join(f'"{name}" = ?' for name in changes)
            self.db.execute(f'UPDATE "{table}" SET {sets} WHERE "Id" = ?', (*changes.values(), record_id))

    def row(self, table: str, record_id: str) -> Row | None:
        """Return one row, deleted ones included, or None."""
        return next(self.rows(table, '"Id" = ?', record_id), None)

    def rows(self, table: str, where: str = "1", *params: Any) -> Iterator[Row]:
        """Yield the rows of a table that meet the SQL condition `where`, in the order they were made."""
        cursor = self.db.execute(f'SELECT * FROM "{table}" WHERE {where} ORDER BY _row', params)
        names = [column[0] for column in cursor.description][1:]
        for row in cursor:
            yield dict(zip(names, row[1:]))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep what happens inside only if it ends without an exception; may be nested."""
        self._savepoints += 1
        name = f"s{self._savepoints}"
        self.db.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self.db.execute(f"ROLLBACK TO {name}")
            if self._schema_touched:
                self.reload_schema()
            raise
        finally:
            self.db.execute(f"RELEASE {name}")
            self._savepoints -= 1
            self._schema_touched = self._schema_touched and self._savepoints > 0

    def require(self, name: str) -> SObject:
        """Return the object of that name; raises the vendor's 404 when there is none."""
        found = self.sobject(name)
        if found is None:
            raise SalesforceError("NOT_FOUND", "The requested resource does not exist", status=404)
        return found

    def close(self) -> None:
        """Close the database; what is stored stays."""
        self.db.close()


def _field_from(definition: bytes) -> Field:
    known = orjson.loads(definition)
    for name in ("picklist", "reference_to"):
        known[name] = tuple(known[name])
    return Field(**known)
