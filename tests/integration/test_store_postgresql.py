"""PostgreSQL alone: who may not get in, a server that goes and comes back, versions while a deploy rolls."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import make_url, text
from store_samples import COMPANY, NOW, raw

from connector.cli import run
from connector.errors import ConfigError, StoreError
from connector.store import open_store, schema_state, upgrade
from connector.store.schema import METADATA
from connector.store.versions import REVISIONS

SECRET = "hidden-word"
PERSON = "hanako@example.jp"


def name_of(url: str) -> sql.Identifier:
    return sql.Identifier(make_url(url).database or "")


def texts_of(error: BaseException | None) -> str:
    """Every text of an error and what led to it, as a traceback would show them."""
    told = []
    while error is not None:
        told += [str(error), repr(error), getattr(error, "hint", "")]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(told)


def refused(url: str) -> StoreError:
    """The error of opening this store; it repeats no password."""
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert SECRET not in texts_of(caught.value)
    return caught.value


@pytest.fixture
def role(postgres, fresh_postgres):
    """A user who must know a password, of a database of their own: its URL with the right one, and the user's name."""
    url = fresh_postgres()
    name = f"mql_{make_url(url).database}"
    try:
        if not postgres.is_given:
            postgres.run(sql.SQL(
                "DO $$ BEGIN CREATE ROLE by_password; EXCEPTION WHEN duplicate_object THEN END $$"
            ))
        postgres.run(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(SECRET)))
    except psycopg.errors.InsufficientPrivilege:
        pytest.skip("the given PostgreSQL user may create no roles")
    if not postgres.is_given:
        postgres.run(sql.SQL("GRANT by_password TO {}").format(sql.Identifier(name)))
    postgres.run(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name_of(url), sql.Identifier(name)))
    yield make_url(url).set(username=name, password=SECRET).render_as_string(hide_password=False), name
    postgres.drop(url)
    postgres.run(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_wrong_password_is_told_as_that(role, postgres):
    if postgres.is_given:
        pytest.skip("whether a given server asks for passwords is its own matter")
    url, _ = role
    wrong = make_url(url).set(password=f"{SECRET}-not").render_as_string(hide_password=False)
    error = refused(wrong)
    assert "refuses the password (28P01)" in str(error)
    assert "check user and password" in error.hint


def test_a_user_without_rights_on_our_tables_is_told_so(role):
    url, _ = role
    with pytest.raises(StoreError, match=r"may not be used so by this user \(InsufficientPrivilege, 42501"):
        open_store(url)      # the tables belong to the server's user


def test_a_server_without_a_free_connection_says_so(role, postgres):
    url, name = role
    postgres.run(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 0").format(sql.Identifier(name)))
    assert "has no connection left (53300)" in str(refused(url))


def test_a_database_that_does_not_exist_is_named(fresh_postgres):
    url = make_url(fresh_postgres()).set(database="nowhere").render_as_string(hide_password=False)
    error = refused(url)
    assert "store nowhere on " in str(error)
    assert "does not exist (3D000)" in str(error)
    assert "create the database" in error.hint


@pytest.mark.parametrize("url", [
    f"postgresql://mql:{SECRET}@127.0.0.1:9/mql", f"postgres://mql:{SECRET}@nowhere.invalid/mql",
    f"postgresql+psycopg://mql:{SECRET}@/mql?host=/nowhere",
])
def test_a_server_that_cannot_be_reached_is_named_without_the_password(url):
    error = refused(url)
    assert "store mql on " in str(error)
    assert "cannot be reached" in str(error)
    assert "check the host and port" in error.hint


@pytest.mark.parametrize("url", [
    f"postgresql://mql:x@{SECRET}@db/mql", f"postgresql://mql:x@y/{SECRET}@db/mql", f"postgresql://mql:{SECRET}@db",
    f"postgresql://mql:{SECRET}@db:port/mql", f"postgresql://mql:{SECRET}@db/mql?passwort={SECRET}",
    f"postgresql+asyncpg://mql:{SECRET}@db/mql",
])
def test_a_url_that_is_wrong_is_a_config_error_and_not_repeated(url):
    with pytest.raises(ConfigError, match=r"store\.url") as caught:
        open_store(url)
    assert SECRET not in texts_of(caught.value)


def test_a_read_only_server_is_read_and_says_so_when_written(fresh_postgres, postgres):
    url = fresh_postgres()
    postgres.run(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name_of(url)))
    with open_store(url) as store:
        assert store.last_runs(COMPANY, 1) == []
        with pytest.raises(StoreError, match=r"is read-only \(ReadOnlySqlTransaction, 25006"):
            store.start_run(COMPANY, "sync", NOW)


@pytest.mark.parametrize(("code", "what"), [
    ("53100", "disk is full"), ("53200", "out of memory"), ("40P01", "met another writer"), ("XX001", "is damaged"),
    ("23514", "refused a statement"),
])
def test_trouble_in_the_middle_is_told_by_its_code_and_nothing_is_half_saved(fresh_postgres, code, what):
    url = fresh_postgres()
    with open_store(url) as store, psycopg.connect(url, autocommit=True) as server:
        lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)
        server.execute(f"""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION '{PERSON}' USING ERRCODE = '{code}', DETAIL = '{PERSON}'; END $$
        """)
        server.execute("CREATE TRIGGER fail BEFORE INSERT ON cursors FOR EACH ROW EXECUTE FUNCTION fail()")
        with pytest.raises(StoreError, match=f"{what}.*{code}") as caught:
            store.save_page(lease, "hubspot", "contacts", [raw("1", email=PERSON)], "c", NOW)
        assert PERSON not in texts_of(caught.value)
        assert caught.value.hint
        assert store.count_pending(COMPANY) == 0


