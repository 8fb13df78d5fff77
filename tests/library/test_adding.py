from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.library.conftest import Notes
from tests.library.made import RATE, engine, folder_of_sounds, put, rain
from tests.media.made import make
from v2a_foley.errors import InputError, ModelError
from v2a_foley.library.adding import add, refresh, remove
from v2a_foley.library.index import Index
from v2a_foley.library.records import Piece
from v2a_foley.library.updating import WINDOW, Report
from v2a_foley.models.bundle import Models


def counts(of: Report) -> dict[str, int]:
    """What was done, without what is none."""
    names = ("added", "changed", "moved", "unchanged", "dropped")
    found = {name: getattr(of, name) for name in names}
    found |= {"skipped": len(of.skipped), "failed": len(of.failed)}
    return {name: count for name, count in found.items() if count}


def pieces(place: Path) -> list[Piece]:
    with Index(place) as index:
        return index.pieces()


def embeddings(place: Path) -> dict[str, np.ndarray]:
    """The embedding of each piece, by file and start."""
    with Index(place) as index:
        rows = index.embeddings
        return {f"{p.file.path}@{p.start:.2f}": rows[p.row].copy() for p in index.pieces()}


def test_a_folder_is_added_once(starter: Models, sounds: Path, place: Path, notes: Notes):
    done = add([sounds], models=starter, progress=notes)
    assert counts(done) == {"added": 5}
    assert (notes.shares[0], notes.shares[-1]) == (0.0, 1.0)
    assert notes.shares == sorted(notes.shares)
    (folder,) = done.folders
    assert (folder.path, folder.name, folder.licence) == (sounds, "sounds", "")
    found = pieces(place)
    assert [p.file.path for p in found] == [
        "applause_1.ogg", "house/door_1.ogg", "house/glass_1.ogg", "rooster_1.ogg", "thunder_1.ogg",
    ]  # fmt: skip
    before = embeddings(place)
    rows = [starter.clap.sounds([rain(1)], RATE)[0], *before.values()]
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    bytes_before = {path: path.read_bytes() for path in place.iterdir()}
    assert counts(add([sounds], models=starter)) == {"unchanged": 5}
    assert counts(refresh([], models=starter)) == {"unchanged": 5}
    assert bytes_before == {path: path.read_bytes() for path in place.iterdir()}


def test_only_what_changed_is_embedded_again(starter: Models, sounds: Path, place: Path):
    add([sounds], models=starter)
    before = embeddings(place)
    os.utime(sounds / "thunder_1.ogg")  # a new time, the same bytes
    put(sounds / "rooster_1.ogg", "cat_1")
    (sounds / "house/door_1.ogg").rename(sounds / "door.ogg")
    (sounds / "house/glass_1.ogg").unlink()
    put(sounds / "fire.ogg", "fire_1")
    done = refresh(["sounds"], models=starter)
    assert counts(done) == {"added": 1, "changed": 1, "moved": 1, "unchanged": 2, "dropped": 2}
    after = embeddings(place)
    assert {name.partition("@")[0] for name in after} == {
        "applause_1.ogg", "door.ogg", "fire.ogg", "rooster_1.ogg", "thunder_1.ogg",
    }  # fmt: skip
    for name, embedding in after.items():
        old = before.get(name.replace("door.ogg", "house/door_1.ogg"))
        same = old is not None and bool((old == embedding).all())
        assert same == (name.partition("@")[0] not in ("rooster_1.ogg", "fire.ogg")), name
    assert counts(refresh(["sounds"], models=starter)) == {"unchanged": 5}


def test_files_that_swap_names(starter: Models, sounds: Path, place: Path):
    add([sounds], models=starter)
    before = embeddings(place)
    one, other, spare = (sounds / f"{n}.ogg" for n in ("rooster_1", "thunder_1", "spare"))
    one.rename(spare)
    other.rename(one)
    spare.rename(other)
    assert counts(refresh([], models=starter)) == {"moved": 2, "unchanged": 3}
    after = embeddings(place)
    assert len(after) == len(before)

    def of(found: dict[str, np.ndarray], name: str) -> np.ndarray:
        return next(e for key, e in found.items() if key.startswith(name))

    assert (of(after, "rooster_1") == of(before, "thunder_1")).all()
    assert (of(after, "thunder_1") == of(before, "rooster_1")).all()


