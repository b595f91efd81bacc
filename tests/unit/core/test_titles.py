"""Departments and titles as people write them, read by the shipped tables as function and rank."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from connector.core.normalize import Normalizer
from connector.mapping.model import Mapping
from connector.records import RecordKey

TABLES = Path(__file__).parents[3] / "mappings" / "tables"
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)

# Department, title, its function, its rank; None: nothing is known, and nothing is guessed.
JAPANESE = [
    ("情報システム部", "部長", "information_systems", "head"),
    ("情報システム部門", "担当者", "information_systems", "staff"),
    ("", "情報システム部 部長", "information_systems", "head"),
    ("情シス", "担当", "information_systems", "staff"),
    ("ＩＴ推進室", "室長", "information_systems", "manager"),
    ("IT部", "ITマネージャー", "information_systems", "manager"),
    ("管理本部　情報システム部", "課長", "information_systems", "manager"),
    ("基幹システム部", "システムエンジニア", "information_systems", "staff"),
    ("DX推進本部", "本部長", "information_systems", "head"),
    ("経営企画部DX推進室", "主任", "information_systems", "staff"),
    ("情報企画課", "課長補佐", "information_systems", "manager"),
    ("", "社内SE", "information_systems", "staff"),
    ("", "執行役員 情報システム本部長", "information_systems", "head"),
    ("", "CIO 兼 情報システム部長", "information_systems", "head"),
    ("総務部情報システム課", "係長", "information_systems", "manager"),
    ("工場 情報システムグループ", "グループ長", "information_systems", "manager"),
    ("マーケティング部", "部長", "marketing", "head"),
    ("ﾏｰｹﾃｨﾝｸﾞ部", "ﾏﾈｰｼﾞｬｰ", "marketing", "manager"),
    ("マーケティング部門", "担当者", "marketing", "staff"),
    ("デジタルマーケティング室", "リーダー", "marketing", "manager"),
    ("営業企画部 マーケティング課", "担当", "marketing", "staff"),
    ("販売促進部", "次長", "marketing", "deputy_head"),
    ("広報宣伝部", "副部長", "marketing", "deputy_head"),
    ("マーケ", "マーケター", "marketing", "staff"),
    ("営業本部 第二営業課", "課長代理", "sales", "manager"),
    ("営業部", "営業部長", "sales", "head"),
    ("", "営業本部 第二営業課 課長代理", "sales", "manager"),
    ("東日本営業統括部", "統括部長", "sales", "head"),
    ("法人営業部", "部長代理", "sales", "deputy_head"),
    ("インサイドセールスチーム", "チームリーダー", "sales", "manager"),
    ("営業企画部", "部長補佐", "sales", "deputy_head"),
    ("販売部", "販売員", "sales", None),
    ("人事部", "人事課長", "hr", "manager"),
    ("人事総務部", "部長", "hr", "head"),
    ("人材開発室", "担当者様", "hr", "staff"),
    ("労務課", "一般社員", "hr", "staff"),
    ("経理部", "経理担当", "accounting", "staff"),
    ("経理財務部", "部長（経理担当）", "accounting", "head"),
    ("財務本部", "最高財務責任者", "accounting", "executive"),
    ("法務・コンプライアンス部", "主査", "legal", "staff"),
    ("知的財産部", "主幹", "legal", "manager"),
    ("購買部", "バイヤー", "purchasing", "staff"),
    ("資材調達課", "専任課長", "purchasing", "manager"),
    ("中央研究所", "主任研究員", "research", "staff"),
    ("研究開発本部", "所長", "research", "head"),
    ("製造部", "工場長", "manufacturing", "head"),
    ("生産技術部", "技師", "manufacturing", "staff"),
    ("生産管理部", "副工場長", "manufacturing", "deputy_head"),
    ("品質管理部", "班長", "quality", "manager"),
    ("品質保証部", "担当部長", "quality", "head"),
    ("物流センター", "センター長", "logistics", "head"),
    ("SCM推進部", "部長／SCM統括", "logistics", "head"),
    ("商品企画部", "プランナー", "product", "staff"),
    ("経営企画部", "部長", "management", "head"),
    ("経営管理部", "アナリスト", "management", "staff"),
    ("社長室", "社長室長", "management", "manager"),
    ("", "代表取締役社長", "management", "executive"),
    ("", "代表取締役 兼 CEO", "management", "executive"),
    ("", "取締役会長", None, "executive"),
    ("事業開発部", "責任者", "management", "manager"),
    ("設計部", "設計技術者", "engineering", "staff"),
    ("開発部", "開発部長 兼 CTO", "engineering", "executive"),
    ("カスタマーサクセス部", "マネジャー", "customer_service", "manager"),
    ("コールセンター", "スーパーバイザー", "customer_service", "manager"),
    ("総務部", "部長", "general_affairs", "head"),
    ("管理部", "事務", "general_affairs", "staff"),
    ("総務部", "派遣社員", "general_affairs", "staff"),
    ("業務部", "嘱託", "general_affairs", "staff"),
    ("秘書課", "社長秘書", "general_affairs", "assistant"),
    ("管理本部", "部長付", "general_affairs", "assistant"),
    ("管理本部", "管理本部長", "general_affairs", "head"),
    ("管理本部", "常務取締役", "general_affairs", "executive"),
    ("総務部", "取締役 総務部長", "general_affairs", "head"),
    ("", "常務執行役員", "management", "executive"),
    ("", "取締役副社長", "management", "executive"),
    ("", "部長クラス", None, "head"),
    ("", "役員クラス", "management", "executive"),
    ("", "課長クラス", None, "manager"),
    ("", "部長　", None, "head"),
    ("", "ご担当者様", None, "staff"),
    ("", "支店長", None, "head"),
    ("", "支店長代理", None, "manager"),
    ("", "副支店長", None, "deputy_head"),
    ("", "ゼネラルマネージャー", None, "head"),
    ("", "シニアマネージャー", None, "manager"),
    ("", "大学3年生", None, "student"),
    ("経済学部", "学生", None, "student"),
    ("情報システム学科", "大学院生", "information_systems", "student"),
    ("", "理事長", None, "executive"),
    ("", "個人事業主", None, "executive"),
    ("宇宙開拓室", "宇宙飛行士", None, None),
    ("本社", "情報システム部長", "information_systems", "head"),
    ("情報システム部 部長", "", "information_systems", "head"),
    ("経理部", "次長（経理）", "accounting", "deputy_head"),
    ("営業部②課", "課長③", "sales", "manager"),
    ("人事部採用グループ", "インターン", "hr", "staff"),
]

ENGLISH = [
    ("Information Systems", "Director", "information_systems", "head"),
    ("IT", "Head", "information_systems", "head"),
    ("Information Technology", "Staff", "information_systems", "staff"),
    ("", "EVP & Head, Information Systems", "information_systems", "head"),
    ("", "Sr. Manager, IT Operations", "information_systems", "manager"),
    ("", "Director of IT", "information_systems", "head"),
    ("", "IT Manager", "information_systems", "manager"),
    ("ＩＴ", "ｄｉｒｅｃｔｏｒ", "information_systems", "head"),
    ("IT", "VP, Information Security", "information_systems", "head"),
    ("", "CIO", "information_systems", "executive"),
    ("", "Chief Information Security Officer", "information_systems", "executive"),
    ("", "CIO & SVP, Technology", "information_systems", "executive"),
    ("", "Systems Administrator", "information_systems", "staff"),
    ("", "Help Desk Technician", "information_systems", "staff"),
    ("", "Salesforce Administrator", "information_systems", "staff"),
    ("", "Data Warehouse Engineer", "information_systems", "staff"),
    ("IT", "Deputy Director of IT", "information_systems", "deputy_head"),
    ("IT Department", "Associate Director, Infrastructure", "information_systems", "deputy_head"),
    ("IT", "Team Lead", "information_systems", "manager"),
    ("Digital Transformation Office", "Business Analyst", "information_systems", "staff"),
    ("", "Head of Marketing", "marketing", "head"),
    ("Marketing", "CMO", "marketing", "executive"),
    ("Growth Marketing", "Growth Lead", "marketing", "manager"),
    ("", "VP Marketing", "marketing", "head"),
    ("", "Vice President, Demand Generation", "marketing", "head"),
    ("", "Assistant Vice President, Brand", "marketing", "deputy_head"),
    ("Marketing Operations", "Specialist", "marketing", "staff"),
    ("", "Marketing Executive", "marketing", "staff"),
    ("Communications", "Supervisor", "marketing", "manager"),
    ("Sales", "Account Executive", "sales", "staff"),
    ("", "Regional Sales Manager", "sales", "manager"),
    ("Inside Sales", "Sales Rep", "sales", "staff"),
    ("", "SVP, Business Development", "sales", "head"),
    ("", "Chief Revenue Officer", "sales", "executive"),
    ("Human Resources", "HR Business Partner", "hr", "staff"),
    ("", "Talent Acquisition Manager", "hr", "manager"),
    ("People & Culture", "Chief People Officer", "hr", "executive"),
    ("Finance", "Financial Controller", "accounting", "manager"),
    ("", "CFO", "accounting", "executive"),
    ("Accounting", "Senior Accountant", "accounting", "staff"),
    ("Legal", "Paralegal", "legal", None),
    ("", "Compliance Officer", "legal", "staff"),
    ("Purchasing", "Buyer", "purchasing", "staff"),
    ("", "Director, Global Procurement", "purchasing", "head"),
    ("R&D", "Research Scientist", "research", "staff"),
    ("", "Principal Data Scientist", "research", "staff"),
    ("Manufacturing", "Plant Manager", "manufacturing", "manager"),
    ("Production", "Foreman", "manufacturing", "manager"),
    ("Quality", "QA Engineer", "quality", "staff"),
    ("Supply Chain", "Logistics Coordinator", "logistics", "staff"),
    ("", "Head of Product", "product", "head"),
    ("", "Senior Product Manager", "product", "manager"),
    ("Strategy", "Planner", "management", "staff"),
    ("", "Founder & CEO", "management", "executive"),
    ("", "President", "management", "executive"),
    ("", "Managing Director", "management", "executive"),
    ("", "General Manager", "management", "head"),
    ("", "VP of Engineering", "engineering", "head"),
    ("", "Software Developer", "engineering", "staff"),
    ("Engineering", "Engineering Manager", "engineering", "manager"),
    ("", "CTO and Co-Founder", "engineering", "executive"),
    ("Customer Success", "Customer Success Manager", "customer_service", "manager"),
    ("Support", "Support Specialist", "customer_service", "staff"),
    ("Operations", "Manager", "general_affairs", "manager"),
    ("Facilities", "", "general_affairs", None),
    ("", "Office Manager", "general_affairs", "manager"),
    ("", "Executive Assistant to the CEO", "management", "assistant"),
    ("", "Assistant Manager", None, "manager"),
    ("", "Vice President", None, "head"),
    ("", "Deputy Head of Department", None, "deputy_head"),
    ("", "Owner", "management", "executive"),
    ("", "Product Owner", "product", None),
    ("", "Student", None, "student"),
    ("Computer Science", "PhD Candidate", None, "student"),
    ("Student Affairs", "Director", None, "head"),
    ("", "Intern", None, "staff"),
    ("Head Office", "Wizard of Light Bulb Moments", None, None),
    ("Headquarters", "IT Director", "information_systems", "head"),
    ("Seoul Office", "Administrator", None, "staff"),
]


@cache
def reader(language: str, crm: str = "x") -> Normalizer:
    values = {}
    for name in ("ranks", "functions"):
        values |= tomllib.loads((TABLES / f"{name}.{language}.toml").read_text(encoding="utf-8"))["values"]
    return Normalizer(Mapping.model_validate({
        "name": "X", "language": language, "time_zone": "Asia/Tokyo", "values": values,
        "definition": {
            "version": "1", "threshold_points": 1,
            "rules": [{"id": "r", "label": "R", "points": 1, "person": {"role": "head"}}],
        },
        "crm": {crm: {"people": {"people": {"fields": {
            "email": "email",
            "department": {"field": "department", "values": "function", "fallback_field": "title"},
            "role": {"field": "title", "values": "rank", "fallback_field": "department"},
        }}}}},
    }))


@pytest.mark.parametrize(
    ("language", "department", "title", "function", "rank"),
    [("ja", *case) for case in JAPANESE] + [("en", *case) for case in ENGLISH],
)
def test_function_and_rank_are_read_as_people_write_them(
    language: str, department: str, title: str, function: str | None, rank: str | None
) -> None:
    contact = reader(language).contact(
        RecordKey("x", "people", "1"), NOW, {"department": department, "title": title}
    )
    assert (contact.attributes["department"], contact.attributes["role"]) == (function, rank)


def test_both_languages_are_ready_for_more_than_six_score_titles() -> None:
    assert len({case[:2] for case in JAPANESE}) + len({case[:2] for case in ENGLISH}) >= 120


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.toml")), ids=lambda path: path.name)
def test_no_pattern_stands_twice_in_a_table(path: Path) -> None:
    for rows in tomllib.loads(path.read_text(encoding="utf-8"))["values"].values():
        patterns = [pattern for of_row in rows.values() for pattern in of_row]
        assert sorted(patterns) == sorted(set(patterns))
