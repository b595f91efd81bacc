"""Acme Analytics: sells data software to companies in America and Europe.

The house: its people, its customers, what its marketing made and the words it uses. The leads are in `acme_cast`.
All names are invented, all domains are reserved (RFC 2606), and the telephone numbers are of 555-0100 to 555-0199,
kept free for fiction (Source: assumed).
"""

from __future__ import annotations

from datetime import datetime

from connector.adapter_kit.sandbox.world import Crowd, SeedCompany, SeedContent, SeedUser, World
from connector.sandbox.seeds.acme_cast import PEOPLE

OWN_DOMAIN = "acme-analytics.example"
RIVAL_DOMAIN = "vantage-metrics.example"

USERS = (
    SeedUser("reyes", "Reyes", "Daniela", f"daniela.reyes@{OWN_DOMAIN}", "VP Sales"),
    SeedUser("okafor", "Okafor", "Chidi", f"chidi.okafor@{OWN_DOMAIN}", "Account Executive"),
    SeedUser("lindqvist", "Lindqvist", "Maja", f"maja.lindqvist@{OWN_DOMAIN}", "Account Executive, EMEA"),
    SeedUser("brooks", "Brooks", "Jordan", f"jordan.brooks@{OWN_DOMAIN}", "Sales Development"),
    SeedUser("tan", "Tan", "Wei Ling", f"weiling.tan@{OWN_DOMAIN}", "Marketing Operations"),
)

CUSTOMERS = (
    SeedCompany("harborline", "Harborline Logistics Inc.", "harborline.example", "Transportation", 900),
    SeedCompany("cedar", "Cedar & Stone Furniture", "cedarandstone.example", "Retail", 340),
    SeedCompany("brightwell", "Brightwell Health Partners", "brightwell-health.example", "Healthcare", 2100),
    SeedCompany("kestrel", "Kestrel Aerospace Components", "kestrel-aero.example", "Manufacturing", 620),
    SeedCompany("moorland", "Moorland Building Society", "moorland-bs.example", "Financial services", 480),
    SeedCompany("alpenrose", "Alpenrose Getränke GmbH", "alpenrose.example", "Food and beverage", 260),
    SeedCompany("pinecrest", "Pinecrest School District", "pinecrest-schools.example", "Education", 1500),
    SeedCompany("solano", "Solano Water Utility", "solano-water.example", "Utilities", 310),
    SeedCompany("quillon", "Quillon Publishing", "quillon.example", "Media", 130),
    SeedCompany("ferrous", "Ferrous Valley Steel", "ferrousvalley.example", "Manufacturing", 1900),
    SeedCompany("tidewater", "Tidewater Hotels Group", "tidewater-hotels.example", "Hospitality", 740),
    SeedCompany("umber", "Umber Staffing LLC", "umber-staffing.example", "Staffing", 95),
    SeedCompany("valewood", "Valewood Credit Union", "valewood-cu.example", "Financial services", 280),
)
COMPANIES = (
    *CUSTOMERS,
    SeedCompany("dubois", "Café Dubois №1, S.à r.l.", "cafe-dubois.example", "Hospitality", 24),
    SeedCompany("novak", "Novak Bookkeeping", "novak-bookkeeping.example", "Accounting", 2),
    SeedCompany("oreilly", "<b>O'Reilly & Söhne</b>", "oreilly-soehne.example", "Wholesale", 75),
    SeedCompany("rival", "Vantage Metrics Corp.", RIVAL_DOMAIN, "Software", 410),
    SeedCompany("acme", "Acme Analytics", OWN_DOMAIN, "Software", 180),
)

