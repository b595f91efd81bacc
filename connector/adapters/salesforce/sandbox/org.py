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
from connector.adapters.salesforce.sandbox.objects import LEAD_STATUSES, product_fields, standard_objects
from connector.adapters.salesforce.sandbox.schema import Field, SObject
from connector.adapters.salesforce.sandbox.values import datetime_text

Row = dict[str, Any]
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ARCHIVED_AFTER_DAYS = 365
"""Closed tasks and events older than this are seen by queryAll only.

Source: developer.salesforce.com/docs, sforce_api_guidelines_archive, checked 2026-11-22.
"""

_LOOKUPS: tuple[tuple[str, str], ...] = (
    ("Lead", "Email"), ("Contact", "Email"), ("Contact", "AccountId"), ("CampaignMember", "CampaignId"),
    ("CampaignMember", "LeadId"), ("CampaignMember", "ContactId"), ("CampaignMemberStatus", "CampaignId"),
    ("Task", "WhoId"), ("Event", "WhoId"), ("LeadHistory", "LeadId"), ("ContentDocumentLink", "LinkedEntityId"),
    ("ContentDocumentLink", "ContentDocumentId"), ("OpportunityContactRole", "OpportunityId"),
    ("OpportunityContactRole", "ContactId"), ("Opportunity", "AccountId"),
)


class Org:
    """One account's records and fields. Not safe for threads by itself: callers hold the sandbox's lock.

    Attributes:
        account: The name that credentials carry.
        objects: The org's sObjects by API name, custom fields included.
        db: The open database.
        api_calls: Calls answered since the start, for `Sforce-Limit-Info`.
    """

    def __init__(self, account: str, path: Path, clock: SandboxClock, *, prepared: bool = True) -> None:
        self.account = account
        self.path = path
        self.clock = clock
        self.api_calls = 0
        self.objects = standard_objects()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        # State must survive a restart of the sandbox, not a power cut: waiting for the disk buys nothing.
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("PRAGMA cache_size = -131072")
        self._savepoints = 0
        self._schema_touched = False
        if self.db.execute("SELECT count(*) FROM sqlite_master WHERE name = '_field'").fetchone()[0]:
            self.reload_schema()
        else:
            with self.transaction():
                self._create(prepared=prepared)
        self.time_zone = ZoneInfo(self.db.execute('SELECT "TimeZoneSidKey" FROM "Organization"').fetchone()[0])

    # Schema ---------------------------------------------------------------------------------------------

    def sobject(self, name: str) -> SObject | None:
        """Return the object of that API name, whatever its case, or None."""
        wanted = name.lower()
        return self.objects.get(name) or next((o for o in self.objects.values() if o.name.lower() == wanted), None)

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

    def custom_fields(self) -> list[tuple[str, str, Field]]:
        """Return every custom field as (CustomField id, object, field)."""
        rows = self.db.execute("SELECT id, sobject, definition FROM _field ORDER BY rowid").fetchall()
        return [(field_id, name, _field_from(definition)) for field_id, name, definition in rows]

    def set_picklist(self, sobject: str, field: str, values: Iterable[str]) -> None:
        """Replace a standard picklist's values, as an administrator would; kept over a restart."""
        self._schema_touched = True
        row = (sobject, field, orjson.dumps(list(values)))
        self.db.execute("INSERT OR REPLACE INTO _picklist VALUES (?, ?, ?)", row)
        self._apply_picklists()

    def _apply_picklists(self) -> None:
        for sobject, field, values in self.db.execute("SELECT sobject, field, picklist FROM _picklist"):
            known = self.objects[sobject].fields[field]
            words = tuple(orjson.loads(values))
            default = words[0] if known.default is not None and known.default not in words else known.default
            self.objects[sobject].add(replace(known, picklist=words, default=default))

    def _create(self, *, prepared: bool) -> None:
        self.db.execute("CREATE TABLE _field (id TEXT PRIMARY KEY, sobject TEXT NOT NULL, definition BLOB NOT NULL)")
        self.db.execute(
            "CREATE TABLE _picklist (sobject TEXT, field TEXT, picklist BLOB, PRIMARY KEY (sobject, field))"
        )
        self.db.execute("CREATE TABLE _sequence (last INTEGER NOT NULL)")
        self.db.execute("INSERT INTO _sequence VALUES (0)")
        self.db.execute(
            "CREATE TABLE _locator (id TEXT PRIMARY KEY, soql TEXT NOT NULL, show_all INTEGER NOT NULL,"
            " total INTEGER NOT NULL, first_page BLOB NOT NULL, row_numbers BLOB, expires_at TEXT NOT NULL)"
        )
        for one in self.objects.values():
            columns = ", ".join(f.sql_column for f in one.stored_fields if f.name != "Id")
            own = '_row INTEGER PRIMARY KEY, "Id" TEXT NOT NULL UNIQUE'
            self.db.execute(f'CREATE TABLE "{one.name}" ({own}, {columns})')
            if "SystemModstamp" in one.fields:
                # IsDeleted is in the index so that an incremental query and its count need no table look-up.
                last = ', "IsDeleted"' if "IsDeleted" in one.fields else ""
                self.db.execute(f'CREATE INDEX "{one.name}_changed" ON "{one.name}" ("SystemModstamp", "Id"{last})')
        for table, column in _LOOKUPS:
            self.db.execute(f'CREATE INDEX "{table}_{column}" ON "{table}" ("{column}")')
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
        for permission in self.rows("FieldPermissions"):
            sobject = self.sobject(permission["SobjectType"])
            known = sobject.field(permission["Field"].rpartition(".")[2]) if sobject else None
            if sobject is None or known is None:
                continue
            if not permission["PermissionsRead"]:
                sobject.hide(known.name)
            elif not permission["PermissionsEdit"]:
                sobject.add(replace(known, createable=False, updateable=False))

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

    # Time and ids ---------------------------------------------------------------------------------------

    def now_text(self) -> str:
        """Return the sandbox's now as stored: whole seconds, as the vendor keeps every stamp."""
        return datetime_text(self.clock.now())

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
