"""Deliver without any model: stems that were made by hand, and what comes out of the file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.media.made import H264, frame_hashes, lavfi, make, noise
from v2a_foley import cuesheet
from v2a_foley.cuesheet import CueSheet, Scene
from v2a_foley.delivery import Delivery, deliver
from v2a_foley.errors import CueSheetError, InputError
from v2a_foley.media.audio import RATE, Sound, read_audio, write_wav
from v2a_foley.media.ffmpeg import ffmpeg_exe
from v2a_foley.media.probe import probe
from v2a_foley.presets.schema import TARGETS
from v2a_foley.stems import stem_path

CUTS = (0.0, 2.0, 4.0, 6.0)
HANDLE = 0.25
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
SAID = (0.5, 1.0, 2.0, 2.5, 4.0)  # when words begin in the made dialogue, 0.4 s each


def hits(seconds: float, seed: int) -> Sound:
    """Footsteps on a bed of noise, whose peaks stand far above the rest."""
    audio, burst = noise(seconds, 0.03, seed)[:, 0], noise(0.08, 0.3, seed + 9)[:, 0]
    burst *= np.exp(-np.arange(len(burst)) / 500).astype(np.float32)
    for start in range(RATE // 7, len(audio) - len(burst), RATE // 2):
        audio[start : start + len(burst)] += burst
    return audio


def dialogue(seconds: float) -> Sound:
    """Words with pauses between them, and a little room noise."""
    audio, time = noise(seconds, 3e-4)[:, 0], np.arange(round(0.4 * RATE)) / RATE
    word = np.sin(2 * np.pi * 180 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 7 * time))
    for at in SAID:
        audio[round(at * RATE) :][: len(word)] += (0.25 * word).astype(np.float32)
    return audio


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Six seconds of picture, in a codec for each container; with a dialogue and a tone."""
    folder = tmp_path_factory.mktemp("videos")
    write_wav(folder / "said.wav", dialogue(6.0))
    picture = lavfi("testsrc2=s=64x48:r=25:d=6", "sine=d=6")
    sources = [*picture, "-i", "said.wav", "-map", "0", "-map", "2", "-map", "1", "-c:a", "flac"]
    h264 = make(folder / "h264.mkv", *sources, *H264)
    vp9 = make(folder / "vp9.mkv", *sources, *VP9)
    mpeg4 = make(folder / "mpeg4.avi", *lavfi("testsrc2=s=64x48:r=25:d=6"), "-c:v", "mpeg4")
    return dict.fromkeys((".mp4", ".mov", ".mkv", ".ts"), h264) | {".webm": vp9, ".avi": mpeg4}


def sheet_of(folder: Path, video: Path, *stems: Sound, handle: float = HANDLE) -> CueSheet:
    scenes = tuple(
        Scene(f"{number + 1:03d}", CUTS[number], CUTS[number + 1], "default", number)
        for number in range(len(CUTS) - 1)
    )
    sheet = CueSheet(video, probe(video).duration, "unknown", scenes)
    sheet = cuesheet.save(sheet, folder / "clip.cues.toml")
    for scene, stem in zip(scenes, stems or _stems(handle), strict=True):
        write_wav(stem_path(sheet, scene), stem, overwrite=True)
    return sheet


def _stems(handle: float) -> list[Sound]:
    return [hits(b - a + 2 * handle, n) for n, (a, b) in enumerate(pairwise(CUTS))]


def changed(sheet: CueSheet, number: int, **mix: float) -> CueSheet:
    """The sheet with mix settings of one scene."""
    scenes = list(sheet.scenes)
    scenes[number] = replace(scenes[number], overrides={"mix": mix})
    return replace(sheet, scenes=tuple(scenes))


def ffmpegs_meter(film: Path) -> tuple[float, float]:
    """Integrated loudness and true peak of a file's first sound track, by ffmpeg alone."""
    command = [ffmpeg_exe(), "-hide_banner", "-nostdin", "-i", str(film), "-map", "0:a:0"]
    meter = ["-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-"]
    done = subprocess.run([*command, *meter], capture_output=True, text=True, check=True)
    words = done.stderr.rsplit("Summary:", 1)[1]
    values = (re.search(rf"{name}:\s*(-?[\d.]+)", words) for name in ("I", "Peak"))
    loudness, peak = (float(found[1]) for found in values if found)
    return loudness, peak


