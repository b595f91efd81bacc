"""A folder of CSV files behind the face of the contract suite, worked on as other programs would: with `csv` alone."""

from __future__ import annotations

import csv
import io
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from accounts import BEGINS_AT, MovedAccount, Need, Words
from pydantic import BaseModel

from connector import adapters
from connector.adapter_kit.protocol import Adapter
from connector.adapters import load
from connector.records import ChangeKind, Value

_OURS = (("mql_score", "number"), ("mql_reason", "text"), ("mql_became_at", "datetime"))
_FIELDS = "stream,name,label,type,choices"
_CONTACT = ("id", "modified_at", "name", "email", "stage")


@contextmanager
def csv_adapter_installed() -> Iterator[None]:
    """Let the folder beside be a CRM folder like the others, for as long as the block lasts."""
    place = str(Path(__file__).parent / "third_crm")
    adapters.__path__.append(place)
    try:
        yield
    finally:
        adapters.__path__.remove(place)


class CsvAccount(MovedAccount):
    crm = "csv"
    stream = "contacts"
    words = Words(
        "name", "email", "mql_score", "mql_reason", "mql_became_at", stage=("stage", "mql"), earlier_stage="inquiry",
        refused=("mql_score", "非数値"),
    )
    unknown_id = "999999"
    lacks: ClassVar = {
        Need.REQUESTS: "a file is read, nothing is asked",
        Need.FAULTS: "there is no connection that could break",
        Need.CREDENTIAL: "the file system decides",
        Need.CONVERTING: "there are contacts only",
        Need.LEADS: "there is no file of leads",
    }
    page = 20

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory(prefix="csv-crm-")
        self.folder = Path(self._temporary.name) / "kaneda"
        self.folder.mkdir()
        self._ids = itertools.count(1)
        self._deleted: dict[str, dict[str, str]] = {}
        self._now = datetime.fromisoformat(BEGINS_AT)
        self.empty()

    def close(self) -> None:
        super().close()
        self._temporary.cleanup()

    def connection(self, *, refused: bool) -> BaseModel:
        connection: BaseModel = load(self.crm).Connection(folder=self.folder)
        return connection

    def _connect_with_small_pages(self) -> Adapter:
        adapter = self.connect()
        adapter.page_size = self.page  # type: ignore[attr-defined]
        return adapter

    def empty(self, *, prepared: bool = True) -> None:
        for file in self.folder.iterdir():
            file.unlink()
        fields = [("name", "text", ""), ("email", "text", ""), ("stage", "choice", "inquiry;mql;sal;sql")]
        if prepared:
            fields += [(*one, "") for one in _OURS]
        lines = [_FIELDS, *(f"contacts,{name},{name},{kind},{choices}" for name, kind, choices in fields),
                 *(f"activities,{name},{name},text," for name in ("kind", "title", "contact_id")),
                 "activities,occurred_at,occurred_at,datetime,"]
        (self.folder / "fields.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
        self._deleted.clear()
        self.wait(0)

    def wait(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        (self.folder / "exported_at.txt").write_text(self._now.isoformat(), encoding="utf-8")

    def _create(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        made = [{"id": str(next(self._ids)), "modified_at": self._stamp(), "stage": "inquiry", **row} for row in rows]
        self.write("contacts", [*self.read("contacts"), *made], _CONTACT)
        return [row["id"] for row in made]

    def change(self, remote_id: str, **fields: Value) -> None:
        rows = self.read("contacts")
        row = next(row for row in rows if row["id"] == remote_id)
        row |= {name: "" if value is None else str(value) for name, value in fields.items()}
        row["modified_at"] = self._stamp()
        self.write("contacts", rows, _CONTACT)

    def delete(self, remote_id: str) -> None:
        self._remove(remote_id, "deleted", "")

    def restore(self, remote_id: str) -> None:
        self.write("removed", [row for row in self.read("removed") if row["id"] != remote_id])
        row = {**self._deleted.pop(remote_id), "modified_at": self._stamp()}
        self.write("contacts", [*self.read("contacts"), row], _CONTACT)

    def merge(self, winner: str, loser: str) -> str:
        self._remove(loser, "merged", winner)
        self.change(winner)
        return winner

    def erase(self, remote_id: str) -> None:
        self._remove(remote_id, "erased", "")

    def _stored_people(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return ((row["id"], row) for row in self.read("contacts"))

    def made(self, kind: ChangeKind) -> list[str]:
        return [row["id"] for row in self.read({ChangeKind.TASK: "tasks", ChangeKind.NOTE: "notes"}[kind])]

    # The files, as any other program sees them -------------------------------------------------------------

    def read(self, name: str) -> list[dict[str, str]]:
        """Return a file's rows, cells as they are; none when there is no file."""
        path = self.folder / f"{name}.csv"
        if not path.exists():
            return []
        return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))

    def write(
        self, name: str, rows: Sequence[Mapping[str, str]], columns: Sequence[str] = (), encoding: str = "utf-8",
    ) -> None:
        """Write a file of these rows, cells as they are."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(dict.fromkeys([*columns, *(name for row in rows for name in row)])))
        writer.writeheader()
        writer.writerows(rows)
        (self.folder / f"{name}.csv").write_bytes(text.getvalue().encode(encoding))

    def _remove(self, remote_id: str, kind: str, merged_into: str) -> None:
        rows = self.read("contacts")
        self._deleted[remote_id] = next(row for row in rows if row["id"] == remote_id)
        self.write("contacts", [row for row in rows if row["id"] != remote_id], _CONTACT)
        self.write("removed", [*self.read("removed"), {
            "stream": "contacts", "id": remote_id, "kind": kind, "removed_at": self._stamp(),
            "merged_into": merged_into,
        }])

    def _stamp(self) -> str:
        return self._now.astimezone(UTC).isoformat(timespec="milliseconds")
