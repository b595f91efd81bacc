"""The leads of みらいソフトウェア株式会社, written by hand.

The points that `why` speaks of are the article's: 情報システム部門・部長 20, ・担当者 10, マーケティング部門・部長 5,
・担当者 1; セミナー参加 50, 資料ダウンロード 20, Webサイト来訪 5; 40 qualify. Keys that are in `acme_cast` too tell the
same case. For a visit, `SeedAction.what` is the address of the page.
"""

from __future__ import annotations

from connector.adapter_kit.sandbox.world import SeedAction, SeedPerson

_HOME = "https://www.mirai-software.example/"
_PRICING = f"{_HOME}pricing"
_FEATURES = f"{_HOME}features"

_HUBSPOT_ONLY = (
    SeedPerson(
        "head_download_hubspot", "田村", "浩二", "k.tamura@asahina-seiki.example", "asahina", "情報システム部", "部長",
        "情シス部長20＋資料1件20＝40点。ちょうど基準に届き、MQLになる。",
        phone="03-0000-0101", lead_source="Webフォーム", owner="suzuki", created_days_ago=21,
        actions=(SeedAction("downloaded", "expense_guide", 3.2, "hubspot"),),
    ),
    SeedPerson(
        "staff_download", "石川", "直樹", "n.ishikawa@konan-kensetsu.example", "konan", "情報システム部", "担当者",
        "情シス担当者10＋資料1件20＝30点。10点足りない。",
        phone="045-000-0102", lead_source="Webフォーム", owner="kato", created_days_ago=34,
        actions=(SeedAction("downloaded", "price_list", 5.4, "hubspot"),),
    ),
    SeedPerson(
        "marketing_head_seminar", "藤井", "恵", "m.fujii@hokuto-foods.example", "hokuto", "マーケティング部", "部長",
        "マーケ部長5＋セミナー参加50＝55点。名刺交換・メルマガ・お問い合わせは0点だが、メモには載る。",
        phone="011-000-0103", lead_source="展示会", owner="suzuki", created_days_ago=30,
        actions=(
            SeedAction("card_exchanged", "osaka_fair", 30, "hubspot"),
            SeedAction("newsletter_clicked", "newsletter", 18.5, "hubspot", count=2),
            SeedAction("registered", "choosing_seminar", 17.1, "hubspot"),
            SeedAction("attended", "choosing_seminar", 12, "hubspot"),
            SeedAction("inquired", "inquiry_form", 10.8, "hubspot"),
        ),
    ),
    SeedPerson(
        "staff_no_show", "岡田", "亮", "r.okada@kisaragi-logi.example", "kisaragi", "情シス", "担当者",
        "情シス担当者10のみ。セミナーは申し込んだが欠席なので0点、合計10点。",
        lead_source="セミナー", owner="kato", created_days_ago=22,
        actions=(
            SeedAction("registered", "choosing_seminar", 20.3, "hubspot"),
            SeedAction("no_show", "choosing_seminar", 12, "hubspot"),
        ),
    ),
    SeedPerson(
        "visits_eight", "長谷川", "純", "j.hasegawa@sakuragi-shoji.example", "sakuragi", "総務部", "課長",
        "総務部は属性0点。来訪8回×5＝40点だけでMQLになる。",
        lead_source="Web広告", owner="suzuki", created_days_ago=60,
        actions=(SeedAction("visited", _PRICING, 1.1, "hubspot", count=8),),
    ),
    SeedPerson(
        "visits_seven", "村上", "玲奈", "r.murakami@tsubame-print.example", "tsubame", "経理部", "担当者",
        "経理部は属性0点。来訪7回×5＝35点。あと1回足りない。",
        lead_source="Web広告", owner="kato", created_days_ago=58,
        actions=(SeedAction("visited", _FEATURES, 2.6, "hubspot", count=7),),
    ),
    SeedPerson(
        "fit_only", "三浦", "雅彦", "m.miura@aoba-denshi.example", "aoba", "情報システム部門", "部長",
        "情シス部長20点のみ。まだ何もしていない。",
        phone="022-000-0107", lead_source="リスト購入", owner="watanabe", created_days_ago=75,
    ),
    SeedPerson(
        "behaviour_only", "上田", "慎吾", "s.ueda@hayate-jinzai.example", "hayate", "営業部", "課長",
        "営業部は属性0点。セミナー参加50＋来訪1回5＝55点、行動だけでMQLになる。",
        phone="052-000-0108", lead_source="セミナー", owner="kato", created_days_ago=45,
        actions=(
            SeedAction("registered", "invoice_seminar", 44.2, "hubspot"),
            SeedAction("attended", "invoice_seminar", 40, "hubspot"),
            SeedAction("visited", _HOME, 6.3, "hubspot"),
        ),
    ),
    SeedPerson(
        "unsubscribed", "原田", "美穂", "m.harada@midori-pharmacy.example", "midori", "情報システム部", "部長",
        "情シス部長20＋資料1件20＋来訪1回5＝45点。配信停止済みなので、渡すかどうかは定義が決め、渡しても電話だけ。",
        phone="03-0000-0109", lead_source="Webフォーム", owner="suzuki", unsubscribed=True, created_days_ago=130,
        actions=(
            SeedAction("downloaded", "ledger_handbook", 9.7, "hubspot"),
            SeedAction("visited", _HOME, 4.4, "hubspot"),
        ),
    ),
    SeedPerson(
        "competitor", "黒田", "剛", "t.kuroda@seisan-navi.example", "rival", "情報システム部", "担当者",
        "情シス担当者10＋資料2件40＝50点だが、競合会社のドメインなので営業に渡してはいけない。",
        lead_source="Webフォーム", created_days_ago=15,
        actions=(
            SeedAction("downloaded", "price_list", 14.5, "hubspot"),
            SeedAction("downloaded", "workflow_cases", 14.4, "hubspot"),
        ),
    ),
    SeedPerson(
        "own_staff", "平野", "葵", "a.hirano@mirai-software.example", "mirai", "マーケティング部", "担当者",
        "マーケ担当者1＋資料2件40＝41点だが、自社社員のフォーム動作確認なので営業に渡してはいけない。",
        lead_source="Webフォーム", created_days_ago=200,
        actions=(
            SeedAction("downloaded", "workflow_cases", 199, "hubspot"),
            SeedAction("downloaded", "expense_guide", 33, "hubspot"),
        ),
    ),
    SeedPerson(
        "dormant", "ﾀﾅｶ", "ﾋﾛｼ", "h.tanaka@shiomi-resort.example", "shiomi", "情報システム部", "担当者",
        "情シス担当者10＋資料1件20＝30点。最後の行動は430日前で休眠中。氏名は半角カナのまま。",
        phone="0460-00-0112", lead_source="Webフォーム", owner="kato", created_days_ago=440,
        actions=(SeedAction("downloaded", "invoice_checklist", 430, "hubspot"),),
    ),
    SeedPerson(
        "dormant_returned", "酒井", "俊介", "s.sakai@kamo-jozo.example", "kamo", "情報システム部", "担当者",
        "情シス担当者10＋資料1件20（445日前）＋来訪1回5（2日前）＝35点。休眠から戻ったが基準には届かない。",
        phone="075-000-0113", lead_source="Webフォーム", owner="suzuki", created_days_ago=460,
        actions=(
            SeedAction("downloaded", "price_list", 445, "hubspot"),
            SeedAction("visited", _PRICING, 2.2, "hubspot"),
        ),
    ),
    SeedPerson(
        "recycled_quiet", "工藤", "大地", "d.kudo@wakaba-gakuen.example", "wakaba", "情報システム部", "担当者",
        "情シス担当者10＋資料1件20＝30点。営業が一度対応して再育成に戻し、その後の動きはない。",
        phone="03-0000-0114", lead_source="展示会", owner="kato", stage="recycled", created_days_ago=210,
        actions=(
            SeedAction("downloaded", "expense_guide", 180, "hubspot"),
            SeedAction("called", "予算時期のご確認（来期以降とのこと）", 150, "hubspot"),
        ),
    ),
    SeedPerson(
        "no_owner", "和田", "千尋", "c.wada@nagisa-shinkumi.example", "nagisa", "情シス", "担当者",
        "情シス担当者10＋セミナー参加50＝60点。担当営業が決まっていない。",
        lead_source="セミナー", created_days_ago=25,
        actions=(
            SeedAction("registered", "choosing_seminar", 16.6, "hubspot"),
            SeedAction("attended", "choosing_seminar", 12, "hubspot"),
        ),
    ),
    SeedPerson(
        "inactive", "菊地", "文子", "f.kikuchi@konan-kensetsu.example", "konan", "総務部", "",
        "属性0点、行動なし、0点。650日前に登録されたまま。",
        lead_source="リスト購入", created_days_ago=650,
    ),
    SeedPerson(
        "free_mail", "小林", "保", "kono.hito.wa.sonzai.shimasen.kobayashi@gmail.com", "kobayashi", "", "所長",
        "属性0点。資料1件20＋来訪5回25＝45点だが、連絡先はフリーメールだけ。",
        lead_source="Webフォーム", owner="sato", created_days_ago=19,
        actions=(
            SeedAction("downloaded", "invoice_checklist", 18.8, "hubspot"),
            SeedAction("visited", _PRICING, 7.9, "hubspot", count=5),
        ),
    ),
    SeedPerson(
        "inquiry_only", "松井", "香織", "k.matsui@aoba-denshi.example", "aoba", "情シス", "担当",
        "情シス担当者10点のみ。お問い合わせ・名刺交換・メルマガは0点。",
        phone="022-000-0118", lead_source="展示会", owner="watanabe", created_days_ago=110,
        actions=(
            SeedAction("card_exchanged", "tokyo_fair", 110, "hubspot"),
            SeedAction("newsletter_clicked", "newsletter", 50.5, "hubspot", count=3),
            SeedAction("inquired", "inquiry_form", 8.2, "hubspot"),
        ),
    ),
    SeedPerson(
        "registered_upcoming", "野口", "遥", "h.noguchi@sakuragi-shoji.example", "sakuragi", "IT推進部", "主任",
        "資料1件20点。IT推進部・主任を情シス担当者と読んでも30点。9日後のセミナーは申込だけなので0点。",
        lead_source="セミナー", owner="suzuki", created_days_ago=28,
        actions=(
            SeedAction("downloaded", "workflow_cases", 27.5, "hubspot"),
            SeedAction("registered", "year_end_seminar", 3.9, "hubspot"),
        ),
    ),
    SeedPerson(
        "title_as_written", "今井", "敏行", "t.imai@midori-pharmacy.example", "midori", "",
        "執行役員 情報システム本部長",
        "来訪1回5点。部門欄が空で役職に部門名がある。情シス部長と読んでも25点。",
        lead_source="紹介", owner="watanabe", created_days_ago=90,
        actions=(SeedAction("visited", _HOME, 31.4, "hubspot"),),
    ),
    SeedPerson(
        "odd_circled", "高木", "丸子①", "maruko.takagi@takasaki-shoten.example", "takasaki", "営業部②課", "㍿ｺｱ担当③",
        "属性0点＋来訪1回5＝5点。丸文字・機種依存文字を含む。",
        lead_source="展示会", owner="sato", created_days_ago=30,
        actions=(
            SeedAction("card_exchanged", "osaka_fair", 30, "hubspot"),
            SeedAction("visited", _HOME, 29.1, "hubspot"),
        ),
    ),
    SeedPerson(
        "odd_emoji", "𠮷田", "ひかり🌸", "h.yoshida@hayate-jinzai.example", "hayate", "マーケティング部", "担当者",
        "マーケ担当者1＋資料2件40＝41点。氏名に4バイト文字（𠮷）と絵文字。",
        lead_source="SNS", owner="kato", created_days_ago=26,
        actions=(
            SeedAction("downloaded", "workflow_cases", 25.7, "hubspot"),
            SeedAction("downloaded", "ledger_handbook", 4.1, "hubspot"),
        ),
    ),
    SeedPerson(
        "odd_markup", "<b>O'Reilly & Söhne</b>", "\"Zoë\"", "zoe@oreilly-soehne.example", "oreilly", "情報システム部",
        "担当者",
        "情シス担当者10＋セミナー参加50＝60点。氏名と会社名がHTMLに見える文字列。",
        phone="03-0000-0123", lead_source="セミナー", owner="sato", created_days_ago=18,
        actions=(
            SeedAction("registered", "choosing_seminar", 17.9, "hubspot"),
            SeedAction("attended", "choosing_seminar", 12, "hubspot"),
        ),
    ),
    SeedPerson(
        "odd_formula", "=HYPERLINK(\"http://x\",\"y\")", "+82", "formula@tsubame-print.example", "tsubame", "購買部",
        "@SUM(1+1)",
        "属性0点。資料2件40＝40点。表計算ソフトが数式として開いてしまう文字列。",
        lead_source="Webフォーム", owner="sato", created_days_ago=11,
        actions=(
            SeedAction("downloaded", "price_list", 10.2, "hubspot"),
            SeedAction("downloaded", "expense_guide", 10.1, "hubspot"),
        ),
    ),
)

