from __future__ import annotations

import base64
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.review import made
from v2a_foley import cuesheet, provenance
from v2a_foley.cuesheet import CueSheet
from v2a_foley.errors import CueSheetError, InputError
from v2a_foley.review.page import default_page, timecode, write
from v2a_foley.stems import stem_path, take_path

LOADS = {"src", "srcset", "href", "poster", "data", "action", "formaction"}


class Parsed(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(sheet: CueSheet) -> Parsed:
    assert sheet.path is not None
    output = sheet.path.with_name("page.html")
    write(sheet.path, output, overwrite=True)
    return Parsed(output.read_text(encoding="utf-8"))


def changed(sheet: CueSheet, **changes: object) -> CueSheet:
    """The sheet with its second scene changed, saved."""
    one, two, three = sheet.scenes
    assert sheet.path is not None
    return cuesheet.save(replace(sheet, scenes=(one, replace(two, **changes), three)), sheet.path)


def test_everything_is_in_the_one_file(sheet: CueSheet):
    seen = page(sheet)
    for tag, attributes in seen.elements:
        for name in LOADS & attributes.keys():
            assert (attributes[name] or "").startswith(("data:", "#")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    policy = next(each["content"] for each in seen.all("meta") if "http-equiv" in each) or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(seen.all("article")) == 3
    assert len(seen.all("audio")) == 3 * 3 + 1
    assert len([each for each in seen.all("img") if "width" in each]) == 3
    for each in (*seen.all("audio"), *seen.all("img"), *seen.all("video")):
        kind, data = (each["src"] or "").split(";base64,")
        starts = {"image/jpeg": b"\xff\xd8", "image/png": b"\x89PNG", "video/mp4": b"\0\0\0"}
        assert base64.b64decode(data).startswith(starts.get(kind[5:], b"ID3"))


def test_what_is_known_of_scenes_and_candidates_is_said(sheet: CueSheet):
    overrides = {"generation": {"guidance": 4.0}, "mix": {"gain_db": -3.0}}
    text = page(changed(sheet, overrides=overrides, solo=True)).text
    for words in (
        "002 00:01.200 – 00:03.200 2.00 s", "solo to be rendered city -3 dB",
        "silent: another is solo",
        "dog 0.62", "similarity 0.400 off the picture by 42 ms speech 0.02 music 0.01",
        "music 0.31 rejected: music", "generation.guidance 4 instead of",
        "seed 1 -> 20", "dog bark × 2 CC0-1.0, barks", "3 scenes", "-23 LUFS, -1 dBTP",
    ):  # fmt: skip
        assert words in text, words
    assert "Changed, not rendered guidance" in text


def test_what_was_changed_since_the_render_is_told_apart(sheet: CueSheet):
    text = page(changed(sheet, seed=99, pick=3)).text
    assert "Changed, not rendered seed 20 → 99 pick none → 3" in text
    assert text.count("to be rendered") == 1


def test_defaults_of_the_whole_sheet_are_named_as_such(sheet: CueSheet):
    defaults = {"mix": {"low_pass": 8000.0}}
    assert sheet.path is not None
    text = page(cuesheet.save(replace(sheet, defaults=defaults), sheet.path)).text
    assert text.count("mix.low_pass 8000 instead of none all scenes") == 3


def test_a_sheet_that_was_only_spotted_says_what_to_do(tmp_path: Path, clip: Path):
    seen = page(made.spotted(tmp_path, clip))
    assert "Nothing has been rendered yet: run 'v2a-foley render'" in seen.text
    assert seen.text.count("Not rendered yet: run v2a-foley render clip.cues.toml") == 3
    assert not seen.all("audio")
    assert len(seen.all("video")) == 1


def test_a_sheet_of_an_older_version_has_its_stems(sheet: CueSheet):
    shutil.rmtree(sheet.artefacts / "takes")
    old = [
        {"scene": each.id, "seed": 7, "similarity": 0.5, "generation": {"seeded": 0.4},
         "sources": []} for each in sheet.scenes
    ]  # fmt: skip
    provenance.save(sheet.artefacts, old)
    seen = page(sheet)
    assert len(seen.all("audio")) == 3 + 1
    assert seen.text.count("similarity 0.500") == 3
    (sheet.artefacts / provenance.NAME).unlink()
    assert len(page(sheet).all("audio")) == 3 + 1


@pytest.mark.parametrize("text", ["[1, null]", "{}", '[{"scene": "002", "candidates": 3}]', "no"])
def test_damaged_provenance_is_no_obstacle(sheet: CueSheet, text: str):
    (sheet.artefacts / provenance.NAME).write_text(text)
    assert len(page(sheet).all("audio")) == 3 + 1


def test_what_is_missing_is_named(sheet: CueSheet):
    scene = sheet.scenes[1]
    take_path(sheet, scene, 1).unlink()
    take_path(sheet, scene, 3).write_bytes(b"no sound")
    stem_path(sheet, scene).unlink()
    (sheet.artefacts / "frames.safetensors").write_bytes(b"damaged")
    seen = page(sheet)
    assert len(seen.all("audio")) == 3 * 3 - 2
    assert "the stem of scene 002 is missing" in seen.text
    assert seen.text.count("Its sound is not here any more") == 2


def test_without_its_video_the_sheet_can_still_be_heard(sheet: CueSheet):
    sheet.video.unlink()
    seen = page(sheet)
    assert "There is no picture" in seen.text
    assert not seen.all("video")
    assert len(seen.all("audio")) == 3 * 3


def test_another_video_of_the_same_name_is_noticed(sheet: CueSheet):
    sheet.video.write_bytes(sheet.video.read_bytes() + b"\0" * 8)
    assert "clip.mp4 is not the video that was spotted" in page(sheet).text


def test_names_are_text_whatever_is_in_them(tmp_path: Path, clip: Path):
    video = clip.rename(tmp_path / made.HOSTILE)
    concept = "</script><img src=x onerror=alert(2)>{{ sheet }}"
    seen = page(made.rendered(made.spotted(tmp_path, video, concept=concept)))
    assert len(seen.all("script")) == 1
    assert made.HOSTILE in seen.text
    assert concept in seen.text


def test_a_page_is_only_written_over_when_asked(sheet: CueSheet, tmp_path: Path):
    assert sheet.path is not None
    output = tmp_path / "page.html"
    output.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write(sheet.path, output)
    with pytest.raises(InputError, match="is the input itself"):
        write(sheet.path, sheet.video, overwrite=True)
    sheet.path.write_text("version = 1\n[[scene]]\n")
    with pytest.raises(CueSheetError):
        write(sheet.path, output, overwrite=True)
    assert output.read_text() == "mine"


def test_a_sheet_makes_the_same_page_again(sheet: CueSheet):
    first, second = page(sheet), page(sheet)
    assert first.elements == second.elements


def test_a_minute_of_twenty_scenes_is_small(tmp_path: Path, clip: Path):
    """Per second of sound: 64 kbit/s a candidate, 96 for the mix, as text a third more."""
    output = tmp_path / "page.html"
    sheet = made.rendered(made.spotted(tmp_path, clip))
    assert sheet.path is not None
    write(sheet.path, output)
    html = output.read_text(encoding="utf-8")
    sizes = [len(data) for data in re.findall(r'<audio[^>]*src="data:[^"]*"', html)]
    assert sum(sizes) < 1.4 * sheet.duration * (3 * 8000 + 12000) + 10 * 4000
    assert len(html) - sum(sizes) < 500_000


def test_names_and_times():
    assert default_page(Path("a/clip.cues.toml")) == Path("a/clip.review.html")
    assert default_page(Path("sheet.toml")) == Path("sheet.review.html")
    assert (timecode(3.04), timecode(3723.4506)) == ("00:03.040", "1:02:03.451")
