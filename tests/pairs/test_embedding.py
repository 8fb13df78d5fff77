from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.pairs.made import clip, contents, folder_of_clips, picture, recording
from v2a_foley.errors import InputError
from v2a_foley.media.audio import RATE
from v2a_foley.media.sounds import read_sound
from v2a_foley.models.bundle import Models
from v2a_foley.pairs.dataset import Pairs
from v2a_foley.pairs.embedding import EmbedSettings, embed
from v2a_foley.pairs.reading import read_picture
from v2a_foley.pairs.splits import Shares

TRAIN = Shares(0.0, 0.0)
SMALL = EmbedSettings(fps=1.0, window=2.0, shares=TRAIN, shard=2)
CHILD = """
import sys
from pathlib import Path
from v2a_foley.models.bundle import Models
from v2a_foley.pairs.embedding import EmbedSettings, embed
from v2a_foley.pairs.splits import Shares
settings = EmbedSettings(fps=1.0, window=2.0, shares=Shares(0.0, 0.0), shard=2)
embed(Path(sys.argv[1]), Path(sys.argv[2]), models=Models("starter", "cpu"), settings=settings)
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `folder_of_clips`, and one more clip."""
    folder = folder_of_clips(tmp_path_factory.mktemp("clips"))
    clip(folder / "zoo" / "owl.mp4", "owl_1", "fire_1", 5.0)
    return folder


@pytest.fixture(scope="module")
def whole(clips: Path, tmp_path_factory: pytest.TempPathFactory, starter: Models) -> Path:
    """Its pairs, made in one run."""
    folder = tmp_path_factory.mktemp("whole") / "pairs"
    embed(clips, folder, models=starter, settings=SMALL)
    return folder


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_pairs_are_what_the_models_make_of_picture_and_sound(whole: Path, starter: Models):
    pairs = Pairs.open(whole, silent=True, speech=1, music=1)
    assert pairs.clip_id == starter.pack.clip_id
    sources = Counter(Path(each.source).name for each in pairs.records)
    assert sources == {"again.mp4": 2, "rooster.mp4": 3, "owl.mp4": 3}
    names = {"again.mp4": ("dog_1", "cat_1"), "rooster.mp4": ("chicken_1", "rooster_1")}
    for index, record in enumerate(pairs.records):
        name = Path(record.source).name
        if record.start == 0.0 and name in names:
            image, sound = names[name]
            assert len(pairs.frames(index)) == 2
            seen = starter.clip.images([read_picture(picture(image))])[0]
            assert cosine(pairs.frames(index)[0], seen) > 0.7
            heard = starter.clap.sounds([looped(recording(sound))[: 2 * RATE]], RATE)[0]
            assert cosine(pairs.audio(np.array([index]))[0], heard) > 0.9


