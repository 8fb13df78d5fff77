from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.review.chromium import Browser, Tab
from v2a_foley import cuesheet
from v2a_foley.cuesheet import CueSheet, editing
from v2a_foley.review.server import Server
from v2a_foley.review.session import Session

Serve = Callable[[Path], Tab]


@pytest.fixture
def serve(browser: Browser, starter: Any) -> Iterator[Serve]:
    """Serves a sheet and opens its page."""
    running: list[tuple[Server, threading.Thread]] = []

    def start(path: Path) -> Tab:
        server = Server(Session(path, starter))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread))
        return browser.open(server.address)

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def said(tab: Tab, words: str) -> None:
    """Wait until the page says that something is done, and shows it."""
    tab.until(f"document.querySelector('#message').innerText === {words!r}")


def test_the_address_is_left_and_works(serve: Serve, sheet: CueSheet):
    assert sheet.path is not None
    tab = serve(sheet.path)
    assert tab.js("location.search") == ""
    assert tab.js("document.cookie") == ""
    tab.js("document.querySelector('#sound-002-1').preload = 'auto'")
    tab.until("document.querySelector('#sound-002-1').readyState === 4")
    tab.until("document.querySelector('#picture').readyState === 4")
    origin = tab.js("location.origin")
    assert tab.problems == []
    assert all(url.startswith(origin) for url in tab.requests)


def test_the_controls_change_the_file_and_the_page(serve: Serve, sheet: CueSheet):
    assert sheet.path is not None
    tab = serve(sheet.path)
    tab.click("#scene-002 [data-edit=mute]")
    said(tab, "Scene 002: muted")
    tab.until("document.querySelector('#scene-002').matches('.silent')")
    assert "mute = true" in sheet.path.read_text()
    assert tab.js("document.activeElement.dataset.edit") == "mute"
    tab.press("m")
    said(tab, "Scene 002: not muted")
    tab.until("!document.querySelector('#scene-002').matches('.silent')")
    assert not cuesheet.load(sheet.path).scenes[1].mute
    tab.press("s")
    said(tab, "Scene 002: solo")
    tab.press("+")  # 1 dB over what the preset has
    said(tab, "Scene 002: -2 dB")
    tab.until("document.querySelector('#scene-002 [data-edit=gain]').value === '-2'")
    tab.press("p")
    assert "Play a candidate first" in tab.js("document.querySelector('#message').innerText")
    tab.press("3")
    tab.press("p")
    said(tab, "Scene 002: candidate 3 is used")
    tab.until("document.querySelector('#scene-002 [data-take=\"3\"]').matches('.chosen')")
    tab.js("(e => { e.value = 'water'; e.dispatchEvent(new Event('change', {bubbles: true})); })"
           "(document.querySelector('#scene-002 [data-edit=preset]'))")  # fmt: skip
    said(tab, "Scene 002: preset water")
    tab.press("r")
    said(tab, "Scene 002: another seed")
    tab.until("document.querySelector('#scene-002 .about').innerText.includes('seed 20 →')")
    now = cuesheet.load(sheet.path).scenes[1]
    assert (now.solo, now.preset, now.pick) == (True, "water", None)
    assert now.overrides == {"mix": {"gain_db": -2.0}}
    assert tab.problems == []


def test_what_the_sheet_cannot_have_is_said(serve: Serve, sheet: CueSheet):
    assert sheet.path is not None
    tab = serve(sheet.path)
    before = sheet.path.read_bytes()
    tab.js("(e => { e.value = '99'; e.dispatchEvent(new Event('change', {bubbles: true})); })"
           "(document.querySelector('#scene-002 [data-edit=gain]'))")  # fmt: skip
    assert "from -60 to 24" in tab.js("document.querySelector('#message').innerText")
    tab.js("document.querySelector('#scene-002 [data-take=\"1\"] .use').dataset.value = '8'")
    tab.click("#scene-002 [data-take='1'] .use")
    tab.until("document.querySelector('#message').innerText.includes('has no candidate 8')")
    assert sheet.path.read_bytes() == before


def test_an_edit_by_hand_shows_on_the_page(serve: Serve, sheet: CueSheet):
    assert sheet.path is not None
    tab = serve(sheet.path)
    tab.until("document.querySelector('#work') && performance.getEntriesByType('resource')"
              ".some(each => each.name.endsWith('/state'))")  # fmt: skip
    editing.edit(sheet.path, lambda now: editing.mute(now, ["003"]))
    tab.until("document.querySelector('#scene-003').matches('.silent')")
    editing.edit(sheet.path, lambda now: editing.split(now, "002", 2.0))
    tab.until("document.querySelector('#scene-002b') !== null")


def test_render_makes_what_has_changed(
    serve: Serve, tmp_path: Path, clip: Path, starter: Any, browser: Browser
):
    """The whole way with real models: spot, open, render, re-roll, render again."""
    from v2a_foley.spotting import spot

    sheet = spot(clip, tmp_path / "clip.cues.toml", models=starter)
    assert sheet.path is not None
    fast = {"generation": {"steps": 2, "candidates": 2, "seeded": 0.0, "guard": []}}
    editing.edit(sheet.path, lambda now: editing.set_values(now, None, fast))
    tab = serve(sheet.path)
    assert "Not rendered yet" in tab.js("document.querySelector('#scene-001').innerText")
    count = len(sheet.scenes)
    tab.press("R")
    tab.until(f"document.querySelector('#work').innerText === 'Rendered {count} of {count} scenes"
              " anew'")  # fmt: skip
    tab.until("document.querySelector('#sound-001-2') !== null")
    tab.press("r")
    said(tab, "Scene 001: another seed")
    tab.until("document.querySelector('#scene-001 .states').innerText.includes('to be rendered')")
    tab.click("#render")
    tab.until(f"document.querySelector('#work').innerText === 'Rendered 1 of {count} scenes anew'")
    tab.until("!document.querySelector('#scene-001 .states').innerText.includes('to be rendered')")
    assert "seed " in tab.js("document.querySelector('#scene-001 .about').innerText")
    tab.press("1")
    tab.until("document.querySelector('#sound-001-1').currentTime > 0.1")
    assert tab.problems == []
