"""A company's whole state as an archive: nothing forgotten, nothing half, from either database to either."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Float, Integer, SmallInteger, insert
from sqlalchemy import select as sql_select
from store_samples import COMPANY, NOW

from connector.errors import ArchiveError, ConfigError, LeaseHeldError, StoreError
from connector.pipeline import carry
from connector.pipeline.archive import LONGEST_LINE_BYTES
from connector.pipeline.carry import export_state, import_state
from connector.pipeline.company import Company
from connector.pipeline.private_file import new_private_file
from connector.store import Store, columns_of, number_column_of, open_store, portable_tables
from connector.store.instants import Instant
from connector.store.portable import LEFT_OUT, UNDECLARED_REFERENCES, references
from connector.store.schema import METADATA
from tests.sqlite_store import fresh_sqlite

TEXTS = ["佐藤 健", "a\"b\\c", "emoji 🎉", "line\nbreak", "ｚ"]


def company_of(store: Store, name: str = COMPANY) -> Company:
    """As much of a company as carrying needs."""
    return Company(name, None, "", {}, store, lambda: NOW)  # type: ignore[arg-type]


def fill(store: Store, company: str = COMPANY, count: int = 3) -> None:
    """Put rows into every table that goes along, derived from the schema: a table added later is filled too."""
    with store._engine.connect() as connection:
        connection.execution_options(writes=True)
        with connection.begin():
            first: dict[str, int] = {}
            for table in portable_tables():
                own, refers = number_column_of(table), references(table)
                if own:
                    last = connection.execute(sql_select(table.c[own]).order_by(table.c[own].desc()).limit(1)).scalar()
                    first[table.name] = (last or 0) + 1
                for number in range(count):
                    row: dict[str, Any] = {"company": company}
                    for column in columns_of(table):
                        if column.name in refers:
                            row[column.name] = first[refers[column.name]] + number
                        elif column.name != own:
                            row[column.name] = value_for(column, number)
                    connection.execute(insert(table).values(row))


def value_for(column: Any, number: int) -> Any:
    if column.nullable and number == 1:
        return None
    if isinstance(column.type, Instant):
        return NOW + timedelta(microseconds=number)
    if isinstance(column.type, Float):
        return 40.0 + number / 3
    if isinstance(column.type, SmallInteger | BigInteger | Integer):
        return number
    return f"{column.name} {TEXTS[number % len(TEXTS)]} {number}"


def tables_in(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


def manifest_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        told: dict[str, Any] = json.loads(archive.read("manifest.json"))
    return told


def pack(path: Path, manifest: Any, files: dict[str, bytes], *, honest: bool = True) -> Path:
    """Write an archive of these parts; `honest`: with the right sizes and digests."""
    for name, content in files.items() if honest else ():
        entry = manifest["tables"].get(name.removeprefix("tables/").removesuffix(".jsonl"))
        if entry is not None:
            entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                      "rows": content.count(b"\n")}
    path.unlink(missing_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("manifest.json", json.dumps(manifest))
    return path


@contextmanager
def another_store(path: Path) -> Iterator[Store]:
    with open_store(fresh_sqlite(path)) as opened:
        yield opened


@pytest.fixture
def exported(store: Store, tmp_path: Path) -> Path:
    fill(store)
    path = tmp_path / "mirai.mql.zip"
    export_state(store, COMPANY, path, NOW)
    return path


def test_every_table_of_a_company_is_exported_or_left_out_with_a_reason() -> None:
    of_companies = {table.name for table in METADATA.tables.values() if "company" in table.c}
    assert of_companies == METADATA.tables.keys(), "a table without a company column is nobody's: decide about it here"
    assert of_companies == {table.name for table in portable_tables()} | LEFT_OUT.keys()
    assert all(LEFT_OUT.values())


def test_every_column_with_another_tables_number_is_known_as_a_reference() -> None:
    numbered = {number_column_of(table): table.name for table in portable_tables() if number_column_of(table)}
    assert numbered == {"run_id": "runs", "receipt_id": "receipts"}
    for table in portable_tables():
        for column in columns_of(table):
            for number, owner in numbered.items():
                if number and column.name.endswith(number) and table.name != owner:
                    assert references(table).get(column.name) == owner, f"{table.name}.{column.name}"
    assert all(column in METADATA.tables[table].c for table, column in UNDECLARED_REFERENCES)


def test_sqlite_to_postgresql_and_back_gives_the_same_bytes_in_every_table(
    tmp_path: Path, fresh_postgres: Callable[..., str],
) -> None:
    first, second, third = (tmp_path / f"{n}.zip" for n in "123")
    with another_store(tmp_path / "a.db") as store:
        fill(store, count=5)
        export_state(store, COMPANY, first, NOW)
    with open_store(fresh_postgres()) as store:
        import_state(company_of(store), first)
        export_state(store, COMPANY, second, NOW)
        assert store.start_run(COMPANY, "sync", NOW) == 6, "the next number is one that nobody has"
    with another_store(tmp_path / "b.db") as store:
        import_state(company_of(store), second)
        export_state(store, COMPANY, third, NOW)
    assert tables_in(first) == tables_in(second) == tables_in(third)
    assert min(len(content) for content in tables_in(first).values()) > 0
    assert first.read_bytes() == third.read_bytes(), "nothing in it depends on where it was written"


def test_where_numbers_are_given_away_runs_and_all_that_refer_to_them_get_new_ones(
    exported: Path, store: Store,
) -> None:
    before = {table.name: rows_of(store, table.name, COMPANY) for table in portable_tables()}
    imported = import_state(company_of(store, "acme"), exported)
    assert imported.run_offset == 3
    for table in portable_tables():
        moved = {number_column_of(table), *references(table)} - {None}
        at = [i for i, column in enumerate(columns_of(table)) if column.name in moved]
        expected = [tuple(v + 3 if i in at and v is not None else v for i, v in enumerate(row))
                    for row in before[table.name]]
        assert rows_of(store, table.name, "acme") == expected, table.name
        assert rows_of(store, table.name, COMPANY) == before[table.name], "the other company is not touched"
    assert store.start_run("acme", "sync", NOW) == 7


def rows_of(store: Store, name: str, company: str) -> list[tuple[Any, ...]]:
    table = METADATA.tables[name]
    query = sql_select(*columns_of(table)).where(table.c.company == company).order_by(*table.primary_key.columns)
    with store._reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_an_archive_is_its_owners_alone_whatever_the_umask(store: Store, tmp_path: Path) -> None:
    fill(store)
    path, before = tmp_path / "mirai.mql.zip", os.umask(0)
    try:
        export_state(store, COMPANY, path, NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.glob("*.zip*")] + [p.name for p in tmp_path.glob(".*")] == ["mirai.mql.zip"]
    with zipfile.ZipFile(path) as archive:
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o600}


def test_what_exists_is_never_replaced(exported: Path, store: Store) -> None:
    before = exported.read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        export_state(store, COMPANY, exported, NOW)
    assert exported.read_bytes() == before


def test_a_company_of_which_nothing_is_kept_is_not_exported(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has nothing of a company 'nobody'"):
        export_state(store, "nobody", tmp_path / "x.zip", NOW)
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.filterwarnings("error")
def test_a_disk_that_takes_no_more_leaves_no_file_and_says_so_in_one_line(good: Path, tmp_path: Path) -> None:
    path, limits = tmp_path / "full.zip", resource.getrlimit(resource.RLIMIT_FSIZE)
    with another_store(good.parent / "mql.db") as store:
        assert store.has_state(COMPANY)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
        try:
            with pytest.raises(ArchiveError, match="cannot be written"):
                export_state(store, COMPANY, path, NOW)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_written_over_and_two_at_once_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    part = tmp_path / ".a.zip.part"
    part.write_bytes(b"left behind by a kill, and longer than what follows")
    part.chmod(0o644)
    with new_private_file(path) as file:
        file.write(b"new")
        with pytest.raises(ArchiveError, match="by another process"), new_private_file(path):
            pytest.fail("two write the same file")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not part.exists()


def test_state_that_is_there_is_only_replaced_when_asked(exported: Path, store: Store) -> None:
    with pytest.raises(StoreError, match="has state of company mirai already"):
        import_state(company_of(store), exported)
    store.start_run(COMPANY, "sync", NOW)
    before = manifest_of(exported)["tables"]
    import_state(company_of(store), exported, replaces=True)
    for table in portable_tables():
        assert len(rows_of(store, table.name, COMPANY)) == before[table.name]["rows"] == 3


def test_an_import_beside_a_run_is_refused_and_the_lease_is_given_back(exported: Path, store: Store) -> None:
    lease = store.acquire_lease("acme", "elsewhere/1", NOW, 60)
    with pytest.raises(LeaseHeldError):
        import_state(company_of(store, "acme"), exported)
    assert rows_of(store, "runs", "acme") == []
    store.release_lease(lease)
    import_state(company_of(store, "acme"), exported)
    store.acquire_lease("acme", "elsewhere/1", NOW, 60)


def damaged_row(table: str, row: list[Any] | Any, line: int = 0) -> Callable[[Any, dict[str, bytes]], None]:
    def damage(_manifest: Any, files: dict[str, bytes]) -> None:
        name = f"tables/{table}.jsonl"
        lines = files[name].splitlines()
        old = json.loads(lines[line])
        new = [v if v != "as it was" else old[i] for i, v in enumerate(row)] if isinstance(row, list) else row
        lines[line] = json.dumps(new, ensure_ascii=False).encode()
        files[name] = b"\n".join(lines) + b"\n"

    return damage


def bomb(_manifest: Any, files: dict[str, bytes]) -> None:
    files["tables/runs.jsonl"] = b"[" + b" " * (LONGEST_LINE_BYTES + 10) + b"]\n"


def drop_table(manifest: Any, files: dict[str, bytes]) -> None:
    del manifest["tables"]["records"], files["tables/records.jsonl"]


def twice(_manifest: Any, files: dict[str, bytes]) -> None:
    files["tables/cursors.jsonl"] += files["tables/cursors.jsonl"].splitlines(keepends=True)[-1]


def other_columns(manifest: Any, _files: dict[str, bytes]) -> None:
    manifest["tables"]["records"]["columns"][0] = "company"


AS = "as it was"
HOSTILE: dict[str, tuple[Callable[[Any, dict[str, bytes]], None], str]] = {
    "another company's row": (
        damaged_row("cursors", ["acme", "hubspot", "contacts", "c", 1]), "line 1: it is not a list of 4 values",
    ),
    "a text for an instant": (damaged_row("cursors", [AS, AS, AS, "2026"]), "line 1: saved_at holds no value"),
    "a number beyond the column": (damaged_row("runs", [2**63, AS, AS, AS, AS, AS, AS]), "run_id holds no value"),
    "true for a number": (damaged_row("cursors", [AS, AS, AS, True]), "saved_at holds no value of its kind"),
    "no row at all": (damaged_row("cursors", {"crm": 1}), "it is not a list"),
    "NULL where there must be something": (damaged_row("cursors", [AS, AS, None, AS]), "cursor holds no value"),
    "a row twice": (twice, "not in the order of its keys, or there twice"),
    "a run that is not there": (damaged_row("decisions", [AS] * 8 + [77, AS]), "refers to a row of runs"),
    "a bomb": (bomb, "a line of more than 64 MiB"),
    "a table less": (drop_table, "has not the tables of its schema"),
    "other columns": (other_columns, "has not the columns of its schema"),
    "a path out of the folder": (lambda _m, f: f.update({"../../etc/passwd": b"x"}), "does not name"),
    "no format of ours": (lambda m, _f: m.update(format=2), "of a format this program does not know"),
    "a manifest of something else": (lambda m, _f: m.update(kind="photo album"), "not as it must be"),
    "a newer schema": (
        lambda m, _f: m.update(schema_revision="9999"), "schema '9999', which this program does not know",
    ),
    "an older schema that it is not of": (
        lambda m, _f: m.update(schema_revision="0001"), "has not the tables of its schema",
    ),
    "other numbers": (lambda m, _f: m["tables"]["runs"].update(highest=99), "other numbers than its manifest says"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    with another_store(folder / "mql.db") as store:
        fill(store)
        export_state(store, COMPANY, folder / "good.zip", NOW)
    return folder / "good.zip"


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with another_store(tmp_path_factory.mktemp("empty") / "mql.db") as opened:
        yield opened


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_a_hostile_archive_is_refused_in_one_line_and_changes_nothing(
    case: str, good: Path, empty_store: Store, tmp_path: Path,
) -> None:
    damage, told = HOSTILE[case]
    manifest, files = manifest_of(good), tables_in(good)
    damage(manifest, files)
    path = pack(tmp_path / "bad.zip", manifest, files)
    with pytest.raises(ArchiveError) as error:
        import_state(company_of(empty_store), path)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not empty_store.has_state(COMPANY)


def test_an_archive_that_was_changed_or_cut_is_refused(good: Path, empty_store: Store, tmp_path: Path) -> None:
    manifest, files = manifest_of(good), tables_in(good)
    name = "tables/records.jsonl"
    changed = files | {name: files[name].replace("佐".encode(), "左".encode())}
    assert changed != files
    with pytest.raises(ArchiveError, match="its SHA-256 differs"):
        import_state(company_of(empty_store), pack(tmp_path / "a.zip", manifest, changed, honest=False))
    longer = files | {name: files[name] + b"[]\n"}
    with pytest.raises(ArchiveError, match="by the manifest"):
        import_state(company_of(empty_store), pack(tmp_path / "b.zip", manifest, longer, honest=False))
    cut = tmp_path / "c.zip"
    cut.write_bytes(good.read_bytes()[:-200])
    with pytest.raises(ArchiveError, match="is no archive, or only part of one"):
        import_state(company_of(empty_store), cut)
    flipped = bytearray(good.read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    cut.write_bytes(flipped)
    with pytest.raises(ArchiveError):
        import_state(company_of(empty_store), cut)
    with pytest.raises(ArchiveError, match="cannot be read"):
        import_state(company_of(empty_store), tmp_path / "none.zip")
    assert not empty_store.has_state(COMPANY)


def test_an_archive_that_changes_between_the_check_and_the_import_leaves_nothing_behind(
    good: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "swapped.zip"
    manifest, files = manifest_of(good), tables_in(good)
    last = portable_tables()[-1].name
    files[f"tables/{last}.jsonl"] = files[f"tables/{last}.jsonl"].replace(b"0", b"1")
    pack(path, manifest, files, honest=False)
    monkeypatch.setattr(carry, "_check", lambda archive: None)      # as if it had been good a moment before
    with pytest.raises(ArchiveError, match="SHA-256"):
        import_state(company_of(store), path)
    assert not store.has_state(COMPANY), "rows of the tables before it were written and rolled back"
