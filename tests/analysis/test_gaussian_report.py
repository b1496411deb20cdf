"""The page and the figures of a Gaussian sweep, from trials that were really trained."""

from __future__ import annotations

import base64
import io
import json
import shutil
from itertools import product
from pathlib import Path

import pytest
from matplotlib.image import imread

from analysis.export import ExportSettings, export
from analysis.gaussian.figures import named_charts
from analysis.gaussian.study import read_gaussian_study
from analysis.parts import PartMaker
from analysis.records import load_records
from raydistill.theory.propositions import outward_probability
from tests.analysis.gaussian_records import config, run, study_of, trial
from tests.analysis.test_report import page_of

OBJECTIVES = ("reverse_kl", "z_reconstruction", "x_reconstruction")


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.charts.DPI", 60)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dimensions, two kinds of teacher, three objectives, seven seeds."""
    storage = tmp_path_factory.mktemp("results")
    cells = product((2, 5), ("standard", "scaled"), OBJECTIVES)
    for index, (t, matrix, kind) in enumerate(cells):
        teacher = {"matrix": matrix}
        run(storage, "t", index, dimension=t, teacher=teacher, objective={"kind": kind})
    return storage


def test_the_page_has_everything(trained: Path) -> None:
    page = page_of(trained, "t")
    pictures = list(page.all("img"))
    for picture in pictures:
        content = base64.b64decode(picture.attributes["src"].partition(",")[2], validate=True)
        assert imread(io.BytesIO(content)).shape[1] > 200
        assert picture.attributes["alt"]
    assert not list(page.all("script"))
    titles = " ".join(picture.attributes["alt"] for picture in pictures)
    for words in ("Figure 1 redrawn", "Figure 2 redrawn", "along the training", "condition number"):
        assert words in titles
    (body,) = page.by_id("teachers").all("tbody")
    assert len(list(body.all("tr"))) == 4
    tables = [n for n in page.all("table") if n.attributes.get("class") == "metrics"]
    for table in tables:
        (body,) = table.all("tbody")
        assert len(list(body.all("tr"))) == 4 * (len(OBJECTIVES) + 1)
    text = page.whole()
    assert "Proposition 1's probability" in text
    assert "--estimators plain path exact" in text
    assert "84 seeds in all" in text
    assert "nan" not in text.replace("–", "").split()


def test_the_teachers_are_those_of_the_theory(trained: Path) -> None:
    study = read_gaussian_study(load_records(trained, "t"))
    assert not study.unreadable
    for _, row in study.teachers.iterrows():
        spectrum = study.arrays[row["record"]].teacher_spectrum[row["replica"]]
        assert outward_probability(spectrum) == pytest.approx(row["probability"], abs=1e-5)
        assert row["monte_carlo"] == pytest.approx(row["probability"], abs=0.03)
        assert row["norm_law"] > 0.0


def test_every_figure_is_a_file(tmp_path: Path) -> None:
    for index, (matrix, t) in enumerate((("standard", 2), ("standard", 3), ("scaled", 3))):
        run(tmp_path, "t", index, dimension=t, teacher={"matrix": matrix})
    written = export(ExportSettings(str(tmp_path), "t", tmp_path / "figures")).paths
    names = {path.stem for path in written}
    wanted = {"force", "likelihoods", "likelihoods_2", "dimensions", "training", "early_signal"}
    assert names == {*wanted, "training_2", "conditions"}


DAMAGE = {
    "half a file": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "no safetensors": lambda path: path.write_bytes(b"nothing"),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_arrays_are_reported_and_cost_nothing_else(
    trained: Path, tmp_path: Path, damage: object
) -> None:
    shutil.copytree(trained / "t", tmp_path / "t")
    path = tmp_path / "t" / "trial_00001" / "arrays.safetensors"
    damage(path)  # type: ignore[operator]
    study = read_gaussian_study(load_records(tmp_path, "t"))
    (skipped,) = study.unreadable
    assert skipped.path == "t/trial_00001/arrays.safetensors"
    assert len(study.rows) == 84
    assert study.teachers["monte_carlo"].notna().all()  # another trial has the same teachers


def test_arrays_of_another_trial_and_paths_outside_are_reported(
    trained: Path, tmp_path: Path
) -> None:
    run(tmp_path, "t", 0, replicas=3)
    folder = tmp_path / "t" / "trial_00000"
    shutil.copy(trained / "t" / "trial_00000" / "arrays.safetensors", folder)
    (skipped,) = read_gaussian_study(load_records(tmp_path, "t")).unreadable
    assert "for 3 seeds" in skipped.reason
    record = json.loads((folder / "record.json").read_text())
    record["artefacts"] = {"arrays": "../../secret"}
    (folder / "record.json").write_text(json.dumps(record))
    page = page_of(tmp_path, "t")
    assert "outside the trial's folder" in page.by_id("skipped").whole()


def test_a_sweep_in_which_nothing_has_finished_has_a_page(tmp_path: Path) -> None:
    for index, status in enumerate(("running", "failed")):
        item = trial(index, config("reverse_kl", 4), status=status)
        folder = tmp_path / "t" / item.record.trial
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(item.record.to_json())
    page = page_of(tmp_path, "t")
    assert "Nothing to judge yet" in page.whole()
    assert "not finite" in page.by_id("failed").whole()


def test_one_seed_one_dimension_and_no_arrays_can_be_drawn() -> None:
    study = study_of(trial(0, config("reverse_kl", 4, replicas=1)))
    parts = PartMaker()
    found = named_charts(study, parts)
    assert not parts.failed
    assert "force" in found
    assert "dimensions" not in found
    assert len(study.unreadable) == 1


def test_many_arms_and_rates_can_be_drawn() -> None:
    cells = [
        config(kind, 4, student__start=start, optimiser__learning_rate=rate)
        for kind in ("reverse_kl", "z_reconstruction")
        for start in ("identity", "random")
        for rate in (0.001, 0.005, 0.1)
    ]
    study = study_of(*(trial(i, cell) for i, cell in enumerate(cells)))
    parts = PartMaker()
    found = named_charts(study, parts)
    assert not parts.failed
    assert {"arms", "rates", "training"} <= set(found)
    assert "Of 12 arms the 2 nearest" in found["training"][0].caption