def level_db(audio: Sound, start: float, end: float) -> float:
    part = audio[round(start * RATE) : round(end * RATE)]
    return float(10 * np.log10(np.square(part, dtype=np.float64).mean() + 1e-12))


def track(film: Path, number: int = 0) -> Sound:
    return read_audio(probe(film), track=number)


# Loudness ----------------------------------------------------------------------------------------


def check_levels(made: Delivery, target: str) -> None:
    """The file is as loud as named, and not above the true peak, by ffmpeg's meter and by ours."""
    due, limit = TARGETS[target]
    loudness, peak = ffmpegs_meter(made.output)
    assert peak <= limit
    assert made.loudness.integrated == pytest.approx(loudness, abs=0.2)
    assert made.loudness.true_peak == pytest.approx(peak, abs=0.15)
    if due is not None:
        assert loudness == pytest.approx(due, abs=0.5)


@pytest.mark.parametrize(
    ("suffix", "target"),
    [(suffix, target) for target in TARGETS for suffix in (".mp4", ".webm")]
    + [(suffix, "streaming") for suffix in (".mkv", ".mov", ".avi", ".ts")],
)
def test_every_target_is_met_in_every_container(
    tmp_path: Path, videos: Mapping[str, Path], suffix: str, target: str
) -> None:
    sheet = sheet_of(tmp_path, videos[suffix])
    film = tmp_path / f"film{suffix}"
    made = deliver(sheet, film, overrides={"mix": {"target": target}})
    check_levels(made, target)
    if suffix != ".ts":  # which frames H.264's packets in another way
        assert frame_hashes(film) == frame_hashes(videos[suffix])
    assert {path.name for path in tmp_path.iterdir()} == {"clip.cues", "clip.cues.toml", film.name}


@pytest.mark.parametrize("level", [1.0, 6.0])
def test_without_a_target_the_level_is_left_alone_but_never_clips(
    tmp_path: Path, videos: Mapping[str, Path], level: float
) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"], *(hits(2.5, n) * 0.1 for n in range(3)))
    loud = replace(sheet, defaults={"mix": {"gain_db": 20 * float(np.log10(level))}})
    made = deliver(loud, tmp_path / "film.mkv", overrides={"mix": {"target": "none"}})
    audio, once = track(made.output)[:, 0], hits(2.5, 0) * 0.1 * level
    middle = slice(round(0.5 * RATE), round(1.5 * RATE))
    due = once[middle.start + round(HANDLE * RATE) :][:RATE]
    assert made.levelling.gain_db == 0.0
    assert np.abs(audio).max() <= 10 ** (-1 / 20)
    if level == 1.0:
        np.testing.assert_allclose(audio[middle], due, atol=2**-22)


def test_numbers_go_before_a_named_target(tmp_path: Path, videos: Mapping[str, Path]) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"])
    mix = {"target": "podcast", "loudness": -20.0, "true_peak": -3.0}
    made = deliver(sheet, tmp_path / "film.mkv", overrides={"mix": mix})
    loudness, peak = ffmpegs_meter(made.output)
    assert loudness == pytest.approx(-20.0, abs=0.5)
    assert peak <= -3.0


def test_silence_is_delivered_and_said_to_have_no_loudness(
    tmp_path: Path, videos: Mapping[str, Path]
) -> None:
    sheet = sheet_of(tmp_path, videos[".mp4"], *(hits(2.5, n) * 0 for n in range(3)))
    notes = Notes()
    made = deliver(sheet, tmp_path / "film.mp4", progress=notes)
    assert made.loudness.integrated == -np.inf
    assert "nothing in it is above -70 LUFS" in notes[-1]


# Scenes ------------------------------------------------------------------------------------------


class Notes(list[str]):
    """Progress of which the notes are kept."""

    def stage(self, name: str, done: float) -> None:
        assert 0.0 <= done <= 1.0

    def note(self, message: str) -> None:
        self.append(message)


def delivered(sheet: CueSheet, film: Path, **mix: float | str) -> Sound:
    """What is heard of a sheet that is left at its level."""
    made = deliver(sheet, film, overrides={"mix": {"target": "none"} | mix}, overwrite=True)
    return track(made.output)


