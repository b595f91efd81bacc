"""A wrong configuration is told completely, with file, key and remedy; a right one comes from three places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigError
from connector.settings import load_config
from connector.wiring import check_config, secret_variable

ROOT = Path(__file__).parents[2]
REAL = """
[companies.mirai]
mapping = "{mapping}"
[companies.mirai.hubspot]
[companies.mirai.salesforce]
domain = "mirai.my"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text.replace("{mapping}", str(ROOT / "mappings/mirai.toml")), encoding="utf-8")
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_config(load_config(path))
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_example_is_right_as_it_stands() -> None:
    assert set(check_config(load_config(ROOT / "config.example.toml"))) == {"mirai", "acme"}


def test_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "config.toml")
    assert "no such configuration" in str(caught.value)
    assert "config.example.toml" in caught.value.hint


def test_unknown_keys_wrong_types_and_missing_keys_are_told_at_once(tmp_path: Path) -> None:
    found = problems(write(tmp_path, """
        [store]
        ulr = "sqlite:///x.db"
        [companies.mirai]
        mapping = 5
        [companies.acme]
    """))
    assert len(found) == 3
    assert any("store.ulr: unknown key; did you mean `url`?" in line for line in found)
    assert any("companies.mirai.mapping" in line for line in found)
    assert any("companies.acme.mapping: is missing" in line for line in found)


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    assert "line 2" in problems(write(tmp_path, "[store]\nurl = \n"))[0]


def test_file_that_is_not_utf8_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes("[companies.mirai]\nmapping = 'みらい'".encode("shift_jis"))
    assert "not UTF-8" in problems(path)[0]


def test_missing_mapping_and_misspelt_crm_are_told_at_once(tmp_path: Path) -> None:
    found = problems(write(tmp_path, """
        [companies.mirai]
        mapping = "mappings/nowhere.toml"
        [companies.mirai.hubspt]
        token = "x"
    """))
    assert any("nowhere.toml: no such mapping file" in line for line in found)
    assert any("companies.mirai.hubspt: unknown key; did you mean `hubspot`?" in line for line in found)


def test_crm_of_the_mapping_without_a_section_is_told(tmp_path: Path) -> None:
    found = problems(write(tmp_path, '[companies.mirai]\nmapping = "{mapping}"\n'))
    assert any("companies.mirai.hubspot: is missing" in line for line in found)
    assert any("companies.mirai.salesforce: is missing" in line for line in found)


def test_real_secret_in_the_file_is_refused_with_the_variable_to_use(tmp_path: Path) -> None:
    section = "[companies.mirai.hubspot]"
    found = problems(write(tmp_path, REAL.replace(section, f'{section}\ntoken = "real"')))
    assert any("MQL_COMPANIES__MIRAI__HUBSPOT__TOKEN" in line for line in found)
    assert not any("real\"" in line for line in found)


def test_environment_wins_over_secret_file_wins_over_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/companies__mirai__hubspot__token").write_text("from-file")
    (tmp_path / "secrets/companies__mirai__salesforce__client_id").write_text("id-from-file")
    path = write(tmp_path, 'secrets_dir = "secrets"\n' + REAL)
    sections = load_config(path).settings.companies["mirai"].crm_sections
    assert sections["hubspot"]["token"] == "from-file"
    monkeypatch.setenv(secret_variable("mirai", "hubspot", "token"), "from-environment")
    sections = load_config(path).settings.companies["mirai"].crm_sections
    assert sections["hubspot"]["token"] == "from-environment"
    assert sections["salesforce"]["client_id"] == "id-from-file"


@pytest.mark.parametrize("name", ["mirai-kk", "a-b_c-2"])
def test_a_hyphen_of_a_company_s_name_is_an_underscore_in_its_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
) -> None:
    (tmp_path / "secrets").mkdir()
    in_files = name.replace("-", "_")
    (tmp_path / f"secrets/companies__{in_files}__salesforce__client_id").write_text("id-of-file")
    (tmp_path / f"secrets/companies__{name}__salesforce__client_secret").write_text("its own name will do, too")
    path = write(tmp_path, 'secrets_dir = "secrets"\n' + REAL.replace("companies.mirai", f"companies.{name}"))
    variable = secret_variable(name, "hubspot", "token")
    assert variable.isidentifier(), "a shell takes it"
    monkeypatch.setenv(variable, "of-environment")
    companies = load_config(path).settings.companies
    assert set(companies) == {name}
    sections = companies[name].crm_sections
    assert sections["hubspot"]["token"] == "of-environment"
    assert sections["salesforce"]["client_id"] == "id-of-file"
    assert sections["salesforce"]["client_secret"] == "its own name will do, too"


@pytest.mark.parametrize("name", ["Mirai", "みらい", "a__b", "a_", "-a", "a.b", "a b", ""])
def test_a_company_s_name_that_no_variable_could_tell_apart_is_refused(tmp_path: Path, name: str) -> None:
    (problem,) = problems(write(tmp_path, f'[companies."{name}"]\nmapping = "{{mapping}}"\n'))
    assert "use lower-case letters and digits" in problem