def test_what_cannot_be_read_is_listed_and_the_rest_is_taken(
    starter: Models, sounds: Path, place: Path, notes: Notes
):
    put(sounds / "cut.flac", "cat_1").write_bytes(b"fLaC" + bytes(40))
    (sounds / "noise.wav").write_bytes(np.random.default_rng(0).bytes(4000))
    (sounds / "empty.wav").write_bytes(b"")
    (sounds / "playlist.mp3").write_text("#EXTM3U\nhttp://127.0.0.1/a.mp3\n")
    os.mkfifo(sounds / "pipe.wav")
    (sounds / "gone.wav").symlink_to(sounds / "nowhere.wav")
    (sounds / "folder.wav").mkdir()
    strange = rain(1.0)
    strange[500] = np.nan
    soundfile.write(sounds / "nan.wav", strange, RATE, subtype="FLOAT")
    soundfile.write(sounds / "silent.wav", np.zeros(RATE, np.float32), RATE)
    soundfile.write(sounds / "short.wav", rain(0.05), RATE)
    soundfile.write(sounds / ".hidden.wav", rain(1.0), RATE)
    done = add([sounds], models=starter, progress=notes)
    assert counts(done) == {"added": 7, "skipped": 2, "failed": 7}
    failed = {path.name: reason for path, reason in done.failed}
    assert set(failed) == {
        "cut.flac", "noise.wav", "empty.wav", "playlist.mp3", "pipe.wav", "gone.wav", "nan.wav",
    }  # fmt: skip
    assert "empty (0 bytes)" in failed["empty.wav"]
    assert "playlist" in failed["playlist.mp3"]
    assert "not a regular file" in failed["pipe.wav"]
    assert "No such file" in failed["gone.wav"]
    assert "NaN" in failed["nan.wav"]
    assert all(str(sounds) not in reason for reason in failed.values())
    skipped = {path.name: reason for path, reason in done.skipped}
    assert skipped == {"silent.wav": "is silent", "short.wav": "is shorter than 0.1 s"}
    assert sum("silent.wav: is silent" in line for line in notes.said) == 1
    assert len(pieces(place)) == 5
    again = add([sounds], models=starter)
    assert counts(again) == {"unchanged": 7, "failed": 7}


def test_a_file_that_breaks_is_forgotten(starter: Models, sounds: Path, place: Path):
    add([sounds], models=starter)
    (sounds / "rooster_1.ogg").write_bytes(b"no sound any more")
    assert counts(refresh([], models=starter)) == {"unchanged": 4, "failed": 1}
    assert "rooster_1.ogg" not in {p.file.path for p in pieces(place)}


def test_a_long_file_is_windowed(starter: Models, tmp_path: Path, place: Path):
    folder = tmp_path / "long"
    folder.mkdir()
    wave = np.concatenate([rain(WINDOW), np.zeros(round(WINDOW * RATE), np.float32), engine(5.5)])
    soundfile.write(folder / "long.flac", wave, RATE)
    soundfile.write(folder / "rest.flac", rain(WINDOW + 0.5), RATE)
    add([folder], models=starter)
    times = [(p.file.path, round(p.start, 1), round(p.end, 1)) for p in pieces(place)]
    assert times == [("long.flac", 0, 10), ("long.flac", 20, 25.5), ("rest.flac", 0, 10)]
    with Index(place) as index:
        rows, (one, other, _) = index.embeddings, index.pieces()
        right = starter.clap.sounds([rain(WINDOW), engine(5.5)], RATE)
        assert rows[one.row] @ right[0] > 0.99
        assert rows[other.row] @ right[1] > 0.99
        assert [f.seconds for f in index.files(index.folders()[0])] == [25.5, WINDOW + 0.5]


def test_many_formats_and_rates(starter: Models, tmp_path: Path, place: Path):
    folder = tmp_path / "kinds"
    folder.mkdir()
    wave = rain(2.0)
    soundfile.write(folder / "a.wav", wave, RATE, subtype="PCM_24")
    source = ("-i", str(folder / "a.wav"))
    for name, coding in {
        "b.flac": ("-ar", "96000"), "c.mp3": ("-b:a", "192k"), "d.ogg": ("-c:a", "libvorbis"),
        "e.aiff": ("-ar", "44100"), "f.m4a": ("-c:a", "aac"), "g.opus": (), "h.W64": ("-f", "w64"),
        "i.caf": (), "j.au": (), "k.wav": ("-ac", "6", "-c:a", "pcm_f32le"), "l.wma": (),
    }.items():  # fmt: skip
        make(folder / name, *source, *coding)
    done = add([folder], models=starter)
    assert counts(done) == {"added": 12}
    made = embeddings(place)
    first = made.pop("a.wav@0.00")
    assert len(made) == 11
    assert {name: e @ first > 0.9 for name, e in made.items()} == dict.fromkeys(made, True)


CHILD = """
import os, signal, sys
from pathlib import Path
from v2a_foley.library.adding import add
from v2a_foley.models.bundle import Models

class Killed:
    def stage(self, name, share):
        if share > 0.75:
            os.kill(os.getpid(), signal.SIGKILL)
    def note(self, message):
        pass

add([Path(sys.argv[1])], models=Models("starter", "cpu"), progress=Killed())
"""


