"""The leads of Acme Analytics, written by hand.

The points that `why` speaks of are the article's: Information Systems (IT) head 20, staff 10; Marketing head 5,
staff 1; webinar attended 50, document downloaded 20, website visit 5; 40 qualify. Keys that are in `mirai_cast` too
tell the same case. For a visit, `SeedAction.what` is the address of the page.
"""

from __future__ import annotations

from connector.adapter_kit.sandbox.world import SeedAction, SeedPerson

_HOME = "https://www.acme-analytics.example/"
_PRICING = f"{_HOME}pricing"
_FEATURES = f"{_HOME}features"

_HUBSPOT_ONLY = (
    SeedPerson(
        "head_download_hubspot", "Whitfield", "Nora", "nora.whitfield@harborline.example", "harborline",
        "Information Systems", "Director",
        "IT director 20 + one guide 20 = 40: exactly on the line, MQL.",
        phone="+1 212-555-0101", lead_source="Website", owner="okafor", created_days_ago=21,
        actions=(SeedAction("downloaded", "warehouse_guide", 3.2, "hubspot"),),
    ),
    SeedPerson(
        "staff_download", "Abara", "Tunde", "tunde.abara@cedarandstone.example", "cedar", "IT", "Staff",
        "IT staff 10 + one guide 20 = 30: ten short.",
        phone="+1 312-555-0102", lead_source="Website", owner="brooks", created_days_ago=34,
        actions=(SeedAction("downloaded", "pricing_guide", 5.4, "hubspot"),),
    ),
    SeedPerson(
        "marketing_head_seminar", "Castellano", "Giulia", "giulia.castellano@tidewater-hotels.example", "tidewater",
        "Marketing", "Head of Marketing",
        "Marketing head 5 + webinar attended 50 = 55. Card, newsletter and inquiry give 0 but belong in the note.",
        phone="+1 757-555-0103", lead_source="Trade Show", owner="okafor", created_days_ago=30,
        actions=(
            SeedAction("card_exchanged", "retail_fair", 30, "hubspot"),
            SeedAction("newsletter_clicked", "newsletter", 18.5, "hubspot", count=2),
            SeedAction("registered", "stack_webinar", 17.1, "hubspot"),
            SeedAction("attended", "stack_webinar", 12, "hubspot"),
            SeedAction("inquired", "contact_form", 10.8, "hubspot"),
        ),
    ),
    SeedPerson(
        "staff_no_show", "Pruitt", "Logan", "logan.pruitt@kestrel-aero.example", "kestrel", "IT", "Staff",
        "IT staff 10. Registered for the webinar and did not come: 0, so 10.",
        lead_source="Webinar", owner="brooks", created_days_ago=22,
        actions=(
            SeedAction("registered", "stack_webinar", 20.3, "hubspot"),
            SeedAction("no_show", "stack_webinar", 12, "hubspot"),
        ),
    ),
    SeedPerson(
        "visits_eight", "Sørensen", "Ida", "ida.sorensen@quillon.example", "quillon", "Operations", "Manager",
        "Operations gives no fit points; 8 visits x 5 = 40: MQL by visits alone.",
        lead_source="Paid Search", owner="okafor", created_days_ago=60,
        actions=(SeedAction("visited", _PRICING, 1.1, "hubspot", count=8),),
    ),
    SeedPerson(
        "visits_seven", "Marchetti", "Paolo", "paolo.marchetti@umber-staffing.example", "umber", "Finance", "Analyst",
        "Finance gives no fit points; 7 visits x 5 = 35: one visit short.",
        lead_source="Paid Search", owner="brooks", created_days_ago=58,
        actions=(SeedAction("visited", _FEATURES, 2.6, "hubspot", count=7),),
    ),
    SeedPerson(
        "fit_only", "Van der Berg", "Pieter", "pieter.vanderberg@ferrousvalley.example", "ferrous",
        "Information Systems", "Director of IT",
        "IT director 20 and nothing done yet: 20.",
        phone="+1 412-555-0107", lead_source="Purchased List", owner="reyes", created_days_ago=75,
    ),
    SeedPerson(
        "behaviour_only", "Delgado", "Ruben", "ruben.delgado@solano-water.example", "solano", "Sales", "Manager",
        "Sales gives no fit points; webinar attended 50 + one visit 5 = 55: MQL by behaviour alone.",
        phone="+1 707-555-0108", lead_source="Webinar", owner="brooks", created_days_ago=45,
        actions=(
            SeedAction("registered", "dashboard_webinar", 44.2, "hubspot"),
            SeedAction("attended", "dashboard_webinar", 40, "hubspot"),
            SeedAction("visited", _HOME, 6.3, "hubspot"),
        ),
    ),
    SeedPerson(
        "unsubscribed", "Hale", "Miriam", "miriam.hale@brightwell-health.example", "brightwell", "IT", "Head",
        "IT head 20 + one white paper 20 + one visit 5 = 45. Opted out of e-mail: the definition says whether to hand "
        "over, and then by telephone only.",
        phone="+1 617-555-0109", lead_source="Website", owner="okafor", unsubscribed=True, created_days_ago=130,
        actions=(
            SeedAction("downloaded", "governance_paper", 9.7, "hubspot"),
            SeedAction("visited", _HOME, 4.4, "hubspot"),
        ),
    ),
    SeedPerson(
        "competitor", "Crane", "Silas", "silas.crane@vantage-metrics.example", "rival", "Information Systems", "Staff",
        "IT staff 10 + two documents 40 = 50, but the domain is a competitor's: not to be handed to sales.",
        lead_source="Website", created_days_ago=15,
        actions=(
            SeedAction("downloaded", "pricing_guide", 14.5, "hubspot"),
            SeedAction("downloaded", "forecast_paper", 14.4, "hubspot"),
        ),
    ),
    SeedPerson(
        "own_staff", "Ferris", "Bea", "bea.ferris@acme-analytics.example", "acme", "Marketing", "Staff",
        "Marketing staff 1 + two documents 40 = 41, but one of us trying the forms: not to be handed to sales.",
        lead_source="Website", created_days_ago=200,
        actions=(
            SeedAction("downloaded", "forecast_paper", 199, "hubspot"),
            SeedAction("downloaded", "warehouse_guide", 33, "hubspot"),
        ),
    ),
    SeedPerson(
        "dormant", "Yamada", "ﾀﾛｳ", "taro.yamada@pinecrest-schools.example", "pinecrest", "IT", "Staff",
        "IT staff 10 + one white paper 20 = 30, last seen 430 days ago: dormant. Half-width kana in the name.",
        phone="+1 503-555-0112", lead_source="Website", owner="brooks", created_days_ago=440,
        actions=(SeedAction("downloaded", "quality_paper", 430, "hubspot"),),
    ),
    SeedPerson(
        "dormant_returned", "Lavoie", "Camille", "camille.lavoie@valewood-cu.example", "valewood", "IT", "Staff",
        "IT staff 10 + one guide 20 (445 days ago) + one visit 5 (two days ago) = 35: back from dormancy, still short.",
        phone="+1 514-555-0113", lead_source="Website", owner="okafor", created_days_ago=460,
        actions=(
            SeedAction("downloaded", "pricing_guide", 445, "hubspot"),
            SeedAction("visited", _PRICING, 2.2, "hubspot"),
        ),
    ),
    SeedPerson(
        "recycled_quiet", "Stroud", "Everett", "everett.stroud@cedarandstone.example", "cedar", "IT", "Staff",
        "IT staff 10 + one guide 20 = 30. Sales worked on him once and sent him back; nothing since.",
        phone="+1 312-555-0114", lead_source="Trade Show", owner="brooks", stage="recycled", created_days_ago=210,
        actions=(
            SeedAction("downloaded", "warehouse_guide", 180, "hubspot"),
            SeedAction("called", "Budget timing (next fiscal year)", 150, "hubspot"),
        ),
    ),
    SeedPerson(
        "no_owner", "Osei", "Abena", "abena.osei@harborline.example", "harborline", "IT", "Staff",
        "IT staff 10 + webinar attended 50 = 60. Nobody owns the record.",
        lead_source="Webinar", created_days_ago=25,
        actions=(
            SeedAction("registered", "stack_webinar", 16.6, "hubspot"),
            SeedAction("attended", "stack_webinar", 12, "hubspot"),
        ),
    ),
    SeedPerson(
        "inactive", "Grubb", "Walter", "walter.grubb@ferrousvalley.example", "ferrous", "Facilities", "",
        "No fit points, nothing done: 0. Imported 650 days ago and never touched.",
        lead_source="Purchased List", created_days_ago=650,
    ),
    SeedPerson(
        "free_mail", "Novak", "Jana", "this.person.was.invented.for.a.demo@gmail.com", "novak", "", "Owner",
        "No fit points; one white paper 20 + five visits 25 = 45, but only a free-mail address.",
        lead_source="Website", owner="brooks", created_days_ago=19,
        actions=(
            SeedAction("downloaded", "quality_paper", 18.8, "hubspot"),
            SeedAction("visited", _PRICING, 7.9, "hubspot", count=5),
        ),
    ),
    SeedPerson(
        "inquiry_only", "Bhatt", "Priya", "priya.bhatt@kestrel-aero.example", "kestrel", "IT", "Staff",
        "IT staff 10; inquiry, card and newsletter give 0, so 10.",
        phone="+1 316-555-0118", lead_source="Trade Show", owner="reyes", created_days_ago=110,
        actions=(
            SeedAction("card_exchanged", "data_fair", 110, "hubspot"),
            SeedAction("newsletter_clicked", "newsletter", 50.5, "hubspot", count=3),
            SeedAction("inquired", "contact_form", 8.2, "hubspot"),
        ),
    ),
    SeedPerson(
        "registered_upcoming", "Lund", "Freja", "freja.lund@solano-water.example", "solano", "Information Technology",
        "IT Manager",
        "One white paper 20; read as IT staff 30. Registered for a webinar nine days from now: 0.",
        lead_source="Webinar", owner="okafor", created_days_ago=28,
        actions=(
            SeedAction("downloaded", "forecast_paper", 27.5, "hubspot"),
            SeedAction("registered", "budget_webinar", 3.9, "hubspot"),
        ),
    ),
    SeedPerson(
        "title_as_written", "Haddad", "Karim", "karim.haddad@brightwell-health.example", "brightwell", "",
        "EVP & Head, Information Systems",
        "One visit 5; the department is only in the title. Read as IT head 25.",
        lead_source="Referral", owner="reyes", created_days_ago=90,
        actions=(SeedAction("visited", _HOME, 31.4, "hubspot"),),
    ),
    SeedPerson(
        "odd_circled", "Dubois", "Zoé①", "zoe@cafe-dubois.example", "dubois", "Sales №2", "Spécialiste ③",
        "No fit points; one visit 5. Circled digits and signs from old code pages.",
        lead_source="Trade Show", owner="lindqvist", created_days_ago=30,
        actions=(
            SeedAction("card_exchanged", "retail_fair", 30, "hubspot"),
            SeedAction("visited", _HOME, 29.1, "hubspot"),
        ),
    ),
    SeedPerson(
        "odd_emoji", "𠮷田", "Hikari🌸", "hikari.yoshida@quillon.example", "quillon", "Marketing", "Staff",
        "Marketing staff 1 + two white papers 40 = 41. An emoji and a four-byte kanji in the name.",
        lead_source="Social", owner="brooks", created_days_ago=26,
        actions=(
            SeedAction("downloaded", "forecast_paper", 25.7, "hubspot"),
            SeedAction("downloaded", "governance_paper", 4.1, "hubspot"),
        ),
    ),
    SeedPerson(
        "odd_markup", "<b>O'Reilly & Söhne</b>", "\"Zoë\"", "zoe@oreilly-soehne.example", "oreilly",
        "Information Systems", "Staff",
        "IT staff 10 + webinar attended 50 = 60. Person and company are named like HTML.",
        phone="+1 646-555-0123", lead_source="Webinar", owner="lindqvist", created_days_ago=18,
        actions=(
            SeedAction("registered", "stack_webinar", 17.9, "hubspot"),
            SeedAction("attended", "stack_webinar", 12, "hubspot"),
        ),
    ),
    SeedPerson(
        "odd_formula", "=HYPERLINK(\"http://x\",\"y\")", "+82", "formula@umber-staffing.example", "umber", "Purchasing",
        "@SUM(1+1)",
        "No fit points; two documents 40 = 40. Text that a spreadsheet would run.",
        lead_source="Website", owner="brooks", created_days_ago=11,
        actions=(
            SeedAction("downloaded", "pricing_guide", 10.2, "hubspot"),
            SeedAction("downloaded", "warehouse_guide", 10.1, "hubspot"),
        ),
    ),
)

