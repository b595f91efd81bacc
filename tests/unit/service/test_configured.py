"""What stands for a company's configuration changes with each secret, and whatever the configuration holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.service.configured import is_as_before, stand_in
from connector.settings import Config, Settings

OWNER = "mailto://user:{secret}@mail.example/?to={{email}}"


def configured(folder: Path, **own: Any) -> Config:
    settings = Settings(companies={"one": {"mapping": "m.toml", **own}})
    return Config(path=folder / "config.toml", in_file={}, settings=settings)


@pytest.mark.parametrize(("before", "after"), [
    ({"hubspot": {"token": "a"}}, {"hubspot": {"token": "b"}}),
    ({"notices": {"owner": OWNER.format(secret="a")}}, {"notices": {"owner": OWNER.format(secret="b")}}),
    ({"notices": {"channel": "slack://a slack://b"}}, {"notices": {"channel": "slack://a slack://c"}}),
], ids=["of a CRM", "of an owner", "of a channel"])
def test_a_mended_secret_is_a_change_and_is_not_in_what_stands_for_it(
    before: dict[str, Any], after: dict[str, Any], tmp_path: Path,
) -> None:
    kept = stand_in(configured(tmp_path, **before), "one")
    assert is_as_before(configured(tmp_path, **before), "one", kept)
    assert not is_as_before(configured(tmp_path, **after), "one", kept)
    int(kept, 16)      # a digest, and nothing else


@pytest.mark.parametrize("odd", ["t\udcff", 10**30, float("nan"), [1, {"a": None}], ""], ids=repr)
def test_whatever_somebody_wrote_there_it_can_be_compared(odd: Any, tmp_path: Path) -> None:
    # The environment gives what is no UTF-8 as surrogates, and TOML has numbers of any length.
    config = configured(tmp_path, hubspot={"token": odd})
    assert is_as_before(config, "one", stand_in(config, "one"))
    assert not is_as_before(configured(tmp_path, hubspot={"token": "t"}), "one", stand_in(config, "one"))
