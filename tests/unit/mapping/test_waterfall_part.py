"""What a mapping says of lanes, deals and moves, and what of it leads nowhere."""

from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.mapping.load import load_mapping
from connector.mapping.uses import uses_of
from connector.records import Lane

ROOT = Path(__file__).parents[3]
MIRAI = (ROOT / "mappings/mirai.toml").read_text(encoding="utf-8")


def load(path: Path, old: str = "", new: str = "", end: str = ""):
    assert old in MIRAI
    text = MIRAI.replace(old, new, 1) + end
    mapping_file = path / "mirai.toml"
    mapping_file.write_text(text.replace('"tables/', f'"{ROOT}/mappings/tables/'), encoding="utf-8")
    return load_mapping(mapping_file)


@pytest.mark.parametrize(("old", "new", "end", "said"), [
    ('won = ["closedwon"]', 'wonn = ["closedwon"]', "", "a row for crm.hubspot.deals.outcome"),
    ('values = "hubspot_deal"', 'values = "hubspot_deals"', "", "no table [values.hubspot_deals]"),
    ('stage = { field = "NewValue", values = "salesforce_status" }', 'stage = "NewValue"', "", "needs `values`"),
    ('amount = "amount"', 'amount = { field = "amount", values = "sum" }', "", "no table [values.sum]"),
    ("", "", '\n[[lanes]]\nlane = "tql"\nperson = { lead_sourc = "x" }\n', "gives 'lead_sourc'"),
    ("", "", '\n[[lanes]]\nlane = "mql"\nperson = { lead_source = "x" }\n', "lane"),
])
def test_what_leads_nowhere_is_refused_with_its_place(tmp_path, old, new, end, said):
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, old, new, end)
    assert said in str(refused.value)


def test_a_rule_may_ask_for_deals_and_what_is_told_of_them(tmp_path):
    rule = ('\n[[definition.rules]]\nid = "act.lost"\nlabel = "失注"\npoints = -20\nactivity = "deal_lost"\n'
            'where = { %s = { known = true } }\n')
    assert load(tmp_path, end=rule % "reason").definition.rules[-1].id == "act.lost"
    with pytest.raises(ConfigError, match="none of these activities has 'amout'"):
        load(tmp_path, end=rule % "amout")


def test_lanes_are_tried_in_their_order(tmp_path):
    lanes = "".join(
        f'\n[[lanes]]\nlane = "{lane}"\nperson = {{ lead_source = "{source}" }}\n'
        for lane, source in (("tql", "オフライン"), ("sgl", "直接"))
    )
    assert [rule.lane for rule in load(tmp_path, end=lanes).lanes] == [Lane.TELE, Lane.SALES]


def test_a_missing_field_of_deals_and_moves_is_told_with_what_it_is_for(tmp_path):
    mapping = load(tmp_path)
    assert uses_of(mapping, "hubspot", "deals", "dealstage")[0] == [
        "activities deal_lost", "activities deal_opened", "activities deal_won",
    ]
    assert uses_of(mapping, "hubspot", "deals", "createdate")[0] == ["activities deal_opened"]
    assert uses_of(mapping, "salesforce", "lead_history", "NewValue")[0] == ["activities stage_moved"]
