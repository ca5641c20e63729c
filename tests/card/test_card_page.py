import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from card_examples import bare, card_of, extreme, finding, usual

from surefoot.card.card import Card, Subject
from surefoot.card.forest import models_panel
from surefoot.card.markup import element
from surefoot.card.page import page
from surefoot.card.panels import groups_panel, short_label
from surefoot.card.plots import SHAPES, Lane, Scale, lanes, reliability_plot, scale_for, series_style
from surefoot.card.reading import summary, worst_groups
from surefoot.card.words import show_finding, show_share
from surefoot.findings.calibration import Bin
from surefoot.findings.finding import Interval

VOID = {"meta", "img", "br", "hr"}


class Reader(HTMLParser):
    """Checks that elements nest, and keeps tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.text_of: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)
            self.text_of.setdefault(self.open[-1], []).append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("make", [usual, extreme, bare])
def test_the_page_needs_nothing_from_outside(make: Callable[[], Card]) -> None:
    html = page(make())
    for tag, attributes in read(html).tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "form", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "action", "poster"}:
                assert value is not None
                assert value.startswith(("#", "data:image/png;base64,")) or value == "card.json"
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(style) == 1
    assert not re.search(r"@import|url\(|https?:", style[0])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].replace("&#x27;", "'").startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert len(html.encode()) < 300_000


def test_everything_from_the_user_is_escaped() -> None:
    card = extreme()
    hostile = "<script>alert(1)</script>\"'&"
    card = replace(
        card,
        title=hostile,
        question=hostile,
        not_shown=(hostile,),
        sentence=hostile,
        record=replace(
            card.record,
            command=hostile,
            data=hostile,
            created=hostile,
            versions={hostile: hostile},
            settings={hostile: [hostile]},
            times={hostile: 1.0},
        ),
    )
    html = page(card)
    assert "<script" not in html
    assert "<b>ImageNet" not in html
    assert "<i>and" not in html
    text = read(html).text
    assert text.count(hostile) >= 6
    assert any("<script>alert('x')</script>" in piece for piece in text)


def test_markup_is_escaped_by_construction() -> None:
    made = element("a", {"title": '"><script>', "x": 0.125, "y": None, "n": 3}, "a < b", element("br", {}))
    assert made.text == '<a title="&quot;&gt;&lt;script&gt;" x="0.12" n="3">a &lt; b<br></a>'


def test_the_verdict_comes_first_then_claims_then_pictures_then_limits_then_numbers() -> None:
    html = page(usual())
    order = ["glance", "claims", "worst", "groups", "changes", "calibration", "confusion", "errors", "limits"]
    order += ["findings", "differences", "making"]
    places = [html.index('class="verdict undecided"'), *(html.index(f'<section id="{key}"') for key in order)]
    assert places == sorted(places)
    for key in order[1:]:  # each section is reached from the navigation, and links to itself
        assert html.count(f'href="#{key}"') >= 2


def test_links_labels_and_tables_are_accessible() -> None:
    for card in (usual(), extreme(), bare()):
        tags = read(page(card)).tags
        ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        for tag, attributes in tags:
            for name in ("href", "aria-labelledby"):
                target = attributes.get(name)
                if target is not None and (name != "href" or target.startswith("#")):
                    assert target.removeprefix("#") in ids
            if tag == "img":
                assert attributes["alt"]
            if tag == "th":
                assert attributes["scope"] in {"row", "col"}
            if tag == "svg":
                assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
        levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_a_dot_lies_where_its_value_says() -> None:
    scale = Scale(0.5, 1.0, (0.5, 0.75, 1.0))
    drawn = lanes(scale, [Lane(0.88, 0.85, 0.91, (0.86, 0.9), 2)], bounds=[0.8]).text
    marks = re.findall(r'<use href="#(m\d)" x="([\d.]+)%" y="(\d+)"', drawn)
    assert marks == [("m2", "76.00", "17")]
    bar = re.search(r'<rect x="([\d.]+)%" y="14" width="([\d.]+)%"', drawn)
    assert bar is not None
    assert (float(bar[1]), float(bar[2])) == (70.0, 12.0)
    ticks = re.findall(r'<line x1="([\d.]+)%" x2="([\d.]+)%" y1="11" y2="23" class="seed', drawn)
    assert ticks == [("72.00", "72.00"), ("80.00", "80.00")]
    assert '<line x1="60.00%" x2="60.00%" y1="0" y2="100%" class="bound">' in drawn


def test_every_seed_of_every_group_is_drawn() -> None:
    card = usual()
    drawn = groups_panel(card).text
    shown = [each for each in card.findings if each.name in ("accuracy", "weighted_accuracy")]
    assert drawn.count('class="seed ') == sum(len(each.per_seed) for each in shown)
    assert drawn.count('class="mark ') == len(shown) + len(card.subjects)  # and one each in the legends
    assert drawn.count('class="interval ') == len(shown)
    assert drawn.count('class="panel"') == 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.44, 0.99], (0.4, 1.0)),
        ([0.0, 1.0], (0.0, 1.0)),
        ([0.93, 0.93], (0.93, 0.93)),
        ([-0.05, 0.47], (-0.2, 0.6)),
        ([1.0], (1.0, 1.0)),
        ([0.0], (0.0, 0.0)),
    ],
)
def test_a_scale_holds_its_values_between_round_ticks(values: list[float], expected: tuple[float, float]) -> None:
    scale = scale_for(values, limits=(-1.0, 1.0))
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert scale.low < scale.high
    assert scale.low >= -1
    assert scale.high <= 1
    assert (scale.low, scale.high) == (scale.ticks[0], scale.ticks[-1])
    assert 2 <= len(scale.ticks) <= 8
    if expected[0] != expected[1]:
        assert (scale.low, scale.high) == expected


def test_series_differ_in_shape_and_colour() -> None:
    styles = [series_style(number) for number in range(20)]
    assert len(set(styles)) == 20
    assert {shape for shape, _ in styles} <= {f"m{number}" for number in range(len(SHAPES))}


def test_reliability_is_drawn_to_scale() -> None:
    drawn = reliability_plot([Bin(0.9, 0.6, 100), Bin(0.5, 0.5, 0)], "<b>").text
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', drawn)
    assert [tuple(map(float, circle)) for circle in circles] == [(56 + 230 * 0.9, 10 + 230 * 0.4, 9.0)]
    assert "&lt;b&gt;" in drawn


def test_confusion_shares_sum_over_each_true_class() -> None:
    card = replace(usual(), confusion={"stopped": ((90, 10), (0, 0))})
    text = read(page(card)).text_of["td"]
    start = text.index("90.0%")
    assert text[start : start + 6] == ["90.0%", "10.0%", "100", "–", "–", "0"]


def test_repairs_are_named_without_their_base() -> None:
    base = Subject("a", "CNN, converged")
    assert short_label(Subject("a+b", "CNN, converged → DFR", "a"), base) == "DFR"
    assert short_label(Subject("a+c", "AFR", "a"), base) == "AFR"
    assert short_label(base, base) == "CNN, converged"


def test_many_repairs_and_an_unchosen_model_are_drawn() -> None:
    subjects = [Subject("erm", "ERM"), *(Subject(f"erm+{each}", f"repair {each}", "erm") for each in range(9))]
    card = card_of(
        title="Many",
        question="",
        subjects=subjects,
        accuracies={subject.name: {"a": 0.7, "b": 0.9} for subject in subjects},
        classes=("0", "1"),
        chosen=None,
        claims=(),
        seeds=2,
        spread={},
    )
    html = page(card)
    assert all(f"repair {each}" in html for each in range(9))
    assert "chosen</span>" not in html


def test_the_page_counts_the_looks_at_the_judge_set() -> None:
    assert "This study is the first to look at this judge set." in page(usual())
    looked = page(bare())
    assert "3 studies have looked at this judge set." in looked
    assert "The judge set was used by 3 studies" in looked


def spoken(card: Card) -> str:
    """The page's words in reading order."""
    return " ".join(read(page(card)).text).replace("\N{NO-BREAK SPACE}", " ")