_SALESFORCE_ONLY = (
    SeedPerson(
        "head_download_salesforce", "大森", "由美子", "y.omori@aoba-denshi.example", "aoba", "情報システム部門", "部長",
        "情シス部長20＋資料1件20＝40点。Salesforceの記録だけでMQLになる。",
        hubspot=False, salesforce="lead", phone="022-000-0125", lead_source="Webフォーム", owner="watanabe",
        created_days_ago=16,
        actions=(SeedAction("downloaded", "invoice_checklist", 4.7, "salesforce"),),
    ),
    SeedPerson(
        "contact_salesforce", "福田", "晴美", "h.fukuda@hokuto-foods.example", "hokuto", "マーケティング部", "部長",
        "マーケ部長5＋資料1件20＋来訪3回15＝40点。Salesforceの取引先責任者だけにいる。",
        hubspot=False, salesforce="contact", phone="011-000-0126", lead_source="紹介", owner="suzuki",
        created_days_ago=300,
        actions=(
            SeedAction("downloaded", "workflow_cases", 29.3, "salesforce"),
            SeedAction("visited", _PRICING, 5.8, "salesforce", count=3),
        ),
    ),
    SeedPerson(
        "converted_salesforce", "太田", "圭介", "k.ota@kisaragi-logi.example", "kisaragi", "情シス", "担当者",
        "情シス担当者10＋セミナー参加50＝60点。リードは取引開始済みで営業対応中、改めて渡さない。",
        hubspot=False, salesforce="converted", phone="06-0000-0127", lead_source="セミナー", owner="kato", stage="sal",
        created_days_ago=98,
        actions=(
            SeedAction("registered", "paperless_seminar", 97.2, "salesforce"),
            SeedAction("attended", "paperless_seminar", 95, "salesforce"),
            SeedAction("met", "初回ヒアリング", 70, "salesforce"),
        ),
    ),
    SeedPerson(
        "odd_template", "{{7*7}}", "${jndi}", "template@oreilly-soehne.example", "oreilly", "情報システム部", "担当者",
        "情シス担当者10＋資料1件20＋来訪2回10＝40点。氏名がテンプレート式に見える。Salesforceだけにいる。",
        hubspot=False, salesforce="lead", lead_source="Webフォーム", owner="sato", created_days_ago=13,
        actions=(
            SeedAction("downloaded", "ledger_handbook", 12.4, "salesforce"),
            SeedAction("visited", _HOME, 1.9, "salesforce", count=2),
        ),
    ),
)

