from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluate.conftest import unit
from v2a_foley.cli import console
from v2a_foley.errors import InputError
from v2a_foley.evaluate import plots, report
from v2a_foley.evaluate.comparison import Comparison, Score, Spaces
from v2a_foley.evaluate.distances import Estimate
from v2a_foley.evaluate.listening import Heard, SoundFolder
from v2a_foley.evaluate.sounds import Against, Fit, FolderScore, Judgement

NAMES = ("mine", "it's $x$ | <b> [a](b) 🎬.safetensors")


def points(count: int, dim: int, seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dim)))


def comparison(d_clip: int = 16, scenes: int = 12) -> Comparison:
    heard = points(scenes, 16, 1)
    mapped = {name: points(scenes, 16, 2 + i) for i, name in enumerate(NAMES)}
    found = {name: np.arange(scenes) + 1 for name in NAMES}
    spaces = Spaces(points(scenes, d_clip, 0), heard, [[i] for i in range(scenes)], mapped, found)
    full = Score(
        NAMES[1], "diffusion", 0.5, {1: 0.25, 5: 0.5, 10: None}, 3.5, 0.125, None, 0.01234,
        Estimate(-0.001, 0.02), 0.75, 0.1,
    )  # fmt: skip
    scores = (Score("true sounds", ""), full)
    notes = ("a | note",)
    return Comparison(
        Path("pairs"), "test", "starter-0.1-abc", 0, scenes, scenes, 3, scores, notes, spaces
    )


def judgement(count: int = 5) -> Judgement:
    sounds = tuple(Heard(f"s{i}", Path(f"s{i}.wav"), 1.0, -20.0 - i, 0.0) for i in range(count))
    folder = SoundFolder(Path("made"), sounds, points(count, 16, 0), ("s0",), ())
    fit = Fit(0.5, 0.1, count)
    score = FolderScore(Path("made"), count, (1, 1, 1), (-24, -22, -20), 0, 0.015, 0.9, None, fit)
    against = Against(0.5, Estimate(0.1, 0.2), count, 0.4, 0.2, 0.6, 0.4)
    return Judgement("p", 0, score, score, against, ("a.wav: bad",), (), (folder, folder))


# Tables and JSON ---------------------------------------------------------------------------------


def test_a_table_of_mappers():
    headings, rows = report.mapper_table(comparison())
    assert len(headings) == len(rows[0]) == len(rows[1])
    assert rows[0] == ["true sounds", *["-"] * 11]
    assert rows[1][1:] == [
        "0.500", "0.250", "0.500", "-", "3.5", "0.125", "-", "0.0123", "-0.001 ± 0.020", "0.750",
        "0.100",
    ]  # fmt: skip


def test_tables_of_sounds():
    headings, rows = report.folder_table(judgement())
    assert len(headings) == len(rows[0])
    assert rows[0][1:5] == ["5", "1.00 (1.00 to 1.00)", "-22.0 (-24.0 to -20.0)", "0"]
    assert rows[1][-2:] == ["0.500 (0.100)", "-"]
    assert report.against_table(judgement().against)[1][0] == ["FD", "0.5000"]


def test_records_are_plain():
    found = report.record(comparison())
    assert "spaces" not in found
    assert '"kernel": {\n        "mean": -0.001' in console.as_json(found)
    files = report.record(judgement())["files"]
    assert [len(files[name]) for name in ("generated", "reference")] == [5, 5]
    assert '"name": "s0"' in console.as_json(files)


# Markdown ----------------------------------------------------------------------------------------


def test_names_are_no_markup():
    text = report.mapper_report(comparison(), Path("r.md"))
    row = next(line for line in text.splitlines() if "🎬" in line)
    assert r"it's \$x\$ \| &lt;b&gt; \[a\](b) 🎬.safetensors" in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 13
    assert r"- a \| note" in text
    assert "<b>" not in text


def test_what_the_plots_of_two_spaces_mean():
    same = report.mapper_report(comparison(), Path("r.md"))
    other = report.mapper_report(comparison(d_clip=8), Path("r.md"))
    assert "shown on one plane" in same
    assert "axes of its own" in other


def test_a_report_names_its_plots_and_what_was_skipped(tmp_path: Path):
    path = tmp_path / "my report.md"
    text = report.sounds_report(judgement(), path)
    report.write(path, text, {"sounds": plots.folders(judgement().heard)}, overwrite=False)
    names = re.findall(r"!\[.*\]\(<(.*)>\)", path.read_text())
    assert names == ["my report.sounds.png"]
    with Image.open(tmp_path / names[0]) as image:
        assert min(image.size) > 300
    assert "- skipped: a.wav: bad" in text
    assert {each.name for each in tmp_path.iterdir()} == {path.name, *names}


@pytest.mark.parametrize("d_clip", [16, 8])
def test_plots_of_mappers(tmp_path: Path, d_clip: int):
    of = comparison(d_clip)
    gap = plots.gap(of)
    assert len(gap.axes) == 2 * (2 if d_clip == 16 else 3)
    figures = {"gap": gap, "recall": plots.recall_curve(of)}
    report.write(tmp_path / "r.md", "text", figures, overwrite=False)
    assert {p.name for p in tmp_path.iterdir()} == {"r.md", "r.gap.png", "r.recall.png"}
    again = {"gap": plots.gap(of), "recall": plots.recall_curve(of)}
    report.write(tmp_path / "s.md", "text", again, overwrite=False)
    for plot in figures:
        assert (tmp_path / f"r.{plot}.png").read_bytes() == (
            tmp_path / f"s.{plot}.png"
        ).read_bytes()


def test_a_projection_keeps_what_is_apart_apart():
    near, far = points(20, 16, 0) * 0.1, points(20, 16, 1) * 0.1
    far[:, 0] += 5
    pca, tsne = plots.project({"near": near, "far": far})
    assert pca.title.startswith("PCA, ")
    assert tsne.title == "t-SNE"
    for plane in (pca, tsne):
        middles = [plane.points[name].mean(0) for name in ("near", "far")]
        spread = max(plane.points[name].std() for name in ("near", "far"))
        assert np.linalg.norm(middles[0] - middles[1]) > 2 * spread


def test_few_sounds_are_drawn_too():
    one = judgement(1)
    assert len(plots.folders(one.heard[:1]).axes) == 1
    silent = replace(one.heard[0].sounds[0], loudness=-np.inf)
    assert plots.folders([replace(one.heard[0], sounds=(silent,))])


# Bad input ---------------------------------------------------------------------------------------


def test_reports_that_must_not_be_written(tmp_path: Path):
    path = tmp_path / "r.md"
    with pytest.raises(InputError, match=r"give it a name that ends in \.md"):
        report.check_report(tmp_path / "r.html", report.SOUND_PLOTS, overwrite=False)
    report.check_report(path, report.SOUND_PLOTS, overwrite=False)
    (tmp_path / "r.sounds.png").touch()
    with pytest.raises(InputError, match=r"r\.sounds\.png: exists already"):
        report.check_report(path, report.SOUND_PLOTS, overwrite=False)
    report.check_report(path, report.SOUND_PLOTS, overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == ["r.sounds.png"]


def test_a_missing_library_is_named():
    from v2a_foley.evaluate.extra import require

    require("numpy")
    with pytest.raises(
        InputError, match=r"needs nosuchlibrary, .* pip install 'v2a-foley\[train\]'"
    ):
        require("numpy", "nosuchlibrary")