def row_of(drawn: str, label: str) -> str:
    """The row of a dot plot that starts with a label."""
    rows = re.split(r'<div class="row[ "]', drawn)
    return next(row for row in rows if f'<div class="row-name">{label}<' in row)


def test_each_model_stands_in_its_own_worst_group_with_its_own_count() -> None:
    base = [finding("accuracy", 0.6, subject="erm", slice="few", clusters=10), finding("accuracy", 0.9, subject="erm")]
    base += [finding("accuracy", 0.9, subject="erm", slice="many", clusters=500)]
    base += [finding(value=0.6, subject="erm", clusters=10)]
    after = [finding("accuracy", 0.8, subject="erm+dfr", slice="few", clusters=10)]
    after += [finding("accuracy", 0.7, subject="erm+dfr", slice="many", clusters=500)]
    after += [finding(value=0.7, subject="erm+dfr", clusters=500)]
    subjects = (Subject("erm", "ERM"), Subject("erm+dfr", "Repaired", "erm"))
    card = replace(bare(), subjects=subjects, groups=("few", "many"), findings=(*base, *after))
    drawn = models_panel(card, subjects).text
    before, repaired = row_of(drawn, "ERM"), row_of(drawn, "Repaired")
    assert "in “few”" in before
    assert "40 rows (10 clusters)" in before
    assert "60.0%" in before
    assert "in “many”" in repaired
    assert "2,000 rows (500 clusters)" in repaired
    assert "70.0%" in repaired
    assert (worst_groups(card, "erm"), worst_groups(card, "erm+dfr")) == (("few",), ("many",))