def test_a_variable_of_a_company_that_the_file_does_not_name_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MQL_COMPANIES__MIRRAI__HUBSPOT__TOKEN", "x")
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, REAL))
    assert "The file names no company mirrai: a variable MQL_COMPANIES__…" in caught.value.hint


def test_two_companies_with_the_same_variables_are_refused(tmp_path: Path) -> None:
    text = "".join(f'[companies.{name}]\nmapping = "{{mapping}}"\n' for name in ("a-b", "a_b"))
    (problem,) = problems(write(tmp_path, text))
    assert "'a-b' and 'a_b' would have the same environment variables: rename one" in problem


def test_a_wrong_text_of_the_company_s_own_is_told_with_its_line(tmp_path: Path) -> None:
    mapping = tmp_path / "own.toml"
    whole = (ROOT / "mappings/mirai.toml").read_text(encoding="utf-8").replace('"tables/', f'"{ROOT}/mappings/tables/')
    mapping.write_text(whole + '\n[texts]\ntask_title = "{{ person.nmae }}"\n', encoding="utf-8")
    (problem,) = problems(write(tmp_path, REAL.replace("{mapping}", str(mapping))))
    line = len(whole.splitlines()) + 3
    assert problem == f"{mapping}:{line}: texts.task_title: line 1: there is no 'nmae'; did you mean `name`?"


def test_secrets_are_in_no_picture_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret_variable("mirai", "hubspot", "token"), "pat-very-secret")
    config = load_config(write(tmp_path, REAL))
    connections = check_config(config)["mirai"][1]
    assert connections["hubspot"].token.get_secret_value() == "pat-very-secret"  # type: ignore[attr-defined]
    assert "very-secret" not in f"{config!r} {config} {connections!r}"


def test_relative_store_lies_beside_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[store]\nurl = "sqlite:///data/x.db"\n' + REAL))
    assert config.store_url == f"sqlite:///{tmp_path}/data/x.db"


@pytest.mark.parametrize(("line", "said"), [
    ("removals_every_hours = -1", "sync.removals_every_hours"),
    ("removals_every_hours = 200", "sync.removals_every_hours"),
    ("sweep_every_days = 0", "sync.sweep_every_days"),
    ("sweep_every_days = 91", "sync.sweep_every_days"),
    ("sweep_every_day = 3", "did you mean `sweep_every_days`?"),
])
def test_rhythm_out_of_bounds_is_told(tmp_path: Path, line: str, said: str) -> None:
    assert any(said in problem for problem in problems(write(tmp_path, f"[sync]\n{line}\n{REAL}")))


def test_rhythm_has_defaults_and_is_read(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, REAL)).settings.sync.removals_every_hours == 6
    assert load_config(write(tmp_path, f"[sync]\nsweep_every_days = 3\n{REAL}")).settings.sync.sweep_every_days == 3


def test_private_key_of_many_lines_comes_whole_from_a_secret_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(["QUJD" * 16] * 12) + "\n-----END PRIVATE KEY-----"
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "companies__mirai__salesforce__private_key").write_text(pem + "\n", encoding="utf-8")
    (folder / "companies__mirai__salesforce__client_id").write_text("consumer-key\n", encoding="utf-8")
    (folder / "companies__mirai__hubspot__token").write_text("pat\n", encoding="utf-8")
    path = write(tmp_path, 'secrets_dir = "secrets"\n' + REAL.replace(
        'domain = "mirai.my"', 'domain = "mirai.my"\nauth = "jwt"\nusername = "integration@mirai.example"'
    ))
    _, connections = check_config(load_config(path))["mirai"]
    salesforce: Any = connections["salesforce"]
    assert salesforce.private_key.get_secret_value() == pem
    assert salesforce.client_id.get_secret_value() == "consumer-key"
    assert "QUJD" not in repr(connections)
    monkeypatch.setenv("MQL_COMPANIES__MIRAI__SALESFORCE__PRIVATE_KEY", pem.replace("ABC", "ABD"))
    _, connections = check_config(load_config(path))["mirai"]
    assert "\n" in connections["salesforce"].private_key.get_secret_value()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["companies__mirai__hubspot__token", "companies"])
def test_a_secret_file_that_cannot_be_read_is_told_with_its_folder_and_without_its_content(
    tmp_path: Path, name: str,
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / name).write_bytes(b"very-secret" + (b"\xff" if name != "companies" else b""))
    with pytest.raises(ConfigError, match=r"a file in .*secrets cannot be used") as caught:
        load_config(write(tmp_path, 'secrets_dir = "secrets"\n' + REAL))
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["private_key", "refresh_token", "client_secret"])
def test_no_secret_of_any_kind_may_stand_in_the_file(tmp_path: Path, key: str) -> None:
    found = problems(write(tmp_path, REAL.replace('domain = "mirai.my"', f'domain = "mirai.my"\n{key} = "s3cret"')))
    assert any(f"salesforce.{key}: a real secret does not belong in this file" in line for line in found)
    assert not any("s3cret" in line for line in found)
