from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.review import made
from tests.review.chromium import Browser, Tab
from v2a_foley.cuesheet import CueSheet
from v2a_foley.review.page import write

AUDIBLE = (
    "[...document.querySelectorAll('audio')].filter(each => !each.paused).map(each => each.id)"
)
# Elements with text of their own whose contrast is under WCAG's 4.5 (3 for large text).
FAINT = """
(() => {
  const rgb = text => { const c = new OffscreenCanvas(1, 1).getContext('2d'); c.fillStyle = text;
    c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92
    : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; }
    return rgb('Canvas'); };
  const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll('body *')].filter(e => own(e) && e.checkVisibility()
    && !e.closest('svg, script, style, .hidden') && !e.disabled).map(e => {
      const style = getComputedStyle(e), [a, b] = [light(rgb(style.color)), light(behind(e))];
      const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      return [e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 30), ratio,
        parseFloat(style.fontSize) >= 24 ? 3 : 4.5];
    }).filter(([, ratio, least]) => ratio < least);
})()
"""
NAMELESS = """
[...document.querySelectorAll('button, a, input, select, video, meter, dialog, article, img')]
  .filter(e => !e.closest('[aria-hidden=true]')).filter(e => !(e.computedName || e.innerText
    || e.getAttribute('aria-label') || e.alt || e.labels?.length
    || document.getElementById(e.getAttribute('aria-labelledby'))?.innerText)).map(e => e.outerHTML)
"""


def opened(browser: Browser, sheet: CueSheet, **view: Any) -> Tab:
    assert sheet.path is not None
    output = sheet.path.with_name("page.html")
    write(sheet.path, output, overwrite=True)
    return browser.open(output.as_uri(), **view)


def current(tab: Tab) -> str:
    return str(tab.js("document.querySelector('[aria-current=true]').dataset.scene"))


