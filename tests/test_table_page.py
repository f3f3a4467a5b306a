"""The HTML page of a table, by its text and in a real browser where there is one; charts and sheets of pictures."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from inpaintlab.errors import UserError
from inpaintlab.networks.fills import TITLES
from inpaintlab.tables import figures, fill_rows, html_page, measure, spec
from inpaintlab.tables.report import Report, make_report
from inpaintlab.tables.results import Measured
from inpaintlab.tables.write import write_table
from inpaintlab.visualization import line_chart

ROWS = ("No-MUM", "MUM")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Measured]]:
    """A small table, trained, evaluated and written by the real code, at four hole sizes."""
    root = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        (root / "pictures" / split).mkdir(parents=True)
        for i in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
            coarse.resize((60, 48), Image.Resampling.BICUBIC).save(root / "pictures" / split / f"{i}.png")
    overrides = [
        "trainer.precision=32", "data=folder", f"data.root={root / 'pictures'}", "data.geometry.size=32",
        "data.batch_size=2", "data.workers=0", "batches=4", "trainer.sample_every=0", "trainer.log_every=1",
        "model.generator.width=0.25", "evaluation.keep=4", f"output={root / 'runs'}",
    ]  # fmt: skip
    table = spec.load("msanet.table3")
    results = measure.measure(table, "demo", [0], overrides)
    fills = fill_rows.measure_fills(table, "demo", overrides, results)
    write_table(root / "out", make_report(table, results, "demo", overrides, fills))
    return root / "out", results


def content(folder: Path) -> dict[str, Any]:
    found = re.search(r'id="content">(.*?)</script>', (folder / "table.html").read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


# ---------------------------------------------------------------------- without a browser
def test_the_page_holds_the_numbers_of_the_csv_and_names_no_address(rendered: tuple[Path, Any]) -> None:
    folder, _ = rendered
    shown = content(folder)
    cells = {(row["label"], column["group"]): value
             for row in shown["rows"] for column, value in zip(shown["columns"], row["values"], strict=True)
             if column["kind"] == "cell"}  # fmt: skip
    for line in csv.DictReader((folder / "table.csv").open()):
        cell = cells[line["row"], "PSNR [dB]" if line["metric"] == "psnr" else "SSIM"]
        assert cell["measured"] == pytest.approx(float(line["measured"]), rel=1e-5)
        assert cell["published"] == (float(line["published"]) if line["published"] else None)
        assert (cell["origin"], cell["verdict"]) == (line["origin"], line["verdict"])
        assert line["origin"] == ("trained here" if line["row"] in ROWS else "no training")
        assert cell["texts"]["difference"] == line["difference"] == ""  # not comparable
    assert [row["label"] for row in shown["rows"]] == [*ROWS, *TITLES.values()]
    assert [row["is_fill"] for row in shown["rows"]] == [False] * 2 + [True] * len(TITLES)
    marks = [place for place, column in enumerate(shown["columns"]) if column["kind"] == "above"]
    assert [shown["columns"][place]["group"] for place in marks] == ["PSNR [dB]", "SSIM"]
    for row in shown["rows"]:
        assert all((row["values"][place]["text"] == "") == row["is_fill"] for place in marks)
    assert "://" not in re.sub(r"data:image/[^;]+;base64,[^\"]+", "", (folder / "table.html").read_text())
    assert not re.search(r"<(script|img|link)[^>]+(src|href)=\"(?!data:)", html_page.TEMPLATE.read_text())


def test_best_and_worst_are_those_of_all_pictures(rendered: tuple[Path, dict[str, Measured]]) -> None:
    folder, results = rendered
    shown = content(folder)
    for label in ROWS:
        with (results[label].summaries[0].folder / "per_picture.csv").open() as file:
            lines = list(csv.DictReader(file))
        values = {(line["picture"], line["bin"]): float(line["psnr"]) for line in lines}
        bins = {bin: np.mean([v for (_, b), v in values.items() if b == bin]) for _, bin in values}
        order = sorted(values, key=lambda key: values[key] - bins[key[1]])
        ends = [end for end in shown["ends"] if end["row"] == label]
        pictures = [shown["pictures"][end["picture"]] for end in ends]
        assert [end["kind"] for end in ends] == ["best", "best", "worst", "worst"]
        assert [(p["name"], p["bin"]) for p in pictures] == [order[-1], order[-2], order[0], order[1]]


def test_text_that_looks_like_markup_stays_text(rendered: tuple[Path, Any]) -> None:
    table = spec.load("lbam.user_study")
    nothing = {row.label: Measured() for row in table.rows}
    text = html_page.page(Report(table, nothing, "demo", {}, [], [], ["</script><b>"]), {})
    assert "</script><b>" not in text
    assert "\\u003c/script>\\u003cb>" in text


def points(figure: Figure) -> dict[str, list[tuple[float, ...]]]:
    """What a chart shows: the points (x, y) of each line, with the ends of its interval if there is one."""
    axes = figure.axes[0]
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]  # without the ends of bars
    if not axes.containers:
        return {str(line.get_label()): list(map(tuple, line.get_xydata().tolist())) for line in lines}
    found = {}
    for line, (_, _, (bars,)) in zip(lines, axes.containers, strict=True):
        drawn = zip(line.get_xydata().tolist(), bars.get_segments(), strict=True)
        found[str(line.get_label())] = [(*point, *ends[:, 1]) for point, ends in drawn]
    return found


def test_charts_show_every_point(rendered: tuple[Path, dict[str, Measured]]) -> None:
    folder, results = rendered
    report = make_report(spec.load("msanet.table3"), results, "demo")
    charts = figures.charts(report.table, results, report.differences)
    assert set(charts) == {"holes", "loss"}
    for name, figure in charts.items():
        shown = points(figure)
        assert tuple(shown) == ROWS
        assert (folder / f"{name}.png").read_bytes() == line_chart.encode(figure, "png")
        assert (folder / f"{name}.pdf").read_bytes() == line_chart.encode(figure, "pdf")
    limits = charts["holes"].axes[0].get_ylim()
    for label, line in points(charts["holes"]).items():
        assert len(line) == len(results[label].bins) == 6
        for (share, psnr, low, high), bin in zip(line, results[label].bins, strict=True):
            assert psnr == pytest.approx(results[label].mean("psnr", bin))
            assert limits[0] < low < psnr < high < limits[1]
            assert float(bin.partition("-")[0]) <= share / 100 <= float(bin.partition("-")[2])
    assert all([step for step, _ in line] == [1, 2, 3, 4] for line in points(charts["loss"]).values())
    embedded = [chart["uri"] for chart in content(folder)["charts"]]
    assert [uri.partition(",")[0] for uri in embedded] == ["data:image/svg+xml;base64"] * 2


def test_charts_of_little_are_possible() -> None:
    for logarithmic in (False, True):
        figure = line_chart.chart([line_chart.Line("<a & b> $x$_y", [3], [0.5])], "x", "y", logarithmic=logarithmic)
        svg = line_chart.encode(figure, "svg").decode()
        assert "&lt;a &amp; b&gt; $x$_y" in svg  # as it stands, and not as a formula
        assert svg == line_chart.encode(figure, "svg").decode()
    nan = float("nan")
    for logarithmic, values in ((True, [-1.0, 0.0, -3.0]), (False, [nan, nan, nan]), (True, [nan, -1.0, 0.0])):
        figure = line_chart.chart([line_chart.Line("a", [1, 2, 3], values)], "x", "y", logarithmic=logarithmic)
        assert points(figure) == {"a": []}
        assert line_chart.encode(figure, "png").startswith(b"\x89PNG")
    figure = line_chart.chart([line_chart.Line("a", [1, 2, 3], [1.0, 0.0, 100.0])], "x", "y", logarithmic=True)
    assert points(figure) == {"a": [(1, 1.0), (3, 100.0)]}  # 0 has no logarithm
    equal = line_chart.Line("a", [1], [0.1], [0.1 + 1e-17], [0.1 - 1e-17])
    assert points(line_chart.chart([equal], "x", "y")) == {"a": [(1, 0.1, 0.1, 0.1)]}
    many = line_chart.chart([line_chart.Line(str(n), [1, 2], [n, n]) for n in range(20)], "x", "y")
    styles = {(line.get_color(), line.get_linestyle()) for line in many.axes[0].lines if len(line.get_xdata()) == 2}
    assert len(styles) == 20


def test_a_sheet_shows_chosen_pairs(rendered: tuple[Path, dict[str, Measured]]) -> None:
    folder, results = rendered
    table = spec.load("msanet.table3")
    shown = figures.evaluations(table, results).values()
    common = set.intersection(*(set(figures.kept(first.folder / "pictures")) for first in shown))
    chosen = [int(number) for number in sorted(common)][-2:]
    sheet = figures.sheet(table, results, chosen)
    automatic = Image.open(folder / "pictures.png")
    assert sheet is not None
    assert sheet.width == automatic.width
    assert sheet.height < automatic.height
    with pytest.raises(UserError, match=r"the pictures of pair 999 were not kept; choose from 0, "):
        figures.sheet(table, results, [999])


# ---------------------------------------------------------------------- in a browser
@pytest.fixture
def opened(rendered: tuple[Path, Any], tmp_path: Path) -> Iterator[browser.Browser]:
    path = browser.find()
    if path is None:
        pytest.skip("no browser here: chromium or Chrome")
    with browser.Browser(path, tmp_path / "profile") as opened:
        opened.open(rendered[0] / "table.html")
        yield opened


def order(opened: browser.Browser) -> list[str]:
    return opened.run("[...document.querySelectorAll('#numbers tbody tr')].map((row) => row.cells[0].textContent)")


def shown(opened: browser.Browser, text: str) -> None:
    """Wait until these views are drawn; `text` is a regular expression."""
    end = time.monotonic() + 60
    while not re.fullmatch(text, opened.run("document.body.dataset.shown")):
        assert time.monotonic() < end, (text, opened.run("document.body.dataset.shown"), opened.problems)
        time.sleep(0.02)


def pixel(opened: browser.Browser, canvas: str, x: int, y: int) -> list[int]:
    return opened.run(
        f"(() => {{ const one = new OffscreenCanvas(1, 1).getContext('2d', {{ willReadFrequently: true }});"
        f"one.drawImage(get('{canvas}'), {-x}, {-y}); return [...one.getImageData(0, 0, 1, 1).data].slice(0, 3); }})()"
    )


def choose(opened: browser.Browser, id: str, value: str | int) -> None:
    opened.run(f"get('{id}').value = '{value}'; get('{id}').dispatchEvent(new Event('change'))")


def test_a_reader_can_sort_compare_and_see_errors(rendered: tuple[Path, Any], opened: browser.Browser) -> None:
    data = content(rendered[0])
    assert order(opened) == [*ROWS, "no training", *TITLES.values()]  # the heading of the fills
    by_psnr = sorted(data["rows"], key=lambda row: row["values"][1]["measured"], reverse=True)
    head = "#numbers thead tr:nth-child(2) th:nth-child(3)"
    best_first = [row["label"] for row in by_psnr]
    for expected, sort in ((best_first, "descending"), (best_first[::-1], "ascending")):
        place = opened.middle(f"{head} button")
        opened.drag(place, place)
        assert order(opened) == expected
        assert opened.run(f"document.querySelector('{head}').getAttribute('aria-sort')") == sort
    opened.run("get('sort-kind').value = 'published'")
    place = opened.middle(f"{head} button")
    opened.drag(place, place)
    assert order(opened) == ["MUM", "No-MUM", *TITLES.values()]  # 26.615 and 26.580 are printed
    assert opened.run("document.querySelectorAll('#numbers tr.fill').length") == len(TITLES)
    assert opened.run("document.querySelector('#claims .answer').className") == "answer not-judged-at-this-scale"

    shown(opened, "0 No-MUM MUM")
    x, y = opened.middle("#stage")
    width = opened.run("get('stage').getBoundingClientRect().width")
    opened.drag((x, y), (x - width / 4, y))
    assert float(opened.run("get('slider').value")) == pytest.approx(25, abs=1)
    assert opened.run("get('view-right').style.clipPath").endswith("25%)")
    opened.run("get('slider').value = 80; get('slider').dispatchEvent(new Event('input'))")
    assert opened.run("get('view-right').style.clipPath").endswith("80%)")

    place = opened.middle("#next")
    opened.drag(place, place)
    shown(opened, "1 .*")
    both = [i for i, picture in enumerate(data["pictures"]) if set(ROWS) <= set(picture["results"])]
    alone = [i for i, picture in enumerate(data["pictures"]) if set(ROWS) > set(picture["results"])]
    for number in alone:  # what only one row kept is compared with the input
        choose(opened, "picture", number)
        shown(opened, f"{number} input (No-MUM|MUM)")
    choose(opened, "picture", both[-1])
    shown(opened, f"{both[-1]} No-MUM MUM")  # the earlier choice again
    choose(opened, "left", "input")
    shown(opened, f"{both[-1]} input MUM")
    picture = data["pictures"][both[-1]]
    truth, hole, result = (
        np.asarray(Image.open(path).convert("RGB")).astype(int)
        for path in (files(rendered[1], picture, kind) for kind in ("truth", "hole", "result"))
    )
    y, x = map(int, np.argwhere(hole[..., 0] > 0)[0])
    v, u = map(int, np.argwhere(hole[..., 0] == 0)[0])
    assert pixel(opened, "view-left", x, y) == [255, 255, 255]
    assert pixel(opened, "view-left", u, v) == truth[v, u].tolist()
    assert pixel(opened, "view-right", x, y) == result[y, x].tolist()
    assert pixel(opened, "error-right", u, v) == [0, 0, 4]
    assert np.abs(result[y, x] - truth[y, x]).sum() == 0 or pixel(opened, "error-right", x, y) != [0, 0, 4]

    place = opened.middle("#ends button")
    opened.drag(place, place)
    end = data["ends"][0]
    shown(opened, f"{end['picture']} truth {end['row']}")
    assert len(opened.run("[...document.querySelectorAll('#charts img')].map((e) => e.naturalWidth)")) == 2
    assert opened.run("document.documentElement.scrollWidth <= window.innerWidth")
    opened.screenshot(rendered[0] / "page.png")
    assert opened.problems == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [(rendered[0] / "table.html").as_uri()]


def files(results: dict[str, Measured], picture: dict[str, Any], kind: str) -> Path:
    """The file of a picture on the page, the result being that of MUM."""
    folder = results["MUM"].summaries[0].folder
    with (folder / "per_picture.csv").open() as file:
        names = [(line["picture"], line["bin"]) for line in csv.DictReader(file)]
    return folder / "pictures" / f"{names.index((picture['name'], picture['bin'])):06d}-{kind}.png"