def test_each_scene_has_its_own_strip(tmp_path: Path, videos: Mapping[str, Path]) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"], *(noise(2.5, 0.02, n)[:, 0] for n in range(3)))
    sheet = changed(sheet, 0, gain_db=-12.0, fade_in=1.0)
    sheet = changed(sheet, 1, pan=1.0, low_pass=1000.0)
    sheet = changed(sheet, 2, width=1.0, fade_out=1.0)
    audio = delivered(sheet, tmp_path / "film.mkv")
    plain = level_db(noise(2.0, 0.02), 0, 2)
    assert level_db(audio[:, 0], 1.0, 1.8) == pytest.approx(plain - 12, abs=0.3)
    assert level_db(audio, 0.0, 0.05) < plain - 30
    assert np.abs(audio[round(2.2 * RATE) : round(3.8 * RATE), 0]).max() < 1e-6
    assert level_db(audio[:, 1], 2.2, 3.8) == pytest.approx(plain + 3 - 13.8, abs=1.0)
    assert abs(np.corrcoef(audio[round(4.2 * RATE) : round(5 * RATE)].T)[0, 1]) < 0.1
    assert level_db(audio, 5.95, 6.0) < plain - 20
    assert np.abs(np.diff(audio[:, 1])).max() < 0.2  # no louder step than the noise's own


def test_delivered_stems_carry_the_same_treatment(
    tmp_path: Path, videos: Mapping[str, Path]
) -> None:
    sheet = changed(sheet_of(tmp_path, videos[".mkv"]), 1, pan=-0.5, gain_db=-6.0, high_pass=300.0)
    made = deliver(sheet, tmp_path / "film.mkv", stems=tmp_path / "stems")
    programme = track(made.output)
    second, rate = soundfile.read(tmp_path / "stems" / "002.wav", dtype="float32")
    assert rate == RATE
    middle = slice(round(0.5 * RATE), round(1.5 * RATE))
    heard = programme[2 * RATE :][middle]
    np.testing.assert_allclose(second[middle], heard, atol=1e-3)
    assert soundfile.info(tmp_path / "stems" / "001.wav").channels == 1


def test_stems_of_a_limited_programme_do_not_clip(
    tmp_path: Path, videos: Mapping[str, Path]
) -> None:
    sheet, notes = sheet_of(tmp_path, videos[".mkv"]), Notes()
    overrides = {"mix": {"target": "streaming"}}
    made = deliver(
        sheet, tmp_path / "f.mkv", overrides=overrides, stems=tmp_path / "stems", progress=notes
    )
    largest = [np.sort(np.abs(soundfile.read(path)[0]))[-2:] for path in made.stems[:-1]]
    assert made.levelling.limited
    assert max(peak for _, peak in largest) > 0.9
    assert max(second for second, _ in largest) < 1 - 2**-20  # flat tops have many of them
    assert re.search(r"stems: \d+\.\d dB below the programme", "\n".join(notes))


