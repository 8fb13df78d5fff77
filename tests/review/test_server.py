from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.review import made
from v2a_foley import cuesheet, presets
from v2a_foley.cuesheet import CueSheet
from v2a_foley.errors import InputError
from v2a_foley.review.server import MOST_BODY, Server
from v2a_foley.review.session import Session


class Client:
    """Speaks to a server as a browser does, or as one that means harm."""

    def __init__(self, server: Server) -> None:
        self.server, self.port = server, server.server_port
        self.origin = f"http://127.0.0.1:{self.port}"
        self.cookie = ""

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, bytes]:
        """Status, headers and body; ``Host="..."`` and others go before what is usual."""
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        usual = {"Host": f"127.0.0.1:{self.port}"} | (
            {"Cookie": self.cookie} if self.cookie else {}
        )
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for key, value in (usual | given).items():
            if value:
                link.putheader(key, value)
        if body is not None and "Content-Length" not in given:
            link.putheader("Content-Length", str(len(body)))
        link.endheaders(body)
        answer = link.getresponse()
        told = answer.status, answer.headers, answer.read()
        link.close()
        return told

    def enter(self) -> None:
        """Open the address as it was shown."""
        path = self.server.address.removeprefix(self.origin)
        status, headers, _ = self.ask("GET", path)
        assert (status, headers["Location"]) == (303, "/")
        self.cookie = headers["Set-Cookie"].split(";")[0]

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """What the page sends."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Origin": self.origin, "Content_Type": "application/json"} | headers
        status, _, text = self.ask("POST", path, data, **sent)
        return status, json.loads(text)

    def edit(self, action: Any, value: Any, scene: Any = "002") -> tuple[int, Any]:
        """A control of the page."""
        return self.post("/edit", {"action": action, "scene": scene, "value": value})


@pytest.fixture
def client(sheet: CueSheet, starter: Any) -> Iterator[Client]:
    """A client of a server that runs; it has not come in yet."""
    assert sheet.path is not None
    with Server(Session(sheet.path, starter)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Client(server)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def inside(client: Client) -> Client:
    """A client that came in with the address."""
    client.enter()
    return client


def scene(sheet: CueSheet) -> cuesheet.Scene:
    assert sheet.path is not None
    return cuesheet.load(sheet.path).scenes[1]


def test_only_this_machine_can_reach_it(client: Client):
    assert client.server.server_address[0] == "127.0.0.1"
    with pytest.raises(InputError, match="choose another"):
        Server(client.server.session, client.port)


def test_nothing_is_told_without_the_address(client: Client):
    for path in ("/", "/state", "/media/x", "/?token=", "/?token=wrong", "/?token=%C3%A9"):
        status, headers, body = client.ask("GET", path)
        assert (status, b"clip" in body, headers["Set-Cookie"]) == (403, False, None), path
    assert client.post("/edit", {})[0] == client.post("/render", {})[0] == 403


def test_the_address_counts_once(client: Client):
    client.enter()
    first, client.cookie = client.cookie, ""
    with pytest.raises(AssertionError):
        client.enter()
    for cookie in ("", first[:-1] + "x", first.replace("v2a", "w2a"), "\x7f;=\xff", first + "é"):
        client.cookie = cookie
        assert client.ask("GET", "/")[0] == 403
    client.cookie = f"a=b; {first}"
    assert client.ask("GET", "/")[0] == 200
    path = client.server.address.removeprefix(client.origin)
    status, headers, _ = client.ask("GET", path)  # the token leaves the address bar
    assert (status, headers["Location"], headers["Set-Cookie"]) == (303, "/", None)


def test_the_cookie_is_of_no_use_elsewhere(client: Client):
    path = client.server.address.removeprefix(client.origin)
    _, headers, _ = client.ask("GET", path)
    words = headers["Set-Cookie"].split("; ")
    assert words[0].startswith(f"v2a-foley-{client.port}=")
    assert set(words[1:]) == {"HttpOnly", "SameSite=Strict", "Path=/"}


def test_the_page_and_its_media_are_served(inside: Client):
    status, headers, body = inside.ask("GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    names = {part.split(b'"')[0].decode() for part in body.split(b'src="')[1:]}
    media = {name for name in names if name.startswith("/media/")}
    assert len(media) == len(names) > 10
    kinds = {inside.ask("GET", name)[1]["Content-Type"] for name in media}
    assert kinds == {"audio/mpeg", "video/mp4", "image/jpeg", "image/png"}


def test_parts_of_media_are_served(inside: Client):
    body = inside.ask("GET", "/")[2].decode()
    name = body.split('id="programme"')[1].split('src="')[1].split('"')[0]
    whole = inside.ask("GET", name)[2]
    size = len(whole)
    for asked, first, last in (
        ("bytes=0-9", 0, 9), ("bytes=100-", 100, size - 1), (f"bytes=9-{size + 5}", 9, size - 1),
    ):  # fmt: skip
        status, headers, part = inside.ask("GET", name, Range=asked)
        assert (status, part) == (206, whole[first : last + 1])
        assert headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert inside.ask("GET", name, Range=f"bytes={size}-")[0] == 416
    assert inside.ask("GET", name, Range="bytes=5-2")[0] == 416
    assert inside.ask("GET", name, Range="lines=1-2")[2] == whole


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1", "127.0.0.1:1", "[::1]:{}"])
def test_other_hosts_are_refused(inside: Client, host: str):
    status, _, body = inside.ask("GET", "/", Host=host.format(inside.port))
    assert (status, b"clip" in body) == (421, False)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1"},
        {"Origin": "https://127.0.0.1:{}"}, {"Origin": "http://localhost:{}"},
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
    ],
)  # fmt: skip
def test_other_pages_are_refused(
    inside: Client, sheet: CueSheet, method: str, headers: dict[str, str]
):
    filled = {key: value.format(inside.port) for key, value in headers.items()}
    if method == "GET":
        assert inside.ask("GET", "/", **filled)[0] == 403
    else:
        body = {"action": "mute", "scene": "002", "value": True}
        assert inside.post("/edit", body, **filled)[0] == 403
        assert not scene(sheet).mute


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(inside: Client, method: str):
    assert inside.ask(method, "/")[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/clip.cues.toml", "/../clip.cues.toml", "/media/", "/media/../../../etc/passwd",
        "/media/%2e%2e%2fclip.mp4", "//etc/passwd", "/etc/passwd", "/page.py", "/state/", "/edit",
        "http://evil.example/", "/favicon.ico",
    ],
)  # fmt: skip
def test_other_paths_are_refused(inside: Client, path: str):
    assert inside.ask("GET", path)[0] in (403, 404)
    assert inside.post(path if path != "/edit" else "/edit/", {})[0] == 404


def test_requests_are_small_json_of_a_stated_length(inside: Client, sheet: CueSheet):
    good = {"action": "mute", "scene": "002", "value": True}
    assert inside.post("/edit", b"[" * MOST_BODY)[0] == 400
    assert inside.post("/edit", b" " * (MOST_BODY + 1))[0] == 413
    assert inside.post("/edit", b"{}", Content_Length="9" * 30)[0] == 413
    assert inside.post("/edit", b"", Content_Length="-1")[0] == 411
    assert inside.post("/edit", b"{}", Transfer_Encoding="chunked")[0] == 411
    for wrong in (b"", b"no", b"\xff\xfe", b"[1]", b"null"):
        assert inside.post("/edit", wrong)[0] == 400
    assert inside.post("/edit", good, Content_Type="text/plain")[0] == 415
    assert inside.post("/edit", good, Origin="")[0] == 403
    assert not scene(sheet).mute


def test_a_client_that_is_silent_or_babbles_harms_nobody(inside: Client):
    with socket.create_connection(("127.0.0.1", inside.port)) as silent:
        silent.sendall(b"GET / HTTP/1.1\r\n")
        with socket.create_connection(("127.0.0.1", inside.port)) as babbling:
            babbling.sendall(b"\x00\xff" * 100 + b"\r\n\r\n")
            assert b"400" in babbling.recv(4096)
        assert inside.ask("GET", "/state")[0] == 200


def test_the_controls_write_to_the_sheet(inside: Client, sheet: CueSheet):
    assert sheet.path is not None
    sheet.path.write_text("# mine\n" + sheet.path.read_text())
    for action, value, words in (
        ("mute", True, "Scene 002: muted"), ("solo", True, "Scene 002: solo"),
        ("gain", -4.5, "Scene 002: -4.5 dB"), ("preset", "water", "Scene 002: preset water"),
        ("pick", 3, "Scene 002: candidate 3 is used"),
    ):  # fmt: skip
        status, told = inside.edit(action, value)
        assert (status, told["done"]) == (200, words)
    now = scene(sheet)
    assert (now.mute, now.solo, now.preset, now.pick) == (True, True, "water", 3)
    assert now.overrides == {"mix": {"gain_db": -4.5}}
    assert inside.edit("pick", None)[0] == inside.edit("reroll", None)[0] == 200
    assert scene(sheet).pick is None
    assert scene(sheet).seed != 20
    assert sheet.path.read_text().startswith("# mine\n")


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("mute", 1), ("mute", "true"), ("solo", None), ("gain", "-3"), ("gain", True),
        ("gain", 99), ("gain", float("nan")), ("gain", [1]), ("pick", 9), ("pick", "1"),
        ("pick", True), ("pick", 1.5), ("preset", "nope"), ("preset", "/etc/passwd.toml"),
        ("preset", "../mine.toml"), ("preset", ["city"]), ("delete", None), (["mute"], True),
        ({}, None), ("__class__", None), ("edit", None),
    ],
)  # fmt: skip
def test_what_no_control_would_send_is_refused(
    inside: Client, sheet: CueSheet, action: Any, value: Any
):
    assert sheet.path is not None
    (sheet.path.parent / "mine.toml").write_text('description = ""\n')
    before = sheet.path.read_bytes()
    status, told = inside.edit(action, value)
    assert (status, bool(told["error"])) == (409, True)
    assert sheet.path.read_bytes() == before


@pytest.mark.parametrize("name", ["009", "", None, 2, ["002"], "../002", "x" * 1000])
def test_scenes_that_are_not_there_are_refused(inside: Client, name: Any):
    assert inside.edit("mute", True, scene=name)[0] == 409


def test_a_preset_of_ones_own_can_be_chosen(inside: Client, sheet: CueSheet):
    path = presets.create("mine", presets.find("city"))
    try:
        assert b"<option>mine</option>" in inside.ask("GET", "/")[2]
        assert inside.edit("preset", "mine")[0] == 200
        assert scene(sheet).preset == "mine"
    finally:
        path.unlink()


def test_a_sheet_that_was_broken_by_hand_is_told_and_mended(inside: Client, sheet: CueSheet):
    assert sheet.path is not None
    good = sheet.path.read_text()
    media = inside.ask("GET", "/")[2].decode().split('src="')[1].split('"')[0]
    version = json.loads(inside.ask("GET", "/state")[2])["version"]
    sheet.path.write_text(good.replace("start = 1.2", "start = 1.1"))
    status, _, body = inside.ask("GET", "/")
    assert (status, "scenes must not overlap" in json.loads(body)["error"]) == (409, True)
    assert inside.edit("mute", True)[0] == inside.post("/render", {})[0] == 409
    assert json.loads(inside.ask("GET", "/state")[2])["version"] != version
    for _ in range(3):
        assert inside.ask("GET", "/")[0] == 409
    assert inside.ask("GET", media)[0] == 200  # of the page that is still open
    sheet.path.write_text(good)
    assert inside.ask("GET", "/")[0] == 200


def test_a_render_that_cannot_be_is_told(inside: Client):
    assert inside.post("/render", {}) == (200, {"done": "Rendering"})
    while (state := json.loads(inside.ask("GET", "/state")[2]))["busy"]:
        pass
    assert state["failed"]
    assert state["text"].startswith("Not rendered: ")
    assert "was spotted with the CLIP 'tiny'" in state["text"]


def test_one_render_runs_at_a_time(inside: Client):
    with inside.server.session._rendering:
        assert inside.post("/render", {})[0] == 409
        assert json.loads(inside.ask("GET", "/state")[2])["busy"]


def test_hostile_names_are_escaped_here_too(tmp_path: Any, clip: Any, starter: Any):
    video = clip.rename(tmp_path / made.HOSTILE)
    sheet = made.spotted(tmp_path, video, concept='"><script>')
    assert sheet.path is not None
    html = Session(sheet.path, starter).page().html
    assert html.count("<script") == 1