def test_killed_and_run_again(starter: Models, tmp_path: Path, place: Path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        soundfile.write(folder / f"{number:02d}.wav", rain(0.3, seed=number), RATE)
    command = [sys.executable, "-c", CHILD, str(folder)]
    done = subprocess.run(command, timeout=120, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = embeddings(place)
    assert len(kept) == 32
    report = add([folder], models=starter)
    assert counts(report) == {"added": 28, "unchanged": 32}
    made = embeddings(place)
    assert len(made) == 60
    assert all((made[name] == embedding).all() for name, embedding in kept.items())


def test_interrupted_what_was_done_is_kept(starter: Models, sounds: Path, place: Path):
    class Interrupting(Notes):
        def stage(self, name: str, share: float) -> None:
            if share > 0.5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add([sounds], models=starter, progress=Interrupting())
    assert len(pieces(place)) == 4
    assert counts(add([sounds], models=starter)) == {"added": 1, "unchanged": 4}


def test_bad_folders_are_refused_before_any_work(
    starter: Models, sounds: Path, place: Path, tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    other = folder_of_sounds(tmp_path / "other" / "sounds")
    cases = {
        "no such folder": [tmp_path / "missing"],
        "is a file": [sounds / "notes.txt"],
        "holds no sound files": [sounds, tmp_path / "empty"],
        "overlaps with": [sounds, sounds / "house"],
        "a library 'sounds' is there already": [sounds, other],
    }
    for words, folders in cases.items():
        with pytest.raises(InputError, match=words):
            add(folders, models=starter)
    with pytest.raises(InputError, match="a name is for one folder"):
        add([sounds, tmp_path / "other"], models=starter, name="all")
    assert not place.exists()
    add([sounds], models=starter)
    with pytest.raises(InputError, match="--name"):
        add([other], models=starter)
    with pytest.raises(InputError, match="overlaps with"):
        add([tmp_path], models=starter)
    assert counts(add([other], models=starter, name="others")) == {"moved": 5}
    with Index(place) as index:
        assert [each.name for each in index.folders()] == ["others", "sounds"]


def test_a_pack_without_an_audio_tower(starter: Models, sounds: Path):
    models = Models("starter", "cpu")
    models.pack = replace(starter.pack, name="deaf", clap_audio=None)
    with pytest.raises(ModelError, match=r"'deaf' has no CLAP audio tower.*models convert"):
        add([sounds], models=models)


def test_licences(starter: Models, sounds: Path, place: Path):
    (sounds / "rooster_1.ogg.license").write_text(
        "SPDX-FileCopyrightText: A. Hen\nSPDX-License-Identifier: CC0-1.0\n"
    )
    (sounds / "house" / "Licence.txt").write_text("\n  My own\trecordings\x07, 2020 \n\nfree\n")

    def licences() -> dict[str, str]:
        return {Path(p.file.path).stem: p.file.licence for p in pieces(place)}

    add([sounds], models=starter)
    found = licences()
    assert found["rooster_1"] == "CC0-1.0"
    assert found["glass_1"] == "My own recordings , 2020"
    assert found["thunder_1"] == "CC-BY-SA-3.0"
    (sounds / "LICENSE").write_text("CC BY 4.0")
    assert counts(add([sounds], models=starter)) == {"unchanged": 5}
    assert licences()["thunder_1"] == "CC BY 4.0"
    add([sounds], models=starter, licence="bought, shop.example")
    refresh([], models=starter)
    assert set(licences().values()) == {"bought, shop.example"}
    add([sounds], models=starter, licence="")
    assert licences()["rooster_1"] == "CC0-1.0"


def test_a_disk_that_is_not_connected(starter: Models, sounds: Path, place: Path):
    add([sounds], models=starter)
    away = sounds.rename(sounds.with_name("away"))
    report = refresh([], models=starter)
    assert [(path, "connect its disk" in why) for path, why in report.failed] == [(sounds, True)]
    sounds.mkdir()  # a mount point
    assert counts(refresh([], models=starter)) == {"failed": 1}
    assert len(pieces(place)) == 5
    sounds.rmdir()
    away.rename(sounds)
    assert counts(refresh([], models=starter)) == {"unchanged": 5}


def test_removing(starter: Models, sounds: Path, place: Path, tmp_path: Path):
    other = folder_of_sounds(tmp_path / "more")
    put(other / "fire.ogg", "fire_1")
    add([sounds, other], models=starter)
    kept = {k: v for k, v in embeddings(place).items() if k.startswith("fire")}
    with pytest.raises(InputError, match="no sound library 'foo': more, sounds"):
        remove(["more", "foo"], starter.pack)
    gone = remove(["sounds", str(sounds)], starter.pack)
    assert [each.name for each in gone] == ["sounds"]
    assert sounds.is_dir()
    assert len(pieces(place)) == 6
    for path in other.rglob("*_1.ogg"):
        path.unlink()
    assert counts(refresh([], models=starter)) == {"unchanged": 1, "dropped": 5}
    left = embeddings(place)
    assert left.keys() == kept.keys()
    assert all((left[name] == kept[name]).all() for name in kept)
    with Index(place) as index:
        assert len(index.embeddings) == 1  # what is gone takes no room
    assert len(list(place.glob("*.npy"))) == 1