def test_tied_worst_groups_are_all_named_and_the_counted_one_first() -> None:
    findings = [
        finding("accuracy", 0.7, subject="model", slice=name, clusters=clusters)
        for name, clusters in (("a", 5), ("b", 9), ("c", 5))
    ]
    worst = finding(value=0.7, subject="model", clusters=9)
    card = replace(bare(), groups=("a", "b", "c"), findings=(*findings, worst))
    assert worst_groups(card, "model") == ("b", "a", "c")
    assert "tied with a, c" in models_panel(card, card.subjects).text


def test_the_first_screen_says_what_failed_what_was_done_how_sure_and_what_is_not_known() -> None:
    card = usual()
    words = spoken(card)
    words = words[: words.index("Data (JSON)")]
    base = summary(card, "worst_group_accuracy", "converged")
    assert base is not None
    assert f"Worst of 4 groups for CNN, converged: “2–5, top 1”, {show_finding(base)} right." in words
    assert "chosen among 10 models. Against CNN, converged, paired on the same rows:" in words
    (change,) = [
        each
        for each in card.differences
        if (each.subject, each.name) == ("converged+dfr_train − converged", "worst_group_accuracy")
    ]
    assert f"Worst group: {show_finding(change)}." in words
    rests = "from 5 training seeds (thin ticks) and from 2,400 rows (600 clusters) of the worst group."
    assert f"Bars are 95% intervals, {rests}" in words
    assert all(line in words for line in card.not_shown[:2])
    assert card.not_shown[2] not in words
    assert "1 more limit" in words
    assert "8 more models" in words
    assert "claimed of the chosen: at least 85.0%" in words


def test_a_change_whose_interval_holds_nothing_is_said_to_be_perhaps_none() -> None:
    card = usual()
    unsure = tuple(
        replace(each, interval=Interval(-0.01, 0.2, 0.95, "clustered")) if each.name == "worst_group_accuracy" else each
        for each in card.differences
    )
    assert "which may be no change" not in spoken(card)
    assert "[−1.0, +20.0], which may be no change." in spoken(replace(card, differences=unsure))


