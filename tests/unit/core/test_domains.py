import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.domains import host_of, is_everybodys, registered_domain


@pytest.mark.parametrize(("text", "expected"), [
    ("https://www.mirai.co.jp/ja/?x=1#y", "mirai.co.jp"), ("mirai.co.jp", "mirai.co.jp"),
    ("WWW.Mirai.CO.JP/", "mirai.co.jp"),
    ("ｈｔｔｐ：／／ｍｉｒａｉ．ｃｏ．ｊｐ", "mirai.co.jp"), ("http://mirai.co.jp:8080/", "mirai.co.jp"),
    ("mirai.co.jp, other.com", "mirai.co.jp"), ("  mirai.co.jp 旧サイト", "mirai.co.jp"),
    ("https://例え.jp/", "xn--r8jz45g.jp"),
    ("例え.jp", "xn--r8jz45g.jp"), ("xn--r8jz45g.jp", "xn--r8jz45g.jp"), ("info@mirai.co.jp", "mirai.co.jp"),
    ("mirai.co.jp.", "mirai.co.jp"), ("shop.mirai.co.jp", "shop.mirai.co.jp"),
])
def test_a_host_is_found_in_what_people_write(text, expected):
    assert host_of(text) == expected


@pytest.mark.parametrize("text", [
    "", "なし", "-", "http://", "https:///ja", "http://[::1]/", "http://[::", "10.0.0.1", "http://192.168.0.1/a",
    "localhost",
    "http://mirai..jp", "javascript:alert(1)", "<script>", "http://" + "a" * 300 + ".jp", "\x00", "http://%zz",
    "tel:03-0000-0000",
])
def test_what_names_no_host_gives_none(text):
    assert host_of(text) == ""


@given(st.text(max_size=80) | st.from_regex(r"(https?://)?[^\s]{0,20}\.(jp|com)[/:@\[\]]?.{0,10}"))
def test_any_text_is_read_without_failing_and_a_host_stays_as_it_is(text):
    host = host_of(text)
    assert not host or (host.isascii() and "." in host and host_of(host) == host.removeprefix("www."))


@pytest.mark.parametrize(("host", "expected"), [
    ("mirai.co.jp", "mirai.co.jp"), ("a.b.mirai.co.jp", "mirai.co.jp"), ("mirai.com", "mirai.com"), ("co.jp", ""),
    ("city.shibuya.tokyo.jp", "city.shibuya.tokyo.jp"), ("www2.u-tokyo.ac.jp", "u-tokyo.ac.jp"),
    ("shop.wixsite.com", "shop.wixsite.com"),
    ("mirai.github.io", "mirai.github.io"), ("sub.mirai.example", "mirai.example"), ("example", "example"),
    ("www.xn--r8jz45g.jp", "xn--r8jz45g.jp"), ("bbc.co.uk", "bbc.co.uk"),
    ("www.pref.osaka.lg.jp", "pref.osaka.lg.jp"), ("city.osaka.lg.jp", "city.osaka.lg.jp"),
    ("mail.city.fuchu.tokyo.lg.jp", "city.fuchu.tokyo.lg.jp"), ("lg.jp", ""), ("www.j-lis.lg.jp", "j-lis.lg.jp"),
    ("acme.onmicrosoft.com", "acme.onmicrosoft.com"), ("mail.acme.onmicrosoft.com", "acme.onmicrosoft.com"),
])
def test_what_somebody_registered_follows_the_public_suffix_list(host, expected):
    assert registered_domain(host) == expected


@pytest.mark.parametrize("host", [
    "gmail.com", "yahoo.co.jp", "docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp", "i.softbank.jp", "au.com",
    "biz.au.com", "ybb.ne.jp",
    "ymobile.ne.jp", "d.vodafone.ne.jp", "outlook.jp", "icloud.com", "aaa.bbb.ocn.ne.jp", "nifty.com", "qq.com",
    "facebook.com",
    "ja-jp.facebook.com", "jcom.home.ne.jp", "yahoo.ne.jp", "goo.jp", "mineo.jp",
])
def test_where_anybody_may_have_an_address_or_a_page_is_everybodys(host):
    assert is_everybodys(host)


@pytest.mark.parametrize("host", ["mirai.co.jp", "x.example", "u-tokyo.ac.jp", "shop.wixsite.com", "docomo.co.jp"])
def test_a_company_s_own_domain_is_not_everybodys(host):
    assert not is_everybodys(host)


def test_no_network_is_asked(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert registered_domain("never-asked-before.mirai.co.jp") == "mirai.co.jp"
