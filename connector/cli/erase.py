"""`mql erase`: erase a human from the store for good, with a proof."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from connector.cli.opening import Json, open_company

if TYPE_CHECKING:
    from connector.pipeline.erase import Preview, Proof
    from connector.records import RecordKey

_REMAINS = (
    "the CRMs' own records of them: erase them there",
    "messages that people were told in chats or by e-mail",
    "files of `mql export`, copies of the database and of its disk, made before",
    "what leads to nobody without the CRMs: ids of records and people, points, stages, times and counts",
)


def erase(
    company: str, email: str = "", /, *, record: str = "", yes: Annotated[bool, Parameter(negative="")] = False,
    lift: Annotated[bool, Parameter(negative="")] = False, proof: Path | None = None, json: Json = False,
) -> int:
    """Erase a human from the store for good, and prove it. Nothing is written to a CRM; none brings them back.

    Args:
        company: Whose lead they are.
        email: An address of theirs.
        record: Or a record of theirs, as `mql people` tells it: hubspot:contacts:123.
        yes: Do not ask.
        lift: Erase nobody: let this address, or this record, come again.
        proof: Write the proof to this new file, too.
    """
    from connector.errors import ConfigError
    from connector.pipeline.erase import erase as run_erase
    from connector.pipeline.erase import lift as run_lift
    from connector.pipeline.erase import preview
    from connector.pipeline.private_file import new_private_file

    address, key = _whom(email, record)
    if proof is not None and proof.exists():
        raise ConfigError([f"{proof} is there already"], hint="name another file")
    with open_company(company) as opened:
        if lift:
            addresses, records = run_lift(opened, address, key)
            print(f"{addresses + records} was kept out and may come again, with the next change its CRM tells of"
                  if addresses or records else "nothing of that was kept out")
            return 0
        shown = preview(opened, address, key)
        if not json:
            _show_preview(shown)
        if not yes and not _is_agreed():
            print("nothing was erased", file=sys.stderr)
            return 1
        proved = run_erase(opened, address, key, shown)
    if proof is not None:
        with new_private_file(proof) as file:
            file.write(_proof_text(proved))
    if json:
        from connector.cli.as_json import print_json

        print_json(proof_as_json(proved))
    else:
        _show(proved)
    return 0 if proved.is_clean else 1


def proof_as_json(proof: Proof) -> dict[str, Any]:
    """Return a proof; it holds no personal data."""
    from connector.cli.reasons import instant_as_json

    files = proof.files
    return {
        "company": proof.company, "erased_at": instant_as_json(proof.erased_at),
        "product_version": proof.product_version, "schema_revision": proof.schema_revision,
        "is_clean": proof.is_clean, "address_digests": list(proof.digests), "person_ids": list(proof.person_ids),
        "tombstones": [str(key) for key in proof.tombstones], "erased_rows": proof.counts,
        "searched": {
            "tables": proof.searched.tables, "columns": proof.searched.columns, "rows": proof.searched.rows,
            "texts": proof.signs,
        },
        "found": [{"table": hit.table, "column": hit.column, "row": hit.row} for hit in proof.found],
        "shared": [
            {"kind": one.kind, "carriers": [str(key) for key in one.carriers], "rows": one.rows}
            for one in proof.shared
        ],
        "files": None if files is None else {
            "names": files.names, "bytes": files.size_bytes, "found": files.found, "doubt": proof.files_doubt or None,
        },
        "vacuumed": None if proof.vacuumed is None else list(proof.vacuumed),
        "made": [{"crm": crm, "kind": kind.value, "remote_id": remote_id} for crm, kind, remote_id in proof.made],
        "notice_count": proof.notice_count,
        "remains": list(_REMAINS),
    }


def _whom(email: str, record: str) -> tuple[str, RecordKey | None]:
    from connector.core.identity import normalize_email
    from connector.errors import ConfigError
    from connector.records import RecordKey

    if bool(email) == bool(record):
        raise ConfigError(["whom? Give an e-mail address or --record, one of them"])
    if record:
        if len([part for part in record.split(":") if part]) < 3:
            raise ConfigError(["--record: write CRM:STREAM:ID, as hubspot:contacts:123"])
        return "", RecordKey.parse(record)
    address = normalize_email(email)
    if address is None:
        raise ConfigError(["that is no e-mail address"])      # not repeated: messages end up in logs
    return address, None


def _is_agreed() -> bool:
    from connector.errors import ConfigError

    if not sys.stdin.isatty():
        raise ConfigError(["nobody can be asked here: say --yes"], hint="nothing was erased")
    print("Erase this for good? Nothing brings it back. Type yes: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == "yes"


def _show_preview(shown: Preview) -> None:
    human = shown.human
    if not human.records:
        print("nobody goes by this here; what names the address goes, and it stays away from now on")
        return
    print(f"{len(human.records):,} record(s), {len(human.addresses):,} address(es): "
          f"{', '.join(map(_plain, sorted(human.records)))}")
    for table, count in shown.counts.items():
        print(f"  {table}: {count:,} row(s)")


def _show(proof: Proof) -> None:
    searched, files = proof.searched, proof.files
    texts = ", ".join(f"{count} of kind {kind}" for kind, count in proof.signs.items() if count)
    print(f"erased at {proof.erased_at:%Y-%m-%d %H:%M:%S} UTC by {proof.product_version}; "
          f"tombstones: {', '.join(map(_plain, proof.tombstones)) or 'none'}")
    print(f"searched {searched.columns:,} text columns of {searched.tables:,} tables, {searched.rows:,} rows, "
          f"for {texts or 'nothing'}: found {len(proof.found):,}")
    for hit in proof.found:
        print(f"  left in {hit.table}.{hit.column}: {_plain(hit.row)}")
    for one in proof.shared:
        print(f"  {one.kind}: in {one.rows:,} row(s), but others have the same: {', '.join(map(_plain, one.carriers))}")
    if files is not None:
        doubt = f", which says nothing: {proof.files_doubt}" if files.found and proof.files_doubt else ""
        print(f"searched {files.size_bytes:,} bytes of {', '.join(files.names)}: found {files.found:,}{doubt}")
        if files.found and not proof.files_doubt:
            print("  Somebody reads the database and keeps its log: end that, then erase the address again.")
    if proof.vacuumed is not None:
        print(f"PostgreSQL gave up the old rows of {len(proof.vacuumed)} tables; its own log and copies keep them")
    for crm, kind, remote_id in proof.made:
        print(f"  not ours to delete: {crm} {kind.value} {_plain(remote_id)}")
    if proof.notice_count:
        print(f"  {proof.notice_count:,} message(s) about them were told outside the CRMs")
    for line in _REMAINS:
        print(f"  not erased: {line}")


def _proof_text(proof: Proof) -> bytes:
    import orjson

    return orjson.dumps(proof_as_json(proof), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _plain(text: object) -> str:
    from connector.cli.show import plain

    return plain(str(text))