def test_muted_scenes_are_silent_and_need_no_stem(
    tmp_path: Path, videos: Mapping[str, Path]
) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"])
    scenes = (sheet.scenes[0], replace(sheet.scenes[1], mute=True), sheet.scenes[2])
    stem_path(sheet, sheet.scenes[1]).unlink()
    with pytest.raises(CueSheetError, match=r"002\.wav: the stem of scene 002 is missing"):
        deliver(sheet, tmp_path / "film.mkv")
    muted = replace(sheet, scenes=scenes)
    made = deliver(muted, tmp_path / "film.mkv", stems=tmp_path / "stems")
    audio = track(made.output)
    assert [path.name for path in made.stems] == ["001.wav", "003.wav", "track.wav"]
    assert not np.abs(audio[round(2.2 * RATE) : round(3.8 * RATE)]).max() > 0
    assert min(level_db(audio, 0.3, 1.7), level_db(audio, 4.3, 5.7)) > -60
    end, start = (np.flatnonzero(audio[: 3 * RATE])[-1] // 2, 3 * RATE)
    start += np.flatnonzero(audio[start:])[0] // 2
    assert level_db(audio[end - 48 : end], 0, 1) < -60  # no click where it stops and sets in
    assert level_db(audio[start : start + 48], 0, 1) < -60


def test_a_solo_scene_sounds_alone(tmp_path: Path, videos: Mapping[str, Path]) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"])
    scenes = (*sheet.scenes[:2], replace(sheet.scenes[2], solo=True))
    audio = delivered(replace(sheet, scenes=scenes), tmp_path / "film.mkv")
    assert not audio[: round(3.7 * RATE)].any()
    assert level_db(audio, 4.3, 5.7) > -60


def test_everything_muted_is_silence(tmp_path: Path, videos: Mapping[str, Path]) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"])
    scenes = tuple(replace(scene, mute=True) for scene in sheet.scenes)
    assert not delivered(replace(sheet, scenes=scenes), tmp_path / "film.mkv").any()


# The original sound ------------------------------------------------------------------------------


@pytest.mark.parametrize("loudness", [1.0, 0.1])
@pytest.mark.parametrize("depth", [12.0, 20.0])
def test_ducked_foley_lies_under_the_dialogue_however_quiet_that_is(
    tmp_path: Path, videos: Mapping[str, Path], loudness: float, depth: float
) -> None:
    video = make(
        tmp_path / "video.mkv",
        *("-i", str(videos[".mkv"]), "-map", "0:v", "-map", "0:a:0", "-c:v", "copy"),
        *("-af", f"volume={loudness}", "-c:a", "flac"),
    )
    sheet = sheet_of(tmp_path, video, *(noise(2.5, 0.05, n)[:, 0] for n in range(3)))
    original = np.repeat(track(video), 2, axis=1)
    rest = delivered(sheet, tmp_path / "film.mkv", mode="duck", duck_db=depth) - original
    ratios = [
        level_db(original, at + 0.06, at + 0.4) - level_db(rest, at + 0.06, at + 0.4) for at in SAID
    ]
    assert min(ratios) > depth - 1.5
    assert level_db(rest, 3.6, 4.0) == pytest.approx(level_db(noise(1.0, 0.05), 0, 1), abs=0.5)


@pytest.mark.parametrize("level", [1e-4, 8e-4, 2e-3])
def test_room_noise_does_not_duck(tmp_path: Path, videos: Mapping[str, Path], level: float) -> None:
    write_wav(tmp_path / "room.wav", noise(6.0, level))
    video = make(
        tmp_path / "video.mkv",
        *("-i", str(videos[".mkv"]), "-i", "room.wav", "-map", "0:v", "-map", "1:a"),
        *("-c:v", "copy", "-c:a", "flac"),
    )
    sheet = sheet_of(tmp_path, video, *(noise(2.5, 0.05, n)[:, 0] for n in range(3)))
    audio = delivered(sheet, tmp_path / "film.mkv", mode="duck")
    assert level_db(audio, 0.5, 5.5) == pytest.approx(level_db(noise(1.0, 0.05), 0, 1), abs=0.3)


@pytest.mark.parametrize("number", [0, 1])
def test_the_chosen_track_is_mixed_with_and_all_are_kept(
    tmp_path: Path, videos: Mapping[str, Path], number: int
) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"])
    sheet = replace(sheet, defaults={"mix": {"gain_db": -12.0}})
    film = tmp_path / "film.mkv"
    deliver(
        sheet, film, audio_track=number, keep_original=True,
        overrides={"mix": {"mode": "mix", "target": "none"}},
    )  # fmt: skip
    assert len(probe(film).audio) == 3
    assert [each.default for each in probe(film).audio] == [True, False, False]
    assert frame_hashes(film) == frame_hashes(videos[".mkv"])
    for kept in (0, 1):
        assert frame_hashes(film, f"0:a:{kept + 1}") == frame_hashes(videos[".mkv"], f"0:a:{kept}")
    foley = delivered(sheet, tmp_path / "foley.mkv")
    chosen = np.repeat(track(videos[".mkv"], number), 2, axis=1)
    np.testing.assert_allclose(track(film), foley + chosen, atol=2**-21)


def test_a_track_that_is_not_there(tmp_path: Path, videos: Mapping[str, Path]) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"])
    with pytest.raises(InputError, match="has 2 audio tracks, none is 2"):
        deliver(sheet, tmp_path / "f.mkv", audio_track=2, overrides={"mix": {"mode": "mix"}})


# What goes wrong ---------------------------------------------------------------------------------


def test_a_failed_delivery_leaves_no_folder(tmp_path: Path, videos: Mapping[str, Path]) -> None:
    sheet = sheet_of(tmp_path, videos[".mkv"])
    (tmp_path / "old").mkdir()

    class Stop(Notes):
        def stage(self, name: str, done: float) -> None:
            if done > 0.6:
                raise KeyboardInterrupt

    for folder in ("new/below", "old"):
        with pytest.raises(KeyboardInterrupt):
            deliver(sheet, tmp_path / folder / "film.mkv", progress=Stop())
    assert {path.name for path in tmp_path.iterdir()} == {"clip.cues", "clip.cues.toml", "old"}
    assert not list((tmp_path / "old").iterdir())
