"""The page of a sweep, read back from real files."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.page import effect, significant
from analysis.report import ReportSettings, write_reports
from tests.analysis.page_records import CAUSE, PIXEL, REFERENCE, noise_sweep, put, record

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Node:
    """What the tests look at in an element."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Node]:
        for child in self.children:
            if child.tag == tag:
                yield child
            yield from child.all(tag)

    def whole(self) -> str:
        return " ".join([self.text, *(child.whole() for child in self.children)])

    def by_id(self, identifier: str) -> Node:
        found = [n for n in self.all("table") if n.attributes.get("id") == identifier]
        assert len(found) == 1
        return found[0]


class Reader(HTMLParser):
    """A tree of a page; every element has to be closed in order."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Node("root", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in self.VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


def page_of(storage: Path, name: str) -> Node:
    (report,) = write_reports(ReportSettings(str(storage), name=name))
    assert Path(report.place) == storage / name / "report.html"
    return Reader(Path(report.place).read_text(encoding="utf-8")).root


def test_the_page_of_a_noise_sweep(tmp_path: Path) -> None:
    records = noise_sweep()
    put(tmp_path, "noise", *records)
    damaged = tmp_path / "noise" / "trial_00050"
    damaged.mkdir()
    (damaged / "record.json").write_text("{")
    page = page_of(tmp_path, "noise")

    # Self-contained: every picture is in the page and decodes, nothing is asked of a network.
    pictures = list(page.all("img"))
    assert pictures
    for picture in pictures:
        head, _, content = picture.attributes["src"].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(content, validate=True).startswith(b"\x89PNG")
        assert picture.attributes["alt"]
    assert not list(page.all("script"))
    assert not list(page.all("link"))
    assert "url(" not in page.whole()

    # A row a record, in order of rank: finished by validation FD, then running, then failed.
    (body,) = page.by_id("trials").all("tbody")
    rows = [[cell.text for cell in row.all("td")] for row in body.all("tr")]
    expected = [f"trial_{i:05d}" for i in [*range(9, -1, -1), 11, 10]]
    assert [row[1] for row in rows] == expected
    assert [row[0] for row in rows] == [*(str(i) for i in range(1, 11)), "–", "–"]
    heads = [cell.text for cell in page.by_id("trials").all("th")]
    best = dict(zip(heads, rows[0], strict=True))
    assert best["noise"] == "0.9"
    assert best["validation FD"] == "91.0"
    assert best["test FD"] == "91.0 ± 1.5"
    assert best["test FD at 1"] == "92.0 ± 1.5"
    assert (best["scale"], best["to teacher"]) == ("0.9", "30.0")
    assert best["status"] == "finished"

    # Ten finished trials share a teacher of 40 s; what its floors took is not known.
    (cost,) = body_of(page.by_id("costs"))
    assert cost == [
        "resnet, x_reconstruction", "10", "cpu", "3.0 (2.5)", "4.0 (3.6)", "0.0 (0.0)",
        "0.0 (0.0)", "– (–)", "1.0 (0.5)", "7.0 (6.1)",
    ]  # fmt: skip

    # Causes are text, whatever is in them; damaged files are named.
    assert CAUSE in page.by_id("failed").whole()
    assert "noise/trial_00050/record.json" in page.by_id("skipped").whole()

    # The worst in rank is shown all the same, since it is the best without noise.
    captions = [caption.whole() for caption in page.all("figcaption")]
    titles = [title for title in captions if re.search(r"\d\. trial_", title)]
    assert "1. trial_00009" in titles[0]
    assert "at its best prior scale 0.9" in titles[1]
    assert "10. trial_00000" in titles[-1]
    assert len(titles) == 16  # eight students, at scale 1 and at their own
    assert any("10 finished trials in 10 cells, 1 seed a cell" in text for text in captions)
    assert any("Validation FD along training" in text for text in captions)

    text = page.whole()
    for words in (
        "2.370",
        "diagonal Gaussian 3.610",
        "full-covariance Gaussian 2.940",
        "0.010, 1.150, 3.40",
        "the same at 0.8, its best scale by validation",
        "validation split, on which the best scale of each trial is chosen",
        "undecided",
    ):
        assert words in text


def body_of(table: Node) -> list[list[str]]:
    """Rows of cells."""
    (body,) = table.all("tbody")
    return [[cell.text for cell in row.all("td")] for row in body.all("tr")]


def summary_of(page: Node) -> list[dict[str, str]]:
    """The first table of metrics, a dictionary a row."""
    table = next(n for n in page.all("table") if "summary" in n.attributes.get("class", ""))
    heads = [cell.text for cell in table.all("th")]
    return [dict(zip(heads, row, strict=True)) for row in body_of(table)]


def test_seeds_are_summed_up_by_cell(tmp_path: Path) -> None:
    cells = [(noise, seed) for noise in (0.0, 0.5) for seed in range(3)]
    records = [
        record(i, 100.0 - 40.0 * noise + seed, noise=noise, seed=seed)
        for i, (noise, seed) in enumerate(cells)
    ]
    put(tmp_path, "noise", *records)
    page = page_of(tmp_path, "noise")
    best, other, teacher, train = summary_of(page)
    # Three seeds that are 1 apart: half of their 95% t-interval is 4.30 / sqrt(3).
    wanted = {"noise": "0.5", "seeds": "3", "test FD": "81.0 ± 2.5", "validation FD": "81.0 ± 2.5"}
    assert wanted.items() <= best.items()
    assert other["test FD"] == "101.0 ± 2.5"
    assert (teacher["test FD"], teacher["validation FD"], train["test FD"]) == (
        "115.0", "117.0", "6.0",
    )  # fmt: skip
    assert (teacher["seeds"], teacher["noise"]) == ("–", "–")
    assert "−20.0 [−20.0, −20.0] (95%)" in page.whole()


def test_a_sweep_without_a_noise_axis_has_table_and_grids(tmp_path: Path) -> None:
    put(tmp_path, "losses", *(record(i, 100.0 - i, noise=None) for i in range(3)))
    page = page_of(tmp_path, "losses")
    (body,) = page.by_id("trials").all("tbody")
    assert len(list(body.all("tr"))) == 3
    heads = [cell.text for cell in page.by_id("trials").all("th")]
    assert "noise" not in heads
    text = page.whole()
    assert "against noise: comparable finished trials with a classifier FD that differ" in text
    assert "Nothing is said of claims 7 (z-reconstruction collapses)" in text
    assert [row["test FD"] for row in summary_of(page)] == ["99.0", "115.0", "6.0"]
    assert "Data" in page.whole()
    assert "reverse KL, seed 0, test FD 99" in page.whole()


def test_a_teacher_no_better_than_a_gaussian_is_said_to_be(tmp_path: Path) -> None:
    bits = {"teacher": 3.0, "diagonal_gaussian": 3.61, "full_gaussian": 2.94}
    poor = replace(record(0, 9.0, noise=0.0), reference=REFERENCE | {"bits_per_dimension": bits})
    put(tmp_path, "noise", poor)
    assert (
        "no better than the 2.940 of a full-covariance Gaussian"
        in page_of(tmp_path, "noise").whole()
    )


def test_pictures_do_not_lead_out_of_the_trial(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PIXEL)
    artefacts = {"samples": "../../secret.png", "data": "/etc/passwd", "teacher": "teacher.png"}
    put(tmp_path, "noise", replace(record(0, 9.0, noise=0.0), artefacts={}))
    reached = replace(record(1, 8.0, noise=0.5), artefacts=artefacts)
    folder = tmp_path / "noise" / reached.trial
    folder.mkdir()
    (folder / "record.json").write_text(reached.to_json())
    (folder / "teacher.png").write_text("no picture")
    skipped = page_of(tmp_path, "noise").by_id("skipped").whole()
    assert skipped.count("outside the trial's folder") == 2
    assert "not a PNG picture" in skipped


def test_every_sweep_has_a_page_and_the_latest_can_be_asked_for(tmp_path: Path) -> None:
    put(tmp_path, "a", record(0, 9.0, noise=0.0))
    put(tmp_path, "b", record(0, 9.0, noise=0.0))
    reports = list(write_reports(ReportSettings(str(tmp_path))))
    assert [Path(one.place).parent.name for one in reports] == ["a", "b"]
    assert not any(one.problems for one in reports)
    os.utime(tmp_path / "a" / "trial_00000" / "record.json", (2e9, 2e9))
    for location in (str(tmp_path), f"file://{tmp_path}"):
        (report,) = write_reports(ReportSettings(location, latest=True))
        assert report.place == f"{tmp_path}/a/report.html"


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "analysis" / "report.py"), *arguments]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )


def test_the_command_prints_where_the_page_is(tmp_path: Path) -> None:
    put(tmp_path, "noise", record(0, 9.0, noise=0.0))
    done = run(str(tmp_path), "--name", "noise", "--out", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    done = run(str(tmp_path / "absent"))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("storage_path: ")
    assert "does not exist; give" in line


def test_refusals_name_field_value_and_remedy(tmp_path: Path) -> None:
    def refusal(**settings: object) -> str:
        with pytest.raises((ValueError, OSError)) as caught:
            list(write_reports(ReportSettings(str(tmp_path), **settings)))  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "has no records in it; run a sweep" in refusal()
    put(tmp_path, "a", record(0, 9.0, noise=0.0))
    put(tmp_path, "b", record(0, 9.0, noise=0.0))
    assert refusal(name="c").startswith("name: 'c' is no sweep")
    assert "out: 'x.html' is one page for 2 sweeps; add --name" in refusal(out="x.html")
    assert refusal(name="a", latest=True).startswith("latest: ")
    assert "cannot be written" in refusal(name="a", out=str(tmp_path))
    shutil.copytree(tmp_path / "a" / "trial_00000", tmp_path / "trial_00000")
    shutil.rmtree(tmp_path / "a")
    shutil.rmtree(tmp_path / "b")
    assert f"is itself a sweep; give {tmp_path.parent} --name {tmp_path.name}" in refusal()


def test_numbers_are_plain() -> None:
    from analysis.effects import Effect

    shown = [significant(v) for v in (0.0, 1234.5, -12.345, 0.5, 0.00123, float("nan"), None)]
    assert shown == ["0", "1234", "−12.3", "0.5", "0.00123", "–", "–"]
    assert effect(Effect("x", value=1.0)) == "+1.00"
    assert effect(Effect("x", value=-30.0, low=-35.0, high=-25.0)) == "−30.0 [−35.0, −25.0] (95%)"
