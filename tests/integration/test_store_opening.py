"""Opening, upgrading, and what is said when the database cannot do its work."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from store_samples import COMPANY, NOW, raw

from connector.errors import ConfigError, StoreError
from connector.store import open_store, sqlite, versions
from connector.store.schema import METADATA
from tests.sqlite_store import fresh_sqlite

SECRET = "hanako@example.jp"


def test_a_new_store_is_made_with_its_directory(tmp_path):
    path = tmp_path / "deep" / "er" / "mql.db"
    with open_store(f"sqlite:///{path}") as store:
        assert store.last_runs(COMPANY, 1) == []
    assert path.exists()


def test_the_migrated_schema_is_the_one_the_tables_say(tmp_path):
    path = tmp_path / "mql.db"
    open_store(f"sqlite:///{path}").close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()

    def definitions(connection):
        not_ours = "('alembic_version', 'sqlite_stat1')"
        query = f"SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT IN {not_ours}"
        return {name: "".join(sql.split()) for name, sql in connection.execute(query)}

    plain = create_engine("sqlite://")
    METADATA.create_all(plain)
    with plain.connect() as direct, sqlite3.connect(path) as migrated:
        # Compares what Alembic's comparison does not see: clustering and the conditions of partial indexes.
        assert {n: "WITHOUTROWID" in s for n, s in definitions(migrated).items()} == {
            n: "WITHOUTROWID" in s for n, s in definitions(direct.connection.driver_connection).items()
        }
        conditions = {n: s.partition("WHERE")[2] for n, s in definitions(migrated).items() if n.startswith("ix_")}
        assert conditions == {
            n: s.partition("WHERE")[2]
            for n, s in definitions(direct.connection.driver_connection).items() if n.startswith("ix_")
        }
    migrated.close()
    plain.dispose()


def test_the_revisions_the_program_knows_are_those_of_its_migrations():
    config = Config()
    config.set_main_option("script_location", os.path.join(os.path.dirname(versions.__file__), "migrations"))
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == versions.REVISIONS


def test_opening_a_current_store_is_fast_and_does_not_import_alembic(tmp_path):
    url = fresh_sqlite(tmp_path / "mql.db")
    script = (
        "import sys, time; from connector.store import open_store; began = time.process_time();"
        f"open_store({url!r}).close(); print(time.process_time() - began, 'alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, imported = done.stdout.split()
    assert imported == "False"
    assert float(seconds) < 0.1


def test_two_processes_may_make_the_store_at_once(tmp_path):
    script = f"from connector.store import open_store; open_store('sqlite:///{tmp_path}/mql.db').close()"
    running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]


def test_a_newer_store_is_refused(tmp_path):
    url = fresh_sqlite(tmp_path / "mql.db")
    with sqlite3.connect(tmp_path / "mql.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match=r"schema 9999, newer than") as caught:
        open_store(url)
    assert "update the program" in caught.value.hint


def test_another_programs_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "mql.db") as connection:
        connection.execute("CREATE TABLE invoices (id)")
    with pytest.raises(StoreError, match="belongs to another program"):
        open_store(f"sqlite:///{tmp_path}/mql.db")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("invoices",)]
    connection.close()


@pytest.mark.parametrize("url", ["mysql://db/mql", "no url", "sqlite://", "sqlite:///:memory:"])
def test_a_url_of_no_known_database_is_a_config_error(url):
    with pytest.raises(ConfigError, match=r"write sqlite:///path\S+ or postgresql://"):
        open_store(url)


def test_the_password_of_a_refused_url_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        open_store("mysql://mql:hidden-word@db/mql")
    assert "hidden-word" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "mql.db"
    path.write_bytes(b"Excel, renamed " * 400)
    with pytest.raises(StoreError, match=r"mql\.db is not a database") as caught:
        open_store(f"sqlite:///{path}")
    assert "store] url" in caught.value.hint


def test_a_directory_in_the_files_place_is_named(tmp_path):
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="its directory cannot be made"):
        open_store(f"sqlite:///{tmp_path}/file/mql.db")


def test_a_read_only_store_is_read_and_says_so_when_written(tmp_path):
    fresh_sqlite(tmp_path / "mql.db")
    with open_store(f"sqlite:///file:{tmp_path}/mql.db?mode=ro&uri=true") as store:
        assert store.count_pending(COMPANY) == 0
        with pytest.raises(StoreError, match="is read-only"):
            store.acquire_lease(COMPANY, "run-1", NOW, 60)


def test_a_full_disk_is_named_and_the_page_is_not_half_saved(tmp_path):
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
        with store._engine.connect() as connection:     # the pool gives the same connection again
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
        page = [raw(str(i), email=SECRET, text="長" * 500) for i in range(500)]
        with pytest.raises(StoreError, match="disk is full") as caught:
            store.save_page(lease, "hubspot", "contacts", page, "cursor", NOW)
        assert "free some space" in caught.value.hint
        assert store.count_pending(COMPANY) == 0
        assert store.get_cursor(COMPANY, "hubspot", "contacts") is None


def test_a_lock_that_outlasts_our_patience_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.05)
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        other = sqlite3.connect(tmp_path / "mql.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked by another program"):
            store.start_run(COMPANY, "sync", NOW)
        other.execute("ROLLBACK")
        other.close()
        assert store.start_run(COMPANY, "sync", NOW) == 1


def test_a_writer_waits_for_the_one_before_it(tmp_path):
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        other = sqlite3.connect(tmp_path / "mql.db", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")

        def let_go():
            time.sleep(0.2)
            other.execute("COMMIT")

        thread = threading.Thread(target=let_go)
        thread.start()
        assert store.start_run(COMPANY, "sync", NOW) == 1
        thread.join()
        other.close()


def test_no_error_text_repeats_a_rows_data(tmp_path):
    with open_store(fresh_sqlite(tmp_path / "mql.db")) as store:
        lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
        with store._engine.connect() as connection:
            connection.execution_options(writes=True)
            connection.exec_driver_sql("DROP TABLE cursors")
            connection.commit()
        with pytest.raises(StoreError) as caught:
            store.save_page(lease, "hubspot", "contacts", [raw("1", email=SECRET)], f"cursor-{SECRET}", NOW)
        texts, error = [], caught.value
        while error is not None:
            texts.append(str(error))
            error = error.__cause__
        assert len(texts) >= 2
        assert SECRET not in "\n".join(texts)
