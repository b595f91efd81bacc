"""An archive that an older version of the program wrote is imported as what an upgrade would have made of its store."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from store_samples import COMPANY, NOW

from connector.errors import ArchiveError, StoreError
from connector.pipeline.archive import ArchiveWriter
from connector.pipeline.carry import import_state
from connector.store import REVISIONS, OlderState, Store, open_store, portable_tables
from connector.store.portable import LEFT_OUT
from tests.integration.test_carry import company_of, damaged_row, manifest_of, pack, rows_of, tables_in

OLD = "0003"
COUNT = 3
NUMBERS = {"runs": "run_id", "receipts": "receipt_id"}


def value_for(name: str, kind: str, number: int, *, is_nullable: bool) -> Any:
    if is_nullable and number == 1:
        return None
    if name.endswith("run_id"):
        return number + 1
    if kind == "FLOAT":
        return 40.0 + number / 3
    return number + 1 if "INT" in kind else f"{name} 佐藤 {number}"


def fill(path: Path, company: str) -> None:
    """Put rows into every table that goes along, of the file's own schema, by plain SQL."""
    with sqlite3.connect(path) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in sorted(names, key=lambda one: one not in NUMBERS):
            columns = database.execute(f"PRAGMA table_info({name})").fetchall()
            if "company" in {column[1] for column in columns} and name not in LEFT_OUT:
                for number in range(COUNT):
                    values = [
                        company if column == "company"
                        else value_for(column, kind, number, is_nullable=not must_be and not key)
                        for _, column, kind, must_be, _, key in columns
                    ]
                    database.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(values))})", values)