def test_of_students_the_first_screen_tells_whom_they_follow() -> None:
    """Without a truth agreement is all there is; with one also what was gained, and the share of the gap."""
    card = bare()
    name = card.subjects[0].name
    agreed = replace(card.findings[0], name="supervisor_agreement", subject=name, slice="all", direction="none")
    words = spoken(replace(card, findings=(agreed,)))
    assert "No repair is on this card" not in words
    assert "taught weak labels, not the truth. It says what they say in" in words
    assert "recovered" not in words
    assert "Brackets are 95% intervals" in words
    weak = Subject("weak", "the crowd")
    share = replace(agreed, name="gap_recovered", value=0.25, unit="share of the gap", interval=None)
    gained = replace(agreed, name="accuracy", subject=f"{name} − weak", value=0.02, direction="higher",
                     interval=Interval(-0.01, 0.05, 0.95, "clustered"))  # fmt: skip
    other = replace(agreed, name="accuracy", subject="weak", value=0.5, interval=None)
    full = replace(card, subjects=(*card.subjects, weak), findings=(*card.findings, agreed, share, other),
                   differences=(gained,))  # fmt: skip
    words = spoken(full)
    assert "Accuracy against the crowd: +2.0 points [−1.0, +5.0], which may be no change." in words
    assert "Of the gap between its supervisor and its ceiling it recovered 0.250." in words
    assert "the crowd" in spoken(replace(full, chosen=name)), "a chosen student stands beside its supervisor"


def test_without_repair_groups_or_claims_the_first_screen_says_so() -> None:
    words = spoken(bare())
    assert "No repair is on this card." in words
    assert "No groups were given, so this card cannot say where the model fails." in words
    assert "from a single training and from 6,000 rows (1,500 clusters)." in words
    assert '<section id="groups"' not in page(bare())  # the first screen has drawn it all


def test_groups_without_judge_rows_are_not_counted_among_the_measured() -> None:
    findings = [finding("accuracy", value, subject="model", slice=name) for name, value in (("a", 0.7), ("b", 0.8))]
    worst = finding(value=0.7, subject="model", slice="all groups but c")
    card = replace(bare(), groups=("a", "b", "c"), findings=(*findings, worst))
    words = spoken(card)
    assert "Worst of 2 groups: “a”" in words
    assert "1 group without judge rows: unknown." in words
    assert "all groups but c" in models_panel(card, card.subjects).text


def test_intervals_are_said_to_rest_on_rows_where_every_row_stands_for_itself() -> None:
    assert "Rows that hang together count as one cluster" in spoken(usual())
    rows = replace(bare(), findings=tuple(replace(each, count=each.clusters) for each in bare().findings))
    words = spoken(rows)
    assert "Every row stands for itself here: intervals rest on rows." in words
    assert "Rows that hang together" not in words
    assert 'data-column="Clusters"' not in page(rows)
    assert 'data-column="Clusters"' in page(bare())


def test_every_cell_of_a_table_knows_its_column_for_the_phone() -> None:
    tables = re.findall(r'<table class="stacked[^"]*">.*?</table>', page(usual()), re.DOTALL)
    assert len(tables) > 10
    for drawn in tables:
        columns = re.findall(r'<th scope="col">([^<]*)</th>', drawn)[1:]
        for row in re.findall(r'<tr>(<th scope="row">.*?)</tr>', drawn, re.DOTALL):
            assert re.findall(r'<td data-column="([^"]*)"', row) == columns


def test_a_probability_is_never_rounded_up_to_certainty() -> None:
    assert (show_share(0.99996), show_share(1.0), show_share(0.9994)) == (">99.9%", "100.0%", "99.9%")


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_in_both_schemes() -> None:
    """WCAG 2.2: text at least 4.5 to one, marks at least 3 to one."""
    style = page(bare())
    schemes = re.findall(r":root \{(.*?)\n\s*\}", style, re.DOTALL)
    assert len(schemes) == 3  # light, dark, print
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", scheme))
        colours = {
            name: f"#{''.join(2 * each for each in value[1:])}" if len(value) == 4 else value
            for name, value in colours.items()
        }
        for ground in ("paper", "sheet"):
            for name in ("ink", "soft", "accent", "passed", "failed", "undecided"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
            for series in range(7):
                assert contrast(colours[f"s{series}"], colours[ground]) >= 3, series
        for status in ("passed", "failed", "undecided"):
            for name in (status, "ink", "soft"):
                assert contrast(colours[name], colours[f"{status}-wash"]) >= 4.5, (name, status)
        assert contrast(colours["accent"], colours["band"]) >= 4.5