def test_a_row_that_is_there_already_is_not_quoted(fresh_postgres):
    row = f"('{COMPANY}', '{PERSON}', '{PERSON}')"
    twice = text(f"INSERT INTO merges VALUES {row}, {row}")
    with open_store(fresh_postgres()) as store, pytest.raises(StoreError) as caught, store._changing() as connection:
        connection.execute(twice)
    assert "UniqueViolation, 23505, pk_merges" in str(caught.value)
    assert PERSON not in texts_of(caught.value)


def end_connections(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_connections_that_died_while_nobody_used_them_are_not_noticed(fresh_postgres):
    url = fresh_postgres()
    with open_store(url) as store:
        store.start_run(COMPANY, "sync", NOW)
        end_connections(url)
        assert len(store.last_runs(COMPANY, 5)) == 1
        end_connections(url)
        store.start_run(COMPANY, "sync", NOW)
        assert len(store.last_runs(COMPANY, 5)) == 2


def test_a_connection_that_dies_in_the_middle_fails_once_and_the_next_call_works(fresh_postgres):
    url = fresh_postgres()
    with open_store(url) as store:
        lease = store.acquire_lease(COMPANY, "run-1", NOW, 60)

        def write_while_it_dies() -> None:
            with store._writing(lease) as connection:
                connection.execute(text("DELETE FROM leases"))
                end_connections(url)
                connection.execute(text("DELETE FROM leases"))

        with pytest.raises(StoreError, match=r"store \S+ on .* (is shutting down|cannot be reached)"):
            write_while_it_dies()
        store.set_company_state(lease, mapping="a")
        assert store.get_company_state(COMPANY) == {"mapping": "a"}


def test_a_database_that_is_gone_for_a_while_is_told_and_used_again(fresh_postgres, postgres):
    url = fresh_postgres()
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with open_store(url) as store:
        postgres.run(allow.format(name_of(url), sql.SQL("false")))
        end_connections_as_server = sql.SQL(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
        ).format(sql.Literal(make_url(url).database))
        postgres.run(end_connections_as_server)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"store \S+ on .*") as caught:
                store.last_runs(COMPANY, 1)
            assert caught.value.hint
        postgres.run(allow.format(name_of(url), sql.SQL("true")))
        assert store.last_runs(COMPANY, 1) == []


def test_who_stands_still_in_the_middle_keeps_nobody_out(fresh_postgres):
    url = fresh_postgres()
    impatient = f"{url}&options=-c%20idle_in_transaction_session_timeout%3D200"
    with open_store(impatient) as stopped, open_store(url) as store:
        lease = stopped.acquire_lease(COMPANY, "run-1", NOW, 60)
        began = time.monotonic()

        def stand_still() -> None:
            with stopped._writing(lease) as connection:
                store.release_lease(lease)      # waits until the server has ended the other
                connection.execute(text("DELETE FROM leases"))

        with pytest.raises(StoreError, match=r"stood still|cannot be reached"):
            stand_still()
        assert time.monotonic() - began < 5
        assert store.acquire_lease(COMPANY, "run-2", NOW, 60).token == lease.token + 1


