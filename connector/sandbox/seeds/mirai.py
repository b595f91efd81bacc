"""みらいソフトウェア株式会社: sells an expense-claim and workflow service to Japanese companies.

The house: its people, its customers, what its marketing made and the words it uses. The leads are in `mirai_cast`.
All names are invented, all domains are reserved (RFC 2606), and the telephone numbers have an exchange of zeros,
which no Japanese subscriber has (Source: assumed).
"""

from __future__ import annotations

from datetime import datetime

from connector.adapter_kit.sandbox.world import Crowd, SeedCompany, SeedContent, SeedUser, World
from connector.sandbox.seeds.mirai_cast import PEOPLE

OWN_DOMAIN = "mirai-software.example"
RIVAL_DOMAIN = "seisan-navi.example"

USERS = (
    SeedUser("watanabe", "渡辺", "大輔", f"d.watanabe@{OWN_DOMAIN}", "営業部 部長"),
    SeedUser("suzuki", "鈴木", "美咲", f"m.suzuki@{OWN_DOMAIN}", "営業部 第一課"),
    SeedUser("kato", "加藤", "翔太", f"s.kato@{OWN_DOMAIN}", "営業部 第二課"),
    SeedUser("sato", "佐藤", "健一", f"k.sato@{OWN_DOMAIN}", "インサイドセールス"),
    SeedUser("ito", "伊藤", "さくら", f"s.ito@{OWN_DOMAIN}", "マーケティング部"),
)

CUSTOMERS = (
    SeedCompany("asahina", "朝比奈精機株式会社", "asahina-seiki.example", "製造", 450),
    SeedCompany("hokuto", "北斗食品株式会社", "hokuto-foods.example", "食品", 1200),
    SeedCompany("kisaragi", "株式会社きさらぎ物流", "kisaragi-logi.example", "運輸", 800),
    SeedCompany("konan", "港南建設株式会社", "konan-kensetsu.example", "建設", 300),
    SeedCompany("tsubame", "つばめ印刷株式会社", "tsubame-print.example", "印刷", 120),
    SeedCompany("aoba", "青葉電子工業株式会社", "aoba-denshi.example", "電機", 2300),
    SeedCompany("sakuragi", "桜木商事株式会社", "sakuragi-shoji.example", "商社", 640),
    SeedCompany("wakaba", "学校法人若葉学園", "wakaba-gakuen.example", "教育", 380),
    SeedCompany("shiomi", "汐見リゾート株式会社", "shiomi-resort.example", "宿泊", 510),
    SeedCompany("kamo", "賀茂醸造株式会社", "kamo-jozo.example", "食品", 90),
    SeedCompany("midori", "みどり調剤薬局グループ", "midori-pharmacy.example", "医療", 1500),
    SeedCompany("nagisa", "なぎさ信用組合", "nagisa-shinkumi.example", "金融", 270),
    SeedCompany("hayate", "株式会社ハヤテ人材", "hayate-jinzai.example", "人材", 220),
)
COMPANIES = (
    *CUSTOMERS,
    SeedCompany("takasaki", "㈱髙﨑商店①号館", "takasaki-shoten.example", "小売", 60),
    SeedCompany("kobayashi", "小林会計事務所", "kobayashi-kaikei.example", "士業", 4),
    SeedCompany("oreilly", "<b>O'Reilly & Söhne</b>", "oreilly-soehne.example", "商社", 75),
    SeedCompany("rival", "株式会社セイサンナビ", RIVAL_DOMAIN, "ソフトウェア", 200),
    SeedCompany("mirai", "みらいソフトウェア株式会社", OWN_DOMAIN, "ソフトウェア", 140),
)

