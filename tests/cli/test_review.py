from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.review import made


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    made.rendered(made.spotted(folder, made.video(folder / "clip.mp4")))
    return folder


@pytest.fixture
def rendered(cli: Cli, made_once: Path) -> Path:
    """A cue sheet with all that render makes, where the command line runs."""
    shutil.copytree(made_once, Path.cwd(), dirs_exist_ok=True)
    return Path("clip.cues.toml")


def test_a_page_is_written_beside_the_sheet(cli: Cli, rendered: Path):
    result = cli("review", rendered)
    assert (result.exit_code, result.stdout) == (0, "clip.review.html\n")
    html = Path("clip.review.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    size = len(html.encode()) / 1e6
    assert result.stderr.endswith(f"3 scenes, {size:.1f} MB\n")
    assert not list(Path().glob(".*part*"))


def test_an_existing_file_is_kept_unless_asked(cli: Cli, rendered: Path):
    page = Path("page.html")
    page.write_text("mine")
    result = cli("review", rendered, "-o", page)
    assert (result.exit_code, result.stdout, page.read_text()) == (2, "", "mine")
    assert "exists already" in result.stderr
    assert cli("review", rendered, "-o", page, "--overwrite", "-q").exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope.toml"], "nope.toml"),
        (["clip.mp4"], "clip.mp4"),
        (["clip.cues.toml", "-o", "clip.cues.toml", "--overwrite"], "is the input itself"),
        (["clip.cues.toml", "-o", "clip.mp4/page.html"], "is not a folder"),
        (["clip.cues.toml", "--serve", "-o", "x.html"], "choose one"),
        (["clip.cues.toml", "--serve", "--models", "nope"], "nope"),
        (["nope.toml", "--serve"], "nope.toml"),
    ],
)
def test_bad_input_is_2_and_leaves_nothing(
    cli: Cli, rendered: Path, arguments: list[str], words: str
):
    before = sorted(path.name for path in Path().iterdir())
    result = cli("review", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == before


@pytest.fixture
def server(rendered: Path) -> Iterator[subprocess.Popen[str]]:
    """The program itself, serving."""
    command = [sys.executable, "-m", "v2a_foley", "review", "--serve", str(rendered)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_a_page_is_served_until_it_is_interrupted(server: subprocess.Popen[str], cli: Cli):
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    cookies = urllib.request.HTTPCookieProcessor(CookieJar())
    proxies = urllib.request.ProxyHandler({})
    with urllib.request.build_opener(cookies, proxies).open(address, timeout=30) as answer:
        assert b"<title>clip.mp4" in answer.read()
    port = address.split(":")[2].split("/")[0]
    taken = cli("review", "clip.cues.toml", "--serve", "--port", port)
    assert (taken.exit_code, taken.stdout) == (2, "")
    assert f"port {port}: cannot be used" in taken.stderr
    server.send_signal(signal.SIGINT)
    _, said = server.communicate(timeout=30)
    assert server.returncode == 0
    assert said.endswith("ended\n")
    assert not Path("clip.review.html").exists()
