"""Each preset that ships, tried on a clip that it is meant for, from the picture to the mix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.material import FOLDER
from tests.media import events
from tests.media.made import H264, make
from tests.presets.conftest import SHIPPED
from v2a_foley import cuesheet, frames, presets, provenance
from v2a_foley.cuesheet import CueSheet, editing
from v2a_foley.media.audio import RATE
from v2a_foley.programme import treated_stem
from v2a_foley.rendering import render
from v2a_foley.spotting import SpotSettings, spot
from v2a_foley.timing import sync

SECONDS = 2.0
PICTURES = {
    "ambience": "beach_1",
    "animals": "dog_1",
    "impacts": "door_1",
    "vehicles": "train_1",
    "water": "wave_1",
    "machines": "hammer_1",
    "nature": "owl_1",
}
"""What is seen in the film, by the preset that it calls for."""
SOUNDS = {
    "cartoon": "cartoon boing",
    "city": "city street with traffic",
    "crowd": "crowd murmuring",
    "fire-and-weather": "crackling fire",
    "footsteps": "footsteps on wood",
}
"""What is heard of scenes whose preset no picture calls for here; things happen in them."""
MOVES = (0.5, 1.2)  # seconds at which they do
QUICK = {"generation": {"steps": 4, "candidates": 2}}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shot for each preset: a picture that is passed over for a second, or a box that jolts."""
    folder = tmp_path_factory.mktemp("film")
    jolts = events.clip(folder / "jolts.mp4", "jolts", MOVES, SECONDS)
    inputs, shots = [], []
    for number, name in enumerate([*PICTURES, *SOUNDS]):
        picture = FOLDER / "pictures" / f"{PICTURES.get(name)}.jpg"
        still = ["-loop", "1", "-framerate", "25", "-t", f"{SECONDS}", "-i", f"file:{picture}"]
        inputs += still if name in PICTURES else ["-i", f"file:{jolts}"]
        pan = "scale=384:288:force_original_aspect_ratio=increase,crop=320:240:'32+32*min(t,1)':24"
        turn = f"{pan if name in PICTURES else 'null'},setsar=1,fps=25,format=yuv420p"
        shots.append(f"[{number}:v]{turn}[v{number}]")
    joined = "".join(f"[v{number}]" for number in range(len(shots)))
    graph = ";".join([*shots, f"{joined}concat=n={len(shots)}"])
    return make(folder / "film.mp4", *inputs, "-filter_complex", graph, *H264)


@pytest.fixture(scope="module")
def spotted(film: Path, starter: Any) -> CueSheet:
    """The film's cue sheet; its scenes are named after their presets."""
    names = [*PICTURES, *SOUNDS]
    bounds = tuple((SECONDS * number, SECONDS * (number + 1)) for number in range(len(names)))
    sheet = spot(
        film, film.with_suffix(".cues.toml"), models=starter, settings=SpotSettings(scenes=bounds)
    )
    scenes = (replace(scene, id=name) for scene, name in zip(sheet.scenes, names, strict=True))
    return cuesheet.save(replace(sheet, scenes=tuple(scenes)), film.with_suffix(".cues.toml"))


@pytest.fixture(scope="module")
def rendered(spotted: CueSheet, starter: Any) -> CueSheet:
    """The same with the presets that no picture calls for, and stems."""
    sheet = spotted
    for name, prompt in SOUNDS.items():
        sheet = editing.set_values(
            sheet, [name], {"preset": name, "prompt": prompt, "prompt_weight": 1}
        )
    render(sheet, models=starter, overrides=QUICK)
    return sheet


def test_every_preset_of_scenes_is_tried():
    assert {*PICTURES, *SOUNDS, "default", "subtle"} == set(SHIPPED)


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_seen_calls_for_the_preset(spotted: CueSheet, name: str):
    assert cuesheet.scene_of(spotted, name).preset == name


@pytest.mark.parametrize("name", [*PICTURES, *SOUNDS])
def test_a_scene_is_made_and_mixed_as_its_preset_says(rendered: CueSheet, name: str):
    preset = presets.find(name)
    scene = cuesheet.scene_of(rendered, name)
    (record,) = (each for each in provenance.load(rendered.artefacts) if each["scene"] == name)
    stated = {**preset.stated["generation"], **QUICK["generation"]}
    listed = {key: list(each) if isinstance(each, tuple) else each for key, each in stated.items()}
    assert {key: record["generation"][key] for key in listed} == listed
    dry, handle = treated_stem(rendered, scene, presets.find("default").mix)
    wet, _ = treated_stem(rendered, scene, preset.mix)
    assert handle >= preset.timing.crossfade / 2 - 1e-6
    if preset.mix.width:
        middle, side = wet.sum(1), wet[:, 0] - wet[:, 1]
        assert 0.3 < rms(side) / rms(middle) / preset.mix.width < 1.7
    else:
        assert wet.ndim == 1
    if preset.mix.high_pass:
        low, cut = (below(each, preset.mix.high_pass / 2) for each in (dry, wet))
        assert cut < low * 10 ** ((preset.mix.gain_db - 12) / 20)
    if not (preset.mix.width or preset.mix.high_pass):
        assert wet == pytest.approx(dry * 10 ** (preset.mix.gain_db / 20), abs=1e-6)


@pytest.mark.parametrize("name", ["footsteps", "cartoon"])
def test_what_is_to_be_in_time_sounds_when_things_happen(
    rendered: CueSheet, starter: Any, name: str
):
    """The chosen sound, against the one that is chosen where it may begin at will."""
    made = offset(rendered, name)
    freed = editing.set_values(rendered, [name], {"sync": "free"})
    render(freed, models=starter, overrides=QUICK)
    free = offset(freed, name)
    assert made is not None
    assert made < 0.08
    assert free is None or free > 0.1


def offset(sheet: CueSheet, name: str) -> float | None:
    """Seconds between a stem's onsets and what happens in its picture."""
    scene = cuesheet.scene_of(sheet, name)
    wave, handle = treated_stem(sheet, scene, presets.find("default").mix)
    seen = frames.load(sheet.artefacts)
    events = sync.picture_events(seen, scene.start, scene.end)
    assert events == pytest.approx(MOVES, abs=0.15)
    return sync.offset(wave, RATE, events + handle)


def rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.square(wave, dtype=np.float64).mean()))


def below(wave: np.ndarray, hertz: float) -> float:
    """RMS of what is below a frequency."""
    mono = wave if wave.ndim == 1 else wave.mean(1)
    spectrum = np.abs(np.fft.rfft(mono)) ** 2
    return float(np.sqrt(spectrum[np.fft.rfftfreq(len(mono), 1 / RATE) < hertz].sum()))
