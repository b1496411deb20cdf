"""`raydistill report` and `raydistill dashboard`: other scripts, reached by one command."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydistill.cli import main
from tests.commands.processes import shell


def test_a_report_is_the_script_of_the_checkout(tmp_path: Path) -> None:
    finished = shell("report", str(tmp_path))
    assert finished.code == 2
    (line,) = finished.errors.splitlines()
    assert line.startswith("storage_path: ")
    assert "no records in it" in line


def test_options_reach_the_script_and_its_status_comes_back(tmp_path: Path) -> None:
    script = tmp_path / "a checkout" / "analysis" / "report.py"
    script.parent.mkdir(parents=True)
    script.write_text("import sys; print(sys.argv[1:]); sys.exit(3)")
    finished = shell(
        "report", "my results", "--name", "a b", "--latest", "--out", "p.html",
        "--checkout", str(script.parents[1]),
    )  # fmt: skip
    assert finished.code == 3
    words = ["my results", "--name", "a b", "--latest", "--out", "p.html"]
    assert finished.output == f"{words}\n"


def test_without_a_checkout_it_says_where_reports_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "results", "--checkout", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"checkout: no analysis/report.py in {str(tmp_path)!r}")
    assert "give --checkout" in line


@pytest.mark.parametrize(
    ("options", "named"),
    [((), "storage_path: no sweep in "), (("--name", "absent"), "name: no sweep 'absent'")],
    ids=str,
)
def test_dashboards_of_no_sweep_are_refused(
    options: tuple[str, ...], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dashboard", str(tmp_path), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(named)
