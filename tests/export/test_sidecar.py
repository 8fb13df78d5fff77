from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.export.made import Made, delivered, time_reference
from v2a_foley import provenance
from v2a_foley.delivery import deliver

CREDIT = {
    "label": "a dog", "caption": "dog barks", "made": "recorded", "licence": "CC BY-SA 4.0",
    "package": "sounds 1.0", "path": "dog.wav",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("sidecar")
    return delivered(folder, Fraction(30_000, 1001), handles=True)


def test_it_tells_of_seeds_versions_models_and_levels(made: Made) -> None:
    record = json.loads((made.folder / "cut.json").read_text())
    assert record["seed"] == made.sheet.seed
    assert [each["seed"] for each in record["scenes"]] == [1, 2, 3]
    assert record["versions"]["v2a-foley"] == version("v2a-foley")
    assert {"python", "torch", "diffusers"} <= record["versions"].keys()
    assert record["models"]["pack"] == "starter"
    assert "CC BY-SA 4.0" in " ".join(record["models"]["licences"].values())
    assert record["loudness"]["integrated"] == made.delivery.loudness.integrated
    assert record["mix"]["true_peak"] == -1.0
    assert record["scenes"][0]["settings"]["timing"]["crossfade"] > 0
    assert record["scenes"][0]["tags"] == [{"concept": "dog <b>", "group": "animals", "score": 0.5}]
    assert record["video"]["frames_a_second"] == "30000/1001"
    assert record["video"]["start_timecode"] == "10:00:00:00"


def test_it_names_every_file_with_its_hash(made: Made) -> None:
    record = json.loads((made.folder / "cut.json").read_text())
    files = [*record["files"], *(each["stem"] for each in record["scenes"])]
    names = {each["file"] for each in files}
    written = [made.delivery.output, *made.delivery.stems, *made.delivery.timelines]
    assert names == {path.relative_to(made.folder).as_posix() for path in written}
    for each in files:
        data = (made.folder / each["file"]).read_bytes()
        assert each["sha256"] == hashlib.sha256(data).hexdigest()
    for scene, path in zip(record["scenes"], made.delivery.stems, strict=False):
        assert scene["stem"]["time_reference"] == time_reference(path)
        assert scene["stem"]["handle_frames"] == [7, 7]


def test_recordings_are_credited_once(made: Made, tmp_path: Path) -> None:
    record = {"scene": "001", "sources": [CREDIT], "generation": {"seeded": 0.4}}
    provenance.save(made.sheet.artefacts, [record, record | {"scene": "002"}])
    sidecar = tmp_path / "elsewhere" / "é.json"
    deliver(made.sheet, tmp_path / "out.mov", sidecar=sidecar)
    told = json.loads(sidecar.read_text(encoding="utf-8"))
    assert told["recordings"] == [CREDIT]
    assert told["scenes"][1]["made"]["sources"] == [CREDIT]
    assert told["scenes"][2]["made"] is None
    assert told["scenes"][0]["stem"] is None
    assert [each["file"] for each in told["files"]] == ["../out.mov"]


def test_silence_has_no_loudness_and_is_still_json(made: Made, tmp_path: Path) -> None:
    quiet = {"mix": {"gain_db": -60.0, "fade_in": 60.0, "fade_out": 60.0, "target": "none"}}
    deliver(made.sheet, tmp_path / "out.mov", overrides=quiet, sidecar=tmp_path / "side.json")
    told = json.loads((tmp_path / "side.json").read_text(), parse_constant=pytest.fail)
    assert told["loudness"]["integrated"] is None


def test_a_pack_that_is_not_here_is_named(made: Made, tmp_path: Path) -> None:
    from dataclasses import replace

    sheet = replace(made.sheet, pack="elsewhere")
    deliver(sheet, tmp_path / "out.mov", sidecar=tmp_path / "side.json")
    assert json.loads((tmp_path / "side.json").read_text())["models"] == {"pack": "elsewhere"}
