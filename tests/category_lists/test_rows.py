"""The fast way and the careful way of reading lists give the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from category_lists import suffixes
from category_lists.essentials import Protected, protected
from category_lists.lists import row
from category_lists.parsers import FORMATS, LONGEST_LINE, Entry, Report, parse
from category_lists.rows import read_rows
from category_lists.taxonomy import load

PIECES = st.sampled_from(
    [
        b"a.com", b"www.b.co.uk", b"0.0.0.0 a.com", b"127.0.0.1\tb.com", b"0.0.0.0 localhost", b"||a.com^", b"||a.com^$important",
        b"local=/a.com/", b"server=/b.net/", b"http://a.com/", b"https://b.com", b"a.com/x", b"co.uk", b"github.io", b"x.ck",
        b"com", b"1.2.3.4", b"1.2.3", b"xn--a.com", b"xn--bcher-kva.com", b"# c", b"", b" a.com", b"a.com ", b"a.com # c", b"A.com",
        b"a..com", b".a.com", b"*.a.com", b"a.com.", b"-a-.com", b"_x.com", b"a.c0m", b"a.com\r", b"\xef\xbb\xbfa.com", b"\xff",
        b"x" * 70 + b".com", b".".join([b"a" * 60] * 5), b"helped.org", b"www.helped.org", b"page.org", b"a.com b.com", b"a.com\x00",
        b"x" * (LONGEST_LINE + 1), b"0.0.0.0 ip6-localhost.x", b"0.0.0.0 localhost.localdomain",
    ]
)  # fmt: skip
KEEP = Protected(frozenset([b"helped.org"]), frozenset([b"a.com"]), frozenset([b"page.org"]))


SHARED, WILD = ({name.encode() for name in names} for names in (suffixes.load().names, suffixes.load().wild))


def slowly(format_: str, lines: list[bytes], keep: Protected) -> tuple[list[str], Report]:
    report, rows = Report(), []
    for number, line in enumerate(lines, start=1):
        for item in parse(format_, [line], first=number):
            if not isinstance(item, Entry):
                report.refuse(item)
                continue
            report.accepted += 1
            if not item.exception and keep and keep.hit(item.host, item.path):
                report.set_aside += 1
                continue
            report.exceptions += item.exception
            rows.append(row(item))
            bare = item.host.removeprefix("www.")
            shared = bare.encode() in SHARED or bare.partition(".")[2].encode() in WILD
            if bare != item.host and "." in bare and not (item.path or item.exception or shared or keep.hit(bare, "")):
                rows.append(f"{bare} =")
    return rows, report


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMATS), st.lists(PIECES | st.binary(max_size=30), max_size=12), st.sampled_from([KEEP, Protected()]))
def test_both_ways_agree(format_: str, lines: list[bytes], keep: Protected) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    report = Report()
    found = read_rows(format_, [lines] if lines else [], report, protected=keep)
    rows, careful = slowly(format_, lines, keep)
    assert sorted(found) == sorted(one.encode() for one in rows)
    counted = ("accepted", "refused", "exceptions", "set_aside")
    assert [getattr(report, name) for name in counted] == [getattr(careful, name) for name in counted]
    assert {(one.line, one.why) for one in report.examples} == {(one.line, one.why) for one in careful.examples}


def test_what_is_set_aside_is_reported_with_its_line() -> None:
    report = Report()
    found = read_rows("hosts", [[b"0.0.0.0 ok.com", b"0.0.0.0 www.helped.org"]], report, protected=KEEP)
    assert found == [b"ok.com"]
    assert [(one.line, one.text, one.why) for one in report.aside_examples] == [
        (2, "www.helped.org", "helped.org must stay open")
    ]


def test_a_site_under_www_is_also_the_site_without_it() -> None:
    lines = [
        b"0.0.0.0 www.bets.example",
        b"0.0.0.0 www.co.uk",
        b"0.0.0.0 www.games.example/x",
        b"127.0.0.1 www.childline.org.uk",
    ]
    guard = protected(load().categories["gambling"])
    rows = read_rows("hosts", [lines], Report(), protected=guard)
    assert {b"www.bets.example", b"bets.example ="} <= set(rows)
    assert not {b"co.uk =", b"childline.org.uk =", b"games.example ="} & set(rows)
    assert read_rows("adblock", [[b"@@||www.good.example^"]], Report()) == [b"www.good.example @"]


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="no list format"):
        read_rows("squid", [], Report())
