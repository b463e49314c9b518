import json

import pytest

from category_lists.evaluate import COLUMNS, Verdict, evaluate, read_cases, to_fields, to_text

HEADER = "domain,true_category,also_acceptable,primary,secondary,staff\n"
KNOWN = {
    "bets.example": ("block", "gambling"),
    "games.example": ("block", "games"),
    "clinic.example": ("block", "pornography"),
    "news.example": ("warn", "news"),
    "forum.example/board": ("block", "forums_blogs"),
}


def judge(name, phase):
    action, category = KNOWN.get(name, ("allow", None))
    if phase == "staff":
        action = "allow"
    return Verdict(action, category, category and "feed-a", name if category else None, (category,) if category else ())


def judged(text):
    return evaluate(read_cases(text.splitlines()), judge)


def test_rates_confusion_and_offenders():
    report = judged(
        HEADER
        + "bets.example,gambling,games,block,block,block\n"
        + "other.example,gambling,,block,block,unclear\n"
        + "clinic.example,health,sex_education_health,allow,allow,allow\n"
        + "news.example,news,,unclear,allow,allow\n"
    )
    assert report.cases == 4
    gambling = report.tally("gambling", "secondary")
    assert (gambling.to_block, gambling.blocked) == (2, 1)
    assert report.total("secondary").refused == 1
    assert report.tally("news", "secondary").warned == 1
    assert report.tally("gambling", "staff").to_block == 1
    assert report.confusion == {("gambling", "(unknown)"): 1, ("health", "pornography"): 1}
    assert report.offenders == {("feed-a", "pornography"): 2}
    assert {(one.asked, one.column) for one in report.mistakes if one.expected == "allow"} == {
        ("clinic.example", "primary"),
        ("clinic.example", "secondary"),
    }


def test_a_category_that_is_also_acceptable_is_right():
    assert judged(HEADER + "games.example,gambling,games|dating,block,block,unclear\n").right == 1


def test_groups_of_sites_that_must_stay_open_need_no_category():
    report = judged("domain,group,primary,secondary,staff\nclinic.example,health_nhs,allow,allow,allow\n")
    assert report.labelled == 0
    assert report.tally("health_nhs", "primary").refused == 1


def test_a_phase_is_a_column_of_its_own_and_pages_are_judged_as_pages():
    report = judged("domain,category,ks2,sixth_form\nhttps://forum.example/board,forums_blogs,block,block\n")
    assert report.columns() == ["sixth_form", "ks2"]
    assert report.tally("forums_blogs", "ks2").blocked == 1


def test_what_cannot_be_a_name_is_reported_and_the_rest_goes_on():
    report = judged(HEADER + "http://[::1,gambling,,block,block,block\nbets.example,gambling,,block,block,block\n")
    assert len(report.unreadable) == 1
    assert report.cases == 1


@pytest.mark.parametrize(
    "text", ["", "name\nx.example\n", "true_category\ngambling\n", HEADER + "x.example,games,,maybe,block,block\n"]
)
def test_a_file_that_says_nothing_is_refused_in_one_sentence(text):
    with pytest.raises(ValueError):
        judged(text)


def test_the_report_can_be_read_by_machines_and_people():
    report = judged(HEADER + "clinic.example,health,,allow,allow,allow\nbets.example,gambling,,block,block,block\n")
    fields = json.loads(json.dumps(to_fields(report)))
    assert fields["totals"]["secondary"]["over_block_rate"] == 1.0
    assert fields["offending_lists"][0]["list"] == "feed-a"
    text = "\n".join(to_text(report))
    assert "clinic.example (health), secondary: block instead of allow, pornography says feed-a by clinic.example" in text


def test_the_columns_name_phases_that_exist():
    assert set(COLUMNS) >= {"primary", "secondary", "staff", "ks1"}