WHITE_PAPER, WEBINAR, FAIR = "White Paper", "Webinar", "Trade Show"
CONTENTS = (
    SeedContent("warehouse_guide", "document", "Guide: Choosing a Cloud Data Warehouse", 700, WHITE_PAPER),
    SeedContent("pricing_guide", "document", "Guide: Plans, Pricing and Limits", 650, WHITE_PAPER),
    SeedContent("quality_paper", "document", "White paper: The Real Cost of Bad Data", 500, WHITE_PAPER),
    SeedContent("governance_paper", "document", "White paper: Data Governance in 90 Days", 365, WHITE_PAPER),
    SeedContent("forecast_paper", "document", "White paper: Forecasting for Mid-Size Manufacturers", 200, WHITE_PAPER),
    SeedContent("stack_webinar", "seminar", "Webinar: An Analytics Stack for Small IT Teams", 12, WEBINAR),
    SeedContent("dashboard_webinar", "seminar", "Webinar: Dashboards People Actually Open", 40, WEBINAR),
    SeedContent("pipeline_webinar", "seminar", "Webinar: From Spreadsheet to Pipeline in 30 Minutes", 95, WEBINAR),
    SeedContent("budget_webinar", "seminar", "Webinar: Planning Next Year's Data Budget", -9, WEBINAR),
    SeedContent("contact_form", "inquiry", "Contact us", 900, "Inquiry"),
    SeedContent("data_fair", "card_exchange", "Trade show: Midwest Data Expo", 110, FAIR),
    SeedContent("retail_fair", "card_exchange", "Trade show: Retail Systems Days", 30, FAIR),
    SeedContent("newsletter", "newsletter", "Newsletter: The Acme Monthly", 900, "Newsletter"),
)

TERMS = {
    "member_registered": "Registered",
    "member_attended": "Attended",
    "member_no_show": "No Show",
    "member_downloaded": "Downloaded",
    "member_responded": "Responded",
    "lead_new": "Open - Not Contacted",
    "lead_mql": "MQL",
    "lead_working": "Working - Contacted",
    "lead_qualified": "Qualified",
    "lead_recycled": "Recycled",
    "lead_unqualified": "Closed - Not Converted",
    "visit_subject": "Website visit",
}

CROWD = Crowd(
    family_names=(
        ("Anderson", "anderson"), ("Baker", "baker"), ("Castillo", "castillo"), ("Dupont", "dupont"),
        ("Evans", "evans"), ("Fischer", "fischer"), ("Garcia", "garcia"), ("Hughes", "hughes"),
        ("Ivanova", "ivanova"), ("Jensen", "jensen"), ("Kowalski", "kowalski"), ("López", "lopez"),
        ("Müller", "mueller"), ("Nguyen", "nguyen"), ("O'Connor", "oconnor"), ("Patel", "patel"),
        ("Rossi", "rossi"), ("Smith", "smith"), ("Turner", "turner"), ("Williams", "williams"),
    ),
    given_names=(
        ("Alice", "alice"), ("Ben", "ben"), ("Carla", "carla"), ("David", "david"), ("Emma", "emma"),
        ("Frank", "frank"), ("Grace", "grace"), ("Hugo", "hugo"), ("Inés", "ines"), ("James", "james"),
    ),
    departments=(
        "Finance", "Operations", "Information Systems", "Sales", "Human Resources", "Marketing",
        "Strategy", "IT", "Purchasing", "Manufacturing", "Information Technology", "Quality",
    ),
    titles=(
        "Staff", "Manager", "Specialist", "Analyst", "Director", "Coordinator", "Team Lead", "Consultant", "Associate",
        "Assistant", "Senior Analyst", "Project Manager", "Administrator", "Planner", "Buyer", "Intern", "",
    ),
    companies=CUSTOMERS,
    lead_source="Website",
)


def world(now: datetime) -> World:
    """Return the company with its cast; the crowd's tables are filled, its sizes are 0."""
    return World(
        name="acme",
        company_name="Acme Analytics",
        language="en",
        time_zone="America/New_York",
        now=now,
        users=USERS,
        companies=COMPANIES,
        contents=CONTENTS,
        people=PEOPLE,
        terms=dict(TERMS),
        crowd=CROWD,
    )