_SALESFORCE_ONLY = (
    SeedPerson(
        "head_download_salesforce", "Kessler", "Anke", "anke.kessler@alpenrose.example", "alpenrose",
        "Information Systems", "Head",
        "IT head 20 + one white paper 20 = 40: MQL by Salesforce's records alone.",
        hubspot=False, salesforce="lead", phone="+1 202-555-0125", lead_source="Website", owner="lindqvist",
        created_days_ago=16,
        actions=(SeedAction("downloaded", "quality_paper", 4.7, "salesforce"),),
    ),
    SeedPerson(
        "contact_salesforce", "Everly", "Simone", "simone.everly@moorland-bs.example", "moorland", "Marketing",
        "Director",
        "Marketing director 5 + one white paper 20 + three visits 15 = 40. Only a contact in Salesforce.",
        hubspot=False, salesforce="contact", phone="+1 202-555-0126", lead_source="Referral", owner="lindqvist",
        created_days_ago=300,
        actions=(
            SeedAction("downloaded", "forecast_paper", 29.3, "salesforce"),
            SeedAction("visited", _PRICING, 5.8, "salesforce", count=3),
        ),
    ),
    SeedPerson(
        "converted_salesforce", "Beaumont", "Theo", "theo.beaumont@tidewater-hotels.example", "tidewater", "IT",
        "Staff",
        "IT staff 10 + webinar attended 50 = 60. The lead is converted and sales is on it: not handed over again.",
        hubspot=False, salesforce="converted", phone="+1 757-555-0127", lead_source="Webinar", owner="okafor",
        stage="sal", created_days_ago=98,
        actions=(
            SeedAction("registered", "pipeline_webinar", 97.2, "salesforce"),
            SeedAction("attended", "pipeline_webinar", 95, "salesforce"),
            SeedAction("met", "Discovery call", 70, "salesforce"),
        ),
    ),
    SeedPerson(
        "odd_template", "{{7*7}}", "${jndi}", "template@oreilly-soehne.example", "oreilly", "IT", "Staff",
        "IT staff 10 + one white paper 20 + two visits 10 = 40. Named like a template, and only in Salesforce.",
        hubspot=False, salesforce="lead", lead_source="Website", owner="lindqvist", created_days_ago=13,
        actions=(
            SeedAction("downloaded", "governance_paper", 12.4, "salesforce"),
            SeedAction("visited", _HOME, 1.9, "salesforce", count=2),
        ),
    ),
)