def looped(path: Path) -> np.ndarray:
    sound = read_sound(path)
    return np.tile(sound, 1 + 6 * RATE // len(sound))


def test_sources_come_in_the_order_of_their_names(clips: Path, whole: Path):
    records = Pairs.open(whole, silent=True, speech=1, music=1).records
    sources = [each.source for each in records]
    assert sources == sorted(sources)
    assert records[0].id == f"{clips / 'again.mp4'}@0.000-2.000"
    assert records[0].group == "again.mp4"
    assert [each.start for each in records[2:5]] == [0.0, 2.0, 4.0]


def test_what_fails_is_listed_and_left_out(clips: Path, whole: Path):
    failed = [json.loads(line) for line in (whole / "failed.jsonl").read_text().splitlines()]
    assert [Path(each["source"]).name for each in failed] == ["cut.mkv", "noise.mp4", "mute.mp4"]
    assert "is truncated" in failed[0]["reason"]
    assert "is not a video file" in failed[1]["reason"]
    assert "has no sound" in failed[2]["reason"]


def test_a_second_run_adds_nothing(clips: Path, whole: Path, starter: Models):
    before = contents(whole)
    again = embed(clips, whole, models=starter, settings=SMALL)
    assert (again.added, again.duplicates, len(again.failed)) == (0, 1, 3)
    assert contents(whole) == before


def test_killed_runs_end_with_the_bytes_of_an_unbroken_one(clips: Path, tmp_path: Path):
    # All three in programs of their own: other tests leave torch with other threads here.
    folder, unbroken = tmp_path / "pairs", tmp_path / "unbroken"
    command = [sys.executable, "-c", CHILD, str(clips)]
    subprocess.run([*command, str(unbroken)], check=True)
    child = subprocess.Popen([*command, str(folder)])
    try:
        while not (folder / "shard-00000.jsonl").exists():
            assert child.poll() is None
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(list(folder.glob("shard-*.jsonl"))) < len(list(unbroken.glob("shard-*.jsonl")))
    (folder / ".shard-00001.part.safetensors").write_bytes(b"half")
    subprocess.run([*command, str(folder)], check=True)
    assert contents(folder) == contents(unbroken)


@pytest.mark.parametrize("kept", range(3))
def test_a_run_may_break_after_any_shard(
    clips: Path, whole: Path, tmp_path: Path, starter: Models, kept: int
):
    folder = tmp_path / "pairs"
    folder.mkdir()
    wanted = ["pairs.json", "clap.safetensors"]
    wanted += [f"shard-{n:05d}.{kind}" for n in range(kept) for kind in ("jsonl", "safetensors")]
    for name in wanted:
        shutil.copy(whole / name, folder)
    embed(clips, folder, models=starter, settings=SMALL)
    assert contents(folder) == contents(whole)


def test_a_source_that_was_mended_is_added(clips: Path, tmp_path: Path, starter: Models):
    media = tmp_path / "media"
    clip(media / "b.mp4", "dog_1", "cat_1")
    (media / "a.mp4").write_bytes(b"nothing")
    first = embed(media, tmp_path / "pairs", models=starter, settings=SMALL)
    assert (first.added, len(first.failed)) == (2, 1)
    clip(media / "a.mp4", "cow_1", "splash_1")
    second = embed(media, tmp_path / "pairs", models=starter, settings=SMALL)
    assert (second.added, second.failed) == (2, [])
    assert not (tmp_path / "pairs" / "failed.jsonl").exists()
    assert len(Pairs.open(tmp_path / "pairs", silent=True, speech=1, music=1)) == 4


def test_a_table_of_pictures_and_sounds(tmp_path: Path, starter: Models):
    rows = [("cat_1", "cat_1", "cat"), ("dog_1", "cat_1", "cat"), ("cat_1", "door_1", "door")]
    lines = [f"{picture(i)}\t{recording(s)}\t{label}\ttest" for i, s, label in rows]
    table = tmp_path / "table.tsv"
    table.write_text("\n".join(["image\tsound\tlabel\tsplit", *lines, lines[0], "x\ty\tz\ttrain"]))
    made = embed(table, tmp_path / "pairs", models=starter, settings=EmbedSettings(shares=TRAIN))
    assert [failure.reason.split(": ")[0] for failure in made.failed] == ["table.tsv, row 6"]
    assert made.duplicates == 1
    pairs = Pairs.open(tmp_path / "pairs", split="test", silent=True, speech=1, music=1)
    by_label = {each.label: index for index, each in enumerate(pairs.records)}
    assert set(by_label) == {"cat", "door"}
    assert len({each.group for each in pairs.records}) == 1
    by_source = {each.source: index for index, each in enumerate(pairs.records)}
    cats = [
        index for source, index in by_source.items() if source.startswith(str(picture("cat_1")))
    ]
    seen = starter.clip.images([read_picture(picture("cat_1"))])[0]
    for index in cats:
        assert cosine(pairs.frames(index)[0], seen) > 0.999


def test_silent_windows_are_flagged(tmp_path: Path, starter: Models):
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(RATE, np.float32), RATE)
    table = tmp_path / "table.csv"
    table.write_text(f"image,sound\n{picture('cow_1')},{quiet}\n")
    made = embed(table, tmp_path / "pairs", models=starter)
    assert made.records[0].silent
    with pytest.raises(InputError, match="are silent, or speech or music dominates"):
        Pairs.open(tmp_path / "pairs")


def test_nothing_is_begun_where_nothing_can_be_embedded(tmp_path: Path, starter: Models):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no videos"):
        embed(tmp_path / "empty", tmp_path / "pairs", models=starter)
    for settings in ({"fps": 0.0}, {"fps": float("nan")}, {"window": 0.0}, {"window": -1.0}):
        with pytest.raises(InputError):
            EmbedSettings(**settings)  # type: ignore[arg-type]
    assert not (tmp_path / "pairs").exists()


def test_other_settings_are_refused(clips: Path, whole: Path, starter: Models):
    before = contents(whole)
    other = EmbedSettings(fps=2.0, window=2.0, shares=TRAIN, shard=2)
    with pytest.raises(InputError, match=r"fps 1\.0, now it is 2\.0"):
        embed(clips, whole, models=starter, settings=other)
    assert contents(whole) == before