DOWNLOAD, SEMINAR, CARD = "資料ダウンロード", "セミナー", "名刺交換"
CONTENTS = (
    SeedContent("expense_guide", "document", "資料ダウンロード：経費精算クラウド導入ガイド", 700, DOWNLOAD),
    SeedContent("price_list", "document", "資料ダウンロード：料金表・機能一覧", 650, DOWNLOAD),
    SeedContent("invoice_checklist", "document", "ホワイトペーパー：インボイス制度対応チェックリスト", 500, DOWNLOAD),
    SeedContent("ledger_handbook", "document", "ホワイトペーパー：電子帳簿保存法 対応の手引き", 365, DOWNLOAD),
    SeedContent("workflow_cases", "document", "資料ダウンロード：ワークフロー導入事例集", 200, DOWNLOAD),
    SeedContent("choosing_seminar", "seminar", "セミナー：情シスのための経費精算システムの選び方", 12, SEMINAR),
    SeedContent("invoice_seminar", "seminar", "セミナー：インボイス制度 実務の落とし穴", 40, SEMINAR),
    SeedContent("paperless_seminar", "seminar", "セミナー：紙の稟議をなくす30分", 95, SEMINAR),
    SeedContent("year_end_seminar", "seminar", "セミナー：年末に慌てない経費締め", -9, SEMINAR),
    SeedContent("inquiry_form", "inquiry", "お問い合わせ", 900, "お問い合わせ"),
    SeedContent("tokyo_fair", "card_exchange", "名刺交換：東京バックオフィス展示会", 110, CARD),
    SeedContent("osaka_fair", "card_exchange", "名刺交換：大阪業務改善展示会", 30, CARD),
    SeedContent("newsletter", "newsletter", "メールマガジン：月刊バックオフィス通信", 900, "メールマガジン"),
)

TERMS = {
    "member_registered": "申込",
    "member_attended": "参加",
    "member_no_show": "欠席",
    "member_downloaded": "ダウンロード済",
    "member_responded": "回答済",
    "lead_new": "新規",
    "lead_mql": "MQL",
    "lead_working": "対応中",
    "lead_qualified": "商談化",
    "lead_recycled": "再育成",
    "lead_unqualified": "対象外",
    "visit_subject": "Webサイト来訪",
}

CROWD = Crowd(
    family_names=(
        ("山本", "yamamoto"), ("中村", "nakamura"), ("小川", "ogawa"), ("吉田", "yoshida"), ("山口", "yamaguchi"),
        ("松本", "matsumoto"), ("井上", "inoue"), ("木村", "kimura"), ("林", "hayashi"), ("清水", "shimizu"),
        ("山崎", "yamazaki"), ("池田", "ikeda"), ("阿部", "abe"), ("橋本", "hashimoto"), ("森", "mori"),
        ("後藤", "goto"), ("近藤", "kondo"), ("遠藤", "endo"), ("青木", "aoki"), ("坂本", "sakamoto"),
    ),
    given_names=(
        ("陽子", "yoko"), ("誠", "makoto"), ("由紀", "yuki"), ("隆", "takashi"), ("智子", "tomoko"),
        ("健太", "kenta"), ("彩", "aya"), ("修", "osamu"), ("真由美", "mayumi"), ("拓也", "takuya"),
    ),
    departments=(
        "経理部", "総務部", "情報システム部", "営業部", "人事部", "マーケティング部",
        "経営企画部", "情シス", "購買部", "製造部", "情報システム部門", "品質保証部",
    ),
    titles=(
        "担当", "課長", "主任", "係長", "部長", "担当者", "リーダー", "次長", "室長", "担当", "課長代理",
        "主査", "専任課長", "担当者", "グループ長", "嘱託", "",
    ),
    companies=CUSTOMERS,
    lead_source="Webフォーム",
)


def world(now: datetime) -> World:
    """Return the company with its cast; the crowd's tables are filled, its sizes are 0."""
    return World(
        name="mirai",
        company_name="みらいソフトウェア株式会社",
        language="ja",
        time_zone="Asia/Tokyo",
        now=now,
        users=USERS,
        companies=COMPANIES,
        contents=CONTENTS,
        people=PEOPLE,
        terms=dict(TERMS),
        crowd=CROWD,
    )