_BOTH = (
    SeedPerson(
        "both_union", "中島", "千晶", "c.nakajima@asahina-seiki.example", "asahina", "情シス", "担当者",
        "情シス担当者10＋資料1件20（HubSpot）＋来訪2回10（Salesforce）＝40点。片方だけでは30点と20点。",
        salesforce="lead", linked=True, phone="03-0000-0129", lead_source="Webフォーム", owner="suzuki",
        created_days_ago=40,
        actions=(
            SeedAction("downloaded", "expense_guide", 8.6, "hubspot"),
            SeedAction("visited", _PRICING, 2.1, "salesforce", count=2),
        ),
    ),
    SeedPerson(
        "both_same_email", "髙﨑", "邦彦", "k.takasaki@takasaki-shoten.example", "takasaki", "マーケティング部",
        "担当者",
        "マーケ担当者1＋資料1件20（HubSpot）＋別の資料1件20（Salesforce）＝41点。ID連携はなく、同じメールで同一人物。",
        salesforce="lead", lead_source="展示会", owner="kato", created_days_ago=30,
        actions=(
            SeedAction("card_exchanged", "osaka_fair", 30, "salesforce"),
            SeedAction("downloaded", "invoice_checklist", 22.2, "salesforce"),
            SeedAction("downloaded", "price_list", 6.5, "hubspot"),
        ),
    ),
    SeedPerson(
        "both_secondary_email", "前田", "哲也", "t.maeda@nagisa-shinkumi.example", "nagisa", "情報システム部", "部長",
        "情シス部長20＋来訪2回10（HubSpot）＋来訪2回10（Salesforce）＝40点。SalesforceのメールはHubSpotの2番目のメール。",
        salesforce="contact", secondary_emails=("maeda-private@nagisa-shinkumi.example",),
        salesforce_email="maeda-private@nagisa-shinkumi.example", phone="098-000-0131", lead_source="紹介",
        owner="watanabe", created_days_ago=150,
        actions=(
            SeedAction("visited", _FEATURES, 13.3, "hubspot", count=2),
            SeedAction("visited", _PRICING, 3.4, "salesforce", count=2),
        ),
    ),
    SeedPerson(
        "both_upper_case", "小野", "佐和子", "sawako.ono@shiomi-resort.example", "shiomi", "情報システム部", "担当者",
        "情シス担当者10＋資料1件20（HubSpot）＋別の資料1件20（Salesforce）＝50点。Salesforceのメールは大文字混じり。",
        salesforce="lead", salesforce_email="Sawako.ONO@Shiomi-Resort.EXAMPLE", lead_source="Webフォーム", owner="kato",
        created_days_ago=52,
        actions=(
            SeedAction("downloaded", "workflow_cases", 51.3, "salesforce"),
            SeedAction("downloaded", "ledger_handbook", 2.8, "hubspot"),
        ),
    ),
    SeedPerson(
        "both_full_width", "竹内", "実", "m.takeuchi@wakaba-gakuen.example", "wakaba", "情報システム部", "担当者",
        "情シス担当者10＋資料1件20（HubSpot）＋来訪1回5（Salesforce）＝35点。合計を足すと45点だが、それは属性の二重計上。"
        "Salesforceのメールは全角。",
        salesforce="lead", salesforce_email="ｍ．ｔａｋｅｕｃｈｉ＠ｗａｋａｂａ－ｇａｋｕｅｎ．ｅｘａｍｐｌｅ",
        lead_source="展示会", owner="suzuki", created_days_ago=110,
        actions=(
            SeedAction("card_exchanged", "tokyo_fair", 110, "salesforce"),
            SeedAction("visited", _HOME, 20.9, "salesforce"),
            SeedAction("downloaded", "expense_guide", 7.3, "hubspot"),
        ),
    ),
    SeedPerson(
        "converted_linked", "西村", "信一", "s.nishimura@sakuragi-shoji.example", "sakuragi", "情報システム部", "部長",
        "情シス部長20＋セミナー参加50＝70点。リードは取引開始済み、商談中なので改めて渡さない。",
        salesforce="converted", linked=True, phone="03-0000-0134", lead_source="セミナー", owner="suzuki", stage="sql",
        created_days_ago=100, deal="桜木商事／経費精算 新規導入",
        actions=(
            SeedAction("registered", "paperless_seminar", 99.4, "hubspot"),
            SeedAction("attended", "paperless_seminar", 95, "hubspot"),
            SeedAction("met", "デモのご案内", 80, "salesforce"),
            SeedAction("emailed", "お見積書の送付", 62, "salesforce"),
        ),
    ),
    SeedPerson(
        "customer", "安藤", "律子", "r.ando@konan-kensetsu.example", "konan", "情報システム部", "部長",
        "情シス部長20＋資料2件40＝60点だが、すでに顧客なので渡さない。",
        salesforce="contact", linked=True, phone="045-000-0135", lead_source="紹介", owner="watanabe", stage="customer",
        created_days_ago=600,
        actions=(
            SeedAction("downloaded", "expense_guide", 590, "hubspot"),
            SeedAction("downloaded", "workflow_cases", 35.5, "hubspot"),
        ),
    ),
    SeedPerson(
        "already_mql", "堀", "晃", "a.hori@aoba-denshi.example", "aoba", "情報システム部門", "部長",
        "情シス部長20＋資料1件20＝40点。営業の手ですでにMQLになっているので、もう一度は渡さない。",
        salesforce="lead", linked=True, phone="022-000-0136", lead_source="Webフォーム", owner="watanabe", stage="mql",
        created_days_ago=48,
        actions=(
            SeedAction("downloaded", "invoice_checklist", 46.6, "hubspot"),
            SeedAction("called", "資料の感想伺い（不在）", 43, "salesforce"),
        ),
    ),
    SeedPerson(
        "already_sql", "内田", "麻衣", "m.uchida@midori-pharmacy.example", "midori", "情報システム部", "担当者",
        "情シス担当者10＋セミナー参加50＝60点。営業が自ら開拓して商談中（SGL）、MQLを経ていないが渡し直さない。",
        salesforce="lead", linked=True, phone="03-0000-0137", lead_source="営業開拓", owner="kato", stage="sql",
        created_days_ago=85, deal="みどり調剤薬局グループ／ワークフロー 全店展開",
        actions=(
            SeedAction("met", "店舗視察とご提案", 66, "salesforce"),
            SeedAction("registered", "invoice_seminar", 48.8, "hubspot"),
            SeedAction("attended", "invoice_seminar", 40, "hubspot"),
        ),
    ),
    SeedPerson(
        "already_sal", "宮本", "竜也", "t.miyamoto@kamo-jozo.example", "kamo", "経理部", "課長",
        "属性0＋来訪2回10＝10点。テレマーケティング発（TQL）で営業が引き受け済み。",
        salesforce="lead", linked=True, phone="075-000-0138", lead_source="テレマーケティング", owner="sato",
        stage="sal", created_days_ago=37,
        actions=(
            SeedAction("called", "ご要望のヒアリング", 36, "salesforce"),
            SeedAction("visited", _FEATURES, 33.6, "hubspot", count=2),
        ),
    ),
    SeedPerson(
        "recycled_returned", "横山", "奈緒", "n.yokoyama@hokuto-foods.example", "hokuto", "情報システム部", "担当者",
        "情シス担当者10＋セミナー参加50＝60点。170日前に再育成へ戻り、12日前のセミナーで戻ってきた。次の周回で渡す。",
        salesforce="lead", linked=True, phone="011-000-0139", lead_source="展示会", owner="suzuki", stage="recycled",
        created_days_ago=260,
        actions=(
            SeedAction("called", "導入時期のご確認（時期尚早）", 170, "salesforce"),
            SeedAction("registered", "choosing_seminar", 15.2, "hubspot"),
            SeedAction("attended", "choosing_seminar", 12, "hubspot"),
        ),
    ),
)

PEOPLE: tuple[SeedPerson, ...] = (*_HUBSPOT_ONLY, *_SALESFORCE_ONLY, *_BOTH)
"""Everybody; the order is the one in which a sandbox makes their records."""
