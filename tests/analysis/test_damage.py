"""What a user's folders may hold beside whole records: the real scripts, run as processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from raydistill.console import ExitStatus
from raydistill.record import Record
from tests.analysis.gaussian_records import config, trial
from tests.analysis.page_records import PIXEL, put, record

ROOT = Path(__file__).resolve().parents[2]
ASCII = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
SCRIPTS = ("report.py", "export.py", "figures.py", "early_values.py")


def run(
    script: str, *arguments: object, cwd: Path, root: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A script of a checkout, from another folder and without its own folder on Python's path."""
    kept = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", str(root / "analysis" / script), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env=kept | environment
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def pairs(*, dataset: str = "digits") -> list[Record]:
    """Four trials, with noise and without."""
    made = [record(i, 100.0 - i, noise=0.5 * (i % 2), seed=i // 2) for i in range(4)]
    data = {"name": dataset, "size": 8}
    return [replace(one, config={**one.config, "data": data}) for one in made]


def test_each_sweep_has_its_page_whatever_the_others_hold(tmp_path: Path) -> None:
    put(tmp_path, "a truncated picture", *pairs())
    picture = tmp_path / "a truncated picture" / "trial_00001" / "samples.png"
    Image.radial_gradient("L").save(picture)
    picture.write_bytes(picture.read_bytes()[:900])
    put(tmp_path, "b damaged records", *pairs())
    for index, content in enumerate((b"{", b"\xff\xfe", b"[" * 100_000)):
        folder = tmp_path / "b damaged records" / f"trial_0001{index}"
        folder.mkdir()
        (folder / "record.json").write_bytes(content)
    (tmp_path / "b damaged records" / "trial_00020" / "record.json").mkdir(parents=True)
    (tmp_path / "b damaged records" / "sweep.json").write_bytes(b'{"search": ')
    put(tmp_path, "c no record left", record(0, 9.0, noise=0.0))
    (tmp_path / "c no record left" / "trial_00000" / "record.json").write_text("{}")
    os.mkdir(os.fsencode(tmp_path) + b"/d is not \xff text")
    put(tmp_path, "e whole", *pairs())
    put(tmp_path, "f not begun", *pairs())
    (tmp_path / "f not begun" / "trial_00009").mkdir()

    done = run("report.py", tmp_path, cwd=tmp_path)
    assert done.returncode == ExitStatus.SOME_FAILED
    made = [Path(line).parent.name for line in done.stdout.splitlines()]
    assert made == ["a truncated picture", "b damaged records", "e whole", "f not begun"]
    lines = done.stderr.splitlines()
    of = {name: [line for line in lines if line.startswith(f"{name}: ")] for name in made}
    assert len(of["a truncated picture"]) == 1
    assert "trial_00001/samples.png is left out: not a PNG picture" in of["a truncated picture"][0]
    assert len(of["b damaged records"]) == 5
    assert not of["e whole"]
    assert not of["f not begun"]
    assert any(line.startswith("c no record left: no page is made") for line in lines)
    assert any(r"d is not \xff text is left out: its name is not UTF-8" in line for line in lines)
    page = (tmp_path / "a truncated picture" / "report.html").read_text(encoding="utf-8")
    assert "trial_00001/samples.png" in page
    assert "data:image/png" in page
    page = (tmp_path / "b damaged records" / "report.html").read_text(encoding="utf-8")
    assert all(f"trial_000{i}/record.json" in page for i in (10, 11, 12, 20))


NAMES = {
    "a formula that is none": "$\\frac{1}{$ 100% {of} $it$_^",
    "a leading underscore": "_private",
    "markup": "<script>alert('x')</script> & \"more\"",
    "long": "data set " * 2_000,
    "other scripts": "数据 данные 🎵\nsecond line\x07",
}


def test_names_are_text_whatever_is_in_them(tmp_path: Path) -> None:
    for sweep, name in NAMES.items():
        made = pairs(dataset=name)
        odd = {"kind": name, "noise_level": 0.5, "l1_weight": 0.5}
        for place, part in enumerate(({"student": {"kind": name}}, {"objective": odd})):
            first = made[place]
            changed = {**first.config, **part}
            made.append(replace(first, trial=f"trial_0010{place}", config=changed))
        put(tmp_path, sweep, *made)
        (tmp_path / sweep / "sweep.json").write_text(json.dumps({"dataset": name}))
    done = run("report.py", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for sweep in NAMES:
        page = (tmp_path / sweep / "report.html").read_text(encoding="utf-8")
        assert "<script>" not in page
        assert "Parts that could not be made" not in page
        assert page.count("data:image/png") >= 8


def test_the_other_scripts_leave_out_what_is_damaged(tmp_path: Path) -> None:
    put(tmp_path, "$odd_", *pairs(dataset="$odd_{"))
    (tmp_path / "$odd_" / "trial_00001" / "samples.png").write_bytes(PIXEL[:40])
    damaged = tmp_path / "$odd_" / "trial_00009"
    damaged.mkdir()
    (damaged / "record.json").write_text("null")
    for script in ("export.py", "figures.py", "early_values.py"):
        out = [] if script == "early_values.py" else ["--out", tmp_path / "out"]
        done = run(script, tmp_path, "$odd_", *out, cwd=tmp_path, **ASCII)
        assert done.returncode == ExitStatus.SOME_FAILED, done.stderr
        assert "$odd_/trial_00009/record.json is left out: not a record" in done.stderr
        if script != "early_values.py":
            assert "trial_00001/samples.png is left out: not a PNG picture" in done.stderr
            assert "noise_injection.png" in done.stdout
    captions = (tmp_path / "out" / "captions.md").read_text(encoding="utf-8")
    assert r"\$odd_{ 8x8" in captions


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_can_be_read_in_ascii_and_names_the_exit_status(script: str, tmp_path: Path) -> None:
    done = run(script, "--help", cwd=tmp_path, **ASCII)
    assert done.returncode == 0
    assert "exit status: 0" in " ".join(done.stdout.split())


def test_refusals_are_one_line_in_ascii(tmp_path: Path) -> None:
    done = run("report.py", tmp_path / "été ±", cwd=tmp_path, **ASCII)
    assert done.returncode == ExitStatus.REFUSED
    (line,) = done.stderr.splitlines()
    assert line.startswith("storage_path: ")


def test_a_foreign_record_among_gaussian_ones_is_named(tmp_path: Path) -> None:
    put(tmp_path, "t", *(trial(i, config("reverse_kl", 2**i)).record for i in (1, 2)))
    odd = trial(3, config("reverse_kl", 4)).record
    put(tmp_path, "t", replace(odd, config={**odd.config, "task": "image"}))
    mean = {**odd.config, "optimiser": {"learning_rate": -1.0}, "dimension": "many"}
    put(tmp_path, "t", replace(odd, trial="trial_00004", config=mean))
    seedless = {name: value for name, value in odd.config.items() if name != "seed"}
    put(tmp_path, "t", replace(odd, trial="trial_00005", config=seedless))
    done = run("report.py", tmp_path, cwd=tmp_path)
    assert done.returncode == ExitStatus.SOME_FAILED
    assert "t/trial_00003/record.json is left out: a trial of 'image' among" in done.stderr
    for index in (4, 5):
        words = f"t/trial_0000{index}/record.json is left out: its configuration has no dimension"
        assert words in done.stderr
    page = (tmp_path / "t" / "report.html").read_text(encoding="utf-8")
    assert "Figure 1 redrawn" in page
    assert "Parts that could not be made" not in page


def test_scripts_import_their_own_checkout_whatever_is_installed(tmp_path: Path) -> None:
    checkout = tmp_path / "check out"
    shutil.copytree(ROOT / "analysis", checkout / "analysis")
    template = checkout / "analysis" / "report.html.j2"
    template.write_text(template.read_text(encoding="utf-8").replace("</body>", "mine</body>"))
    put(tmp_path / "results", "a", record(0, 9.0, noise=0.0))
    done = run("report.py", tmp_path / "results", cwd=tmp_path, root=checkout)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "results" / "a" / "report.html").read_text(encoding="utf-8")
    assert "mine</body>" in page