_BOTH = (
    SeedPerson(
        "both_union", "Achterberg", "Lotte", "lotte.achterberg@harborline.example", "harborline", "IT", "Staff",
        "IT staff 10 + one guide 20 (HubSpot) + two visits 10 (Salesforce) = 40; each CRM alone says 30 and 20.",
        salesforce="lead", linked=True, phone="+1 212-555-0129", lead_source="Website", owner="okafor",
        created_days_ago=40,
        actions=(
            SeedAction("downloaded", "warehouse_guide", 8.6, "hubspot"),
            SeedAction("visited", _PRICING, 2.1, "salesforce", count=2),
        ),
    ),
    SeedPerson(
        "both_same_email", "Quiñones", "Mateo", "mateo.quinones@cedarandstone.example", "cedar", "Marketing", "Staff",
        "Marketing staff 1 + one guide 20 (HubSpot) + one white paper 20 (Salesforce) = 41. No link ids: one human by "
        "the same e-mail.",
        salesforce="lead", lead_source="Trade Show", owner="brooks", created_days_ago=30,
        actions=(
            SeedAction("card_exchanged", "retail_fair", 30, "salesforce"),
            SeedAction("downloaded", "quality_paper", 22.2, "salesforce"),
            SeedAction("downloaded", "pricing_guide", 6.5, "hubspot"),
        ),
    ),
    SeedPerson(
        "both_secondary_email", "Thornbury", "Alec", "alec.thornbury@valewood-cu.example", "valewood",
        "Information Systems", "Director",
        "IT director 20 + two visits 10 (HubSpot) + two visits 10 (Salesforce) = 40. Salesforce has the second of his "
        "HubSpot addresses.",
        salesforce="contact", secondary_emails=("athornbury@valewood-cu.example",),
        salesforce_email="athornbury@valewood-cu.example", phone="+1 802-555-0131", lead_source="Referral",
        owner="reyes", created_days_ago=150,
        actions=(
            SeedAction("visited", _FEATURES, 13.3, "hubspot", count=2),
            SeedAction("visited", _PRICING, 3.4, "salesforce", count=2),
        ),
    ),
    SeedPerson(
        "both_upper_case", "Rahimi", "Leila", "leila.rahimi@pinecrest-schools.example", "pinecrest", "IT", "Staff",
        "IT staff 10 + one white paper 20 (HubSpot) + another 20 (Salesforce) = 50. Salesforce has her e-mail in "
        "capitals.",
        salesforce="lead", salesforce_email="Leila.RAHIMI@Pinecrest-Schools.EXAMPLE", lead_source="Website",
        owner="brooks", created_days_ago=52,
        actions=(
            SeedAction("downloaded", "forecast_paper", 51.3, "salesforce"),
            SeedAction("downloaded", "governance_paper", 2.8, "hubspot"),
        ),
    ),
    SeedPerson(
        "both_full_width", "Ishida", "Ken", "ken.ishida@kestrel-aero.example", "kestrel", "IT", "Staff",
        "IT staff 10 + one guide 20 (HubSpot) + one visit 5 (Salesforce) = 35. Adding two totals gives 45 and counts "
        "the fit twice. Salesforce has the e-mail in full-width letters.",
        salesforce="lead", salesforce_email="ｋｅｎ．ｉｓｈｉｄａ＠ｋｅｓｔｒｅｌ－ａｅｒｏ．ｅｘａｍｐｌｅ",
        lead_source="Trade Show", owner="okafor", created_days_ago=110,
        actions=(
            SeedAction("card_exchanged", "data_fair", 110, "salesforce"),
            SeedAction("visited", _HOME, 20.9, "salesforce"),
            SeedAction("downloaded", "warehouse_guide", 7.3, "hubspot"),
        ),
    ),
    SeedPerson(
        "converted_linked", "Moreau", "Édith", "edith.moreau@solano-water.example", "solano", "Information Systems",
        "Director",
        "IT director 20 + webinar attended 50 = 70. The lead is converted and a deal is open: not handed over again.",
        salesforce="converted", linked=True, phone="+1 707-555-0134", lead_source="Webinar", owner="okafor",
        stage="sql", created_days_ago=100, deal="Solano Water Utility / Analytics, new business",
        actions=(
            SeedAction("registered", "pipeline_webinar", 99.4, "hubspot"),
            SeedAction("attended", "pipeline_webinar", 95, "hubspot"),
            SeedAction("met", "Product demo", 80, "salesforce"),
            SeedAction("emailed", "Your quote", 62, "salesforce"),
        ),
    ),
    SeedPerson(
        "customer", "Gallagher", "Fiona", "fiona.gallagher@moorland-bs.example", "moorland", "IT", "Head",
        "IT head 20 + two documents 40 = 60, but a customer already: not handed over.",
        salesforce="contact", linked=True, phone="+1 202-555-0135", lead_source="Referral", owner="lindqvist",
        stage="customer", created_days_ago=600,
        actions=(
            SeedAction("downloaded", "warehouse_guide", 590, "hubspot"),
            SeedAction("downloaded", "forecast_paper", 35.5, "hubspot"),
        ),
    ),
    SeedPerson(
        "already_mql", "Petrov", "Nikolai", "nikolai.petrov@ferrousvalley.example", "ferrous", "Information Systems",
        "Director",
        "IT director 20 + one white paper 20 = 40. Sales made him an MQL by hand already: not handed over again.",
        salesforce="lead", linked=True, phone="+1 412-555-0136", lead_source="Website", owner="reyes", stage="mql",
        created_days_ago=48,
        actions=(
            SeedAction("downloaded", "quality_paper", 46.6, "hubspot"),
            SeedAction("called", "Left a message about the white paper", 43, "salesforce"),
        ),
    ),
    SeedPerson(
        "already_sql", "Santos", "Beatriz", "beatriz.santos@brightwell-health.example", "brightwell", "IT", "Staff",
        "IT staff 10 + webinar attended 50 = 60. Sales found her itself (SGL) and a deal is open: never an MQL, "
        "and not handed over now.",
        salesforce="lead", linked=True, phone="+1 617-555-0137", lead_source="Sales Prospecting", owner="okafor",
        stage="sql", created_days_ago=85, deal="Brightwell Health Partners / Dashboards for all clinics",
        actions=(
            SeedAction("met", "Site visit and proposal", 66, "salesforce"),
            SeedAction("registered", "dashboard_webinar", 48.8, "hubspot"),
            SeedAction("attended", "dashboard_webinar", 40, "hubspot"),
        ),
    ),
    SeedPerson(
        "already_sal", "Winters", "Hugh", "hugh.winters@alpenrose.example", "alpenrose", "Finance", "Manager",
        "No fit points + two visits 10 = 10. Found by telephone (TQL) and accepted by sales.",
        salesforce="lead", linked=True, phone="+1 202-555-0138", lead_source="Telemarketing", owner="lindqvist",
        stage="sal", created_days_ago=37,
        actions=(
            SeedAction("called", "What they need", 36, "salesforce"),
            SeedAction("visited", _FEATURES, 33.6, "hubspot", count=2),
        ),
    ),
    SeedPerson(
        "recycled_returned", "Bergström", "Nils", "nils.bergstrom@umber-staffing.example", "umber", "IT", "Staff",
        "IT staff 10 + webinar attended 50 = 60. Sent back 170 days ago, came to a webinar 12 days ago: handed over in "
        "the next cycle.",
        salesforce="lead", linked=True, phone="+1 646-555-0139", lead_source="Trade Show", owner="okafor",
        stage="recycled", created_days_ago=260,
        actions=(
            SeedAction("called", "Too early for them", 170, "salesforce"),
            SeedAction("registered", "stack_webinar", 15.2, "hubspot"),
            SeedAction("attended", "stack_webinar", 12, "hubspot"),
        ),
    ),
)

PEOPLE: tuple[SeedPerson, ...] = (*_HUBSPOT_ONLY, *_SALESFORCE_ONLY, *_BOTH)
"""Everybody; the order is the one in which a sandbox makes their records."""