def test_a_database_of_another_encoding_is_refused(postgres, fresh_postgres):
    url = fresh_postgres(is_empty=True)
    with psycopg.connect(url) as server:
        if server.info.server_version < 150000:
            pytest.skip("CREATE DATABASE names no locale provider before PostgreSQL 15")
    postgres.drop(url)
    postgres.run(sql.SQL(
        "CREATE DATABASE {} TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C' ENCODING 'SQL_ASCII'"
    ).format(name_of(url)))
    assert "keeps texts as SQL_ASCII" in str(refused(url))


# --- The schema and its versions -------------------------------------------------------------------------


def test_the_migrated_schema_is_the_one_the_tables_say_and_orders_texts_by_code_point(fresh_postgres):
    with open_store(fresh_postgres()) as store, store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        others = connection.execute(text(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
        )).all()
        assert others == []


def set_revision(url: str, revision: str) -> None:
    with psycopg.connect(url) as server:
        server.execute("UPDATE alembic_version SET version_num = %s", (revision,))


def make_older(url: str) -> None:
    """Leave the database as the first version made it."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    config = Config()
    config.set_main_option("script_location", "connector/store/migrations")
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, REVISIONS[0])
    engine.dispose()


def test_an_empty_database_is_made_beside_the_job_engines_tables(fresh_postgres):
    url = fresh_postgres(is_empty=True)
    with psycopg.connect(url) as server:
        server.execute("CREATE TABLE procrastinate_jobs (id int)")
    assert schema_state(url)._replace(place="") == (None, REVISIONS, False, False, "")
    with open_store(url) as store:
        assert store.last_runs(COMPANY, 1) == []
    assert schema_state(url).is_current


def test_another_programs_database_is_left_alone(fresh_postgres):
    url = fresh_postgres(is_empty=True)
    with psycopg.connect(url) as server:
        server.execute("CREATE TABLE invoices (id int)")
    for use in (open_store, schema_state, upgrade):
        with pytest.raises(StoreError, match="belongs to another program"):
            use(url)


def test_an_older_schema_waits_for_whoever_deploys(fresh_postgres):
    url = fresh_postgres(is_empty=True)
    make_older(url)
    with pytest.raises(StoreError, match=f"schema {REVISIONS[0]}, older than {REVISIONS[-1]}") as caught:
        open_store(url)
    assert "mql db upgrade" in caught.value.hint
    state = schema_state(url)
    assert (state.revision, state.is_current, state.is_newer) == (REVISIONS[0], False, False)
    with ThreadPoolExecutor(3) as pool:
        assert [state.revision for state in pool.map(upgrade, [url] * 3)] == [REVISIONS[-1]] * 3
    open_store(url).close()


def test_a_newer_schema_is_refused_by_all(fresh_postgres):
    url = fresh_postgres()
    set_revision(url, "9999")
    assert schema_state(url).is_newer
    for use in (open_store, upgrade):
        with pytest.raises(StoreError, match=r"schema 9999, newer than"):
            use(url)


def test_many_processes_may_make_the_schema_at_once(fresh_postgres):
    url = fresh_postgres(is_empty=True)
    start = threading.Barrier(3)

    def make(_: int) -> str | None:
        start.wait()
        open_store(url).close()
        return schema_state(url).revision

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(make, range(3))) == {REVISIONS[-1]}


def test_the_commands_tell_and_upgrade(fresh_postgres, tmp_path, capfdbinary):
    url = fresh_postgres(is_empty=True)
    make_older(url)
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "{url}"\n[companies.mirai]\nmapping = "mirai.toml"\n', encoding="utf-8")

    def mql(*words: str) -> tuple[int, str]:
        code = run(["--config", str(config), "db", *words])
        return code, capfdbinary.readouterr().out.decode()

    code, told = mql("check")
    assert code == 1
    assert f"has schema {REVISIONS[0]}; this program works with {REVISIONS[-1]}" in told
    assert "run `mql db upgrade`" in told
    code, told = mql("upgrade", "--json")
    assert code == 0
    assert '"to_do": null' in told
    assert mql("check")[0] == 0
    set_revision(url, "9999")
    code, told = mql("check", "--json")
    assert code == 1
    assert '"is_newer": true' in told
    assert mql("upgrade")[0] == 1