def test_keys_go_through_scenes_and_play(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    assert current(tab) == "001"
    for key, scene in (("j", "002"), ("j", "003"), ("j", "003"), ("k", "002")):
        tab.press(key)
        assert current(tab) == scene
        assert tab.js("document.activeElement.id") == f"scene-{scene}"
    tab.press("2")
    tab.until("document.querySelector('#sound-002-2').currentTime > 0.3")
    assert tab.js(AUDIBLE) == ["sound-002-2"]
    assert tab.js("document.querySelector('#playing').innerText") == "Candidate 2 of scene 002"
    tab.until("Math.abs(document.querySelector('#picture').currentTime - 1.2"
              " - document.querySelector('#sound-002-2').currentTime) < 0.1")  # fmt: skip
    tab.press("3")
    assert tab.js(AUDIBLE) == ["sound-002-3"]
    tab.press("Escape")
    assert tab.js(AUDIBLE) == []
    assert tab.problems == []


def test_a_scene_is_heard_in_the_mix_with_a_second_around_it(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    tab.press("j")
    tab.press("j")
    tab.press(" ")
    tab.until("document.querySelector('#programme').currentTime > 2.3")
    assert tab.js(AUDIBLE) == ["programme"]
    tab.press("ArrowRight")
    assert tab.js("document.querySelector('#programme').currentTime") > 2.8
    tab.until(f"{AUDIBLE}.length === 0")  # the end of the programme ends it
    assert tab.js("document.querySelector('#clock').innerText") >= "00:03.9"
    tab.press("k")
    tab.press(" ")
    tab.until("document.querySelector('#programme').currentTime > 0.4")
    tab.press(" ")
    assert tab.js(AUDIBLE) == []


def test_the_mix_goes_on_through_the_scenes(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    tab.press("j")
    tab.press("a")
    tab.until("document.querySelector('#programme').currentTime > 1.3")
    assert current(tab) == "002"
    tab.until("document.querySelector('#programme').currentTime > 3.3")
    assert current(tab) == "003"
    tab.press("a")
    assert tab.js(AUDIBLE) == []
    assert tab.problems == []


def test_looping_begins_again(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    tab.click("#scene-003")
    tab.press("l")
    tab.press("1")
    tab.until("document.querySelector('#sound-003-1').currentTime > 0.6")
    tab.until("document.querySelector('#sound-003-1').currentTime < 0.3")
    assert tab.js(AUDIBLE) == ["sound-003-1"]


def test_every_sound_and_picture_loads(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    tab.js("document.querySelectorAll('audio').forEach(each => { each.preload = 'auto'; })")
    lengths = tab.until(
        "(all => all.every(each => each.readyState === 4) && all.map(each => each.duration))"
        "([...document.querySelectorAll('audio')])"
    )
    assert lengths == pytest.approx([4.0, *(1.2,) * 3, *(2.0,) * 3, *(0.8,) * 3], abs=0.06)
    assert tab.js("[...document.images].every(each => each.complete && each.naturalWidth)")
    assert tab.until("document.querySelector('#picture').readyState === 4")
    assert tab.problems == []
    assert [url for url in tab.requests if not url.startswith("file:")] == []
    assert len(tab.requests) == 1


def test_a_lane_is_played_from_where_it_is_clicked(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    tab.click("#scene-002 [data-take='1'] .lane")
    tab.until("document.querySelector('#sound-002-1').currentTime >= 1")
    assert tab.js(AUDIBLE) == ["sound-002-1"]
    assert current(tab) == "002"


def close_help(tab: Tab) -> None:
    tab.press("Escape")
    tab.until("!document.querySelector('#help').open")
    tab.until("!document.querySelector('#help').contains(document.activeElement)")


def test_help_and_single_keys_off(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    tab.press("?")
    tab.until("document.querySelector('#help').open")
    tab.press("j")
    assert current(tab) == "001"
    tab.click("#use-keys")
    close_help(tab)
    tab.press("j")
    assert current(tab) == "001"
    tab.press("?")
    tab.until("document.querySelector('#help').open")
    tab.click("#use-keys")
    tab.until("document.querySelector('#use-keys').checked")
    close_help(tab)
    tab.press("j")
    assert current(tab) == "002"


def test_a_copy_says_that_it_cannot_change_the_sheet(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    for key in "msrp+R":
        tab.js("document.querySelector('#message').hidden = true")
        tab.press(key)
        assert not tab.js("document.querySelector('#message').hidden"), key
    assert "review --serve" in tab.js("document.querySelector('#message').innerText")
    assert tab.js("document.querySelectorAll('[data-edit]').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_both_schemes_can_be_read_at_any_width(
    browser: Browser, sheet: CueSheet, tmp_path: Path, scheme: str, width: int
):
    tab = opened(browser, sheet, scheme=scheme, width=width)
    tab.screenshot(tmp_path / "page.png")
    picture = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    ground = picture[-200:, :6].mean()
    assert ground > 200 if scheme == "light" else ground < 60
    assert tab.js(FAINT) == []
    assert tab.js("document.documentElement.scrollWidth") == width
    ends = "[...document.querySelectorAll('button')].map(e => e.getBoundingClientRect().right)"
    assert max(tab.js(ends)) <= width
    tab.press("?")
    assert tab.js(FAINT) == []
    tab.js("document.querySelector('#help p').style.color = 'color-mix(in srgb, gray, Canvas)'")
    assert tab.js(FAINT) != []
    assert tab.problems == []


def test_the_theme_can_be_chosen(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet, scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.js(ground)
    tab.press("t")
    assert tab.js(ground) == light
    tab.click("#theme")
    assert tab.js(ground) != light
    assert tab.js("document.querySelector('#theme').innerText") == "Theme: dark"
    tab.ask("Page.reload")
    tab.until("document.documentElement.dataset.theme === 'dark'")


def test_everything_has_a_name_and_a_place(browser: Browser, sheet: CueSheet):
    tab = opened(browser, sheet)
    assert tab.js(NAMELESS) == []
    tree = tab.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {each["role"]["value"] for each in tree if not each["ignored"]}
    assert {"banner", "main", "navigation", "complementary", "contentinfo", "article"} <= roles
    nameless = [
        each["role"]["value"]
        for each in tree
        if not each["ignored"]
        and each["role"]["value"] in ("button", "link", "image", "meter", "article", "navigation")
        and not each.get("name", {}).get("value")
    ]
    assert nameless == []
    ids = tab.js("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(ids) == len(set(ids))
    tab.press("Tab")
    assert tab.js("document.activeElement.className") == "skip"
    tab.press("Tab")
    assert tab.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_hostile_names_do_not_run(browser: Browser, tmp_path: Path, clip: Path):
    video = clip.rename(tmp_path / made.HOSTILE)
    concept = "</script><img src=x onerror=window.bad=1>'\"><svg onload=window.bad=1>"
    tab = opened(browser, made.rendered(made.spotted(tmp_path, video, concept=concept)))
    assert tab.js("document.querySelector('h1').innerText") == made.HOSTILE
    assert tab.js("document.querySelector('.tags span').innerText") == concept
    assert tab.js("window.bad") is None
    tab.js("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.bad=1>')")
    tab.js("new Promise(done => setTimeout(done, 200))")
    assert tab.js("window.bad") is None  # nor would it if something slipped through
    assert any("Content Security Policy" in each for each in tab.problems)


def test_a_sheet_without_sounds_is_a_page_too(browser: Browser, tmp_path: Path, clip: Path):
    tab = opened(browser, made.spotted(tmp_path, clip))
    for key in ("j", " ", "1", "p", "ArrowLeft", "l", "k"):
        tab.press(key)
    assert "v2a-foley render" in tab.js("document.querySelector('#advice').innerText")
    assert tab.problems == []