def export(path: Path, archive: Path) -> Path:
    """Write an archive of the file, as a program of its version would have."""
    with sqlite3.connect(path) as database, archive.open("wb") as file, ArchiveWriter(file) as writer:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in sorted(names):
            columns = database.execute(f"PRAGMA table_info({name})").fetchall()
            own = [column[1] for column in columns if column[1] != "company"]
            if len(own) == len(columns) or name in LEFT_OUT:
                continue
            if name == "persons":       # a schema made anew had it elsewhere than one to which it was added
                own = ["person_id", "held_at", *(one for one in own if one not in ("person_id", "held_at"))]
            keys = [column[1] for column in sorted(columns, key=lambda one: int(one[5])) if column[5]]
            rows = database.execute(f"SELECT {', '.join(own)} FROM {name} ORDER BY {', '.join(keys)}")
            writer.write_table(name, own, map(list, rows), NUMBERS.get(name))
        writer.finish(product_version="0.3", schema_revision=OLD, company=COMPANY, made_at=NOW)
    return archive


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The store of an older program with something in every table."""
    with OlderState(tmp_path / "older.db", OLD):
        pass
    fill(tmp_path / "older.db", COMPANY)
    return tmp_path / "older.db"


@pytest.fixture
def archive(older: Path, tmp_path: Path) -> Path:
    return export(older, tmp_path / "older.zip")


def test_it_brings_what_upgrading_the_older_store_itself_brings_and_leaves_no_file(
    archive: Path, older: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "T 100%41?a=b#c"      # in a URL all of it would mean something else
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert OLD in REVISIONS[:-1]
    imported = import_state(company_of(store, "acme"), archive)
    assert (imported.manifest.schema_revision, imported.is_upgraded, imported.run_offset) == (OLD, True, 0)
    assert list(folder.iterdir()) == []
    with open_store(f"sqlite:///{older}") as upgraded:
        for table in portable_tables():
            brought = rows_of(store, table.name, "acme")
            assert brought == rows_of(upgraded, table.name, COMPANY), table.name
            assert len(brought) == COUNT or table.name not in manifest_of(archive)["tables"], table.name
    assert store.start_run("acme", "sync", NOW) == COUNT + 1


@pytest.mark.parametrize("name", ["9999", "head", "base", "0003+1", "heads", "-1", "", "0003'; DROP TABLE runs; --"])
def test_a_schema_that_no_version_had_is_refused_with_the_remedy(
    name: str, archive: Path, tmp_path: Path,
) -> None:
    manifest = manifest_of(archive) | {"schema_revision": name}
    with open_store(f"sqlite:///{tmp_path / 'mql.db'}") as store:
        with pytest.raises(ArchiveError, match="which this program does not know") as error:
            import_state(company_of(store), pack(tmp_path / "bad.zip", manifest, tables_in(archive)))
        assert "update the program to 0.3 or newer" in error.value.hint
        assert not store.has_state(COMPANY)


@pytest.mark.parametrize(("revision", "damage", "told"), [
    ("0001", None, "has not the tables of its schema"),
    ("0004", None, "has not the columns of its schema"),
    (OLD, damaged_row("cursors", ["as it was", "as it was", None, "as it was"]), "line 1: cursor holds no value"),
    (OLD, damaged_row("cursors", "no row"), "line 1: it is not a list of 4 values"),
    (OLD, damaged_row("persons", ["as it was"]), "line 1: it is not a list of"),
    (OLD, damaged_row("decisions", ["as it was"] * 8 + [77]), "refers to a row of runs"),
])
def test_one_that_is_not_what_it_says_is_refused_and_leaves_nothing(
    revision: str, damage: Any, told: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "T").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "T"))
    manifest, files = manifest_of(archive) | {"schema_revision": revision}, tables_in(archive)
    if damage is not None:
        damage(manifest, files)
    with open_store(f"sqlite:///{tmp_path / 'mql.db'}") as store:
        with pytest.raises(ArchiveError) as error:
            import_state(company_of(store), pack(tmp_path / "bad.zip", manifest, files))
        assert told in str(error.value)
        assert not store.has_state(COMPANY)
    assert list((tmp_path / "T").iterdir()) == []


def test_without_room_for_temporary_files_the_remedy_is_told(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with (
        open_store(f"sqlite:///{tmp_path / 'mql.db'}") as store,
        pytest.raises(ArchiveError, match="no temporary folder can be made") as error,
    ):
        import_state(company_of(store), archive)
    assert "set TMPDIR" in error.value.hint


def test_numbers_that_postgresql_alone_gives_away_come_along(older: Path, store: Store, tmp_path: Path) -> None:
    beyond = 2**40
    with sqlite3.connect(older) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for column in {row[1] for row in database.execute(f"PRAGMA table_info({name})")}:
                if column in ("receipt_id", "run_id", "replacement_run_id"):
                    database.execute(f"UPDATE {name} SET {column} = {column} + {beyond}")
    imported = import_state(company_of(store, "acme"), export(older, tmp_path / "large.zip"))
    assert imported.run_offset == 0
    assert store.start_run("acme", "sync", NOW) == beyond + COUNT + 1


def test_where_the_temporary_files_find_no_room_their_folder_is_told_and_nothing_is_left(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "T").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "T"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_store(f"sqlite:///{tmp_path / 'mql.db'}") as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(StoreError, match=r"older\.db") as error:
                import_state(company_of(store), archive)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert error.value.hint.endswith("; TMPDIR says in which folder such files are made")
        assert not store.has_state(COMPANY)
    assert list((tmp_path / "T").iterdir()) == []


CONFIG = f"""
[store]
url = "sqlite:///mql.db"
[companies.{COMPANY}]
mapping = "{Path(__file__).parents[2] / 'mappings' / 'mirai.toml'}"
[companies.{COMPANY}.hubspot]
base_url = "http://127.0.0.1:9"
token = "t"
[companies.{COMPANY}.salesforce]
base_url = "http://127.0.0.1:9"
client_id = "i"
client_secret = "s"
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_on_the_way_leaves_no_file_of_the_people_in_it(
    ending: signal.Signals, archive: Path, tmp_path: Path,
) -> None:
    folder, config = tmp_path / "T", tmp_path / "config.toml"
    folder.mkdir()
    config.write_text(CONFIG, encoding="utf-8")
    importing = subprocess.Popen(
        [sys.executable, "-m", "connector.cli", "--config", str(config), "import", str(archive)],
        env=os.environ | {"TMPDIR": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    try:
        until = time.monotonic() + 60
        while not any(folder.glob("mql-import-*/older.db")):
            assert importing.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        importing.send_signal(ending)
        _, said = importing.communicate(timeout=30)
    finally:
        importing.kill()
    assert (importing.returncode, said) == (130, "mql: interrupted; what was stored so far is kept\n")
    assert list(folder.iterdir()) == []
    with open_store(f"sqlite:///{tmp_path / 'mql.db'}") as store:
        assert not store.has_state(COMPANY)
