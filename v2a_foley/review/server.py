"""The server behind a page: this machine only, and only for whoever was given its address.

It listens on 127.0.0.1. A browser comes in with the address's token, which counts once, and gets
a cookie. Requests with another host or origin (a page elsewhere, or a name that was made to point
here), another path or method, or without the cookie are refused before anything is looked at.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from v2a_foley.errors import FoleyError, InputError
from v2a_foley.review.session import Session

HOST = "127.0.0.1"
MOST_BODY = 16_384  # bytes of a request
PATIENCE = 20  # seconds that a client may be silent
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Server(ThreadingHTTPServer):
    """Serves one session. ``address`` is what to open, once; port 0 is any free one.

    Raises:
        InputError: the port is not free, or may not be used.
    """

    daemon_threads = True

    def __init__(self, session: Session, port: int = 0) -> None:
        self.session = session
        self._token = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._entering = threading.Lock()
        try:
            super().__init__((HOST, port), Handler)
        except OSError as problem:
            reason = problem.strerror or problem
            raise InputError(f"port {port}: cannot be used ({reason}); choose another") from None
        self.hosts = tuple(f"{name}:{self.server_port}" for name in (HOST, "localhost"))
        self.address = f"http://{self.hosts[0]}/?token={self._token}"

    @property
    def cookie_name(self) -> str:
        """Cookies do not tell ports apart, so the name does."""
        return f"v2a-foley-{self.server_port}"

    def enter(self, token: str) -> str | None:
        """The cookie for the address's token; None for another one, or when it comes again."""
        with self._entering:
            fits = bool(self._token) and hmac.compare_digest(token.encode(), self._token.encode())
            if not fits:
                return None
            self._token = ""
            return self._cookie

    def knows(self, cookie: str) -> bool:
        """Whether a cookie is the one that was given."""
        return hmac.compare_digest(cookie.encode(), self._cookie.encode())


class _Refusal(Exception):
    """An answer that ends a request."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    server: Server
    server_version, sys_version = "v2a-foley", ""
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Answer with the page, its media or its state."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Change the sheet, or render it."""
        self._answer(self._post)

    def _refuse_method(self) -> None:
        self._answer(self._no_method)

    do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse_method

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to the messages of the program."""

    def _answer(self, act: Callable[[], None]) -> None:
        try:
            self._check_source()
            act()
        except _Refusal as refusal:
            self.close_connection = True  # a body may be left unread
            self._json({"error": str(refusal)}, refusal.status)
        except FoleyError as problem:
            self._json({"error": str(problem)}, HTTPStatus.CONFLICT)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _check_source(self) -> None:
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            raise _Refusal(HTTPStatus.MISDIRECTED_REQUEST, "this is not the address of the page")
        if not re.match(
            "/(?!/)", self.path
        ):  # an address of another place, which a proxy would get
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
        if origins and origins != [f"http://{hosts[0]}"]:
            raise _Refusal(HTTPStatus.FORBIDDEN, "another page may not ask here")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise _Refusal(HTTPStatus.FORBIDDEN, "another page may not ask here")

    def _no_method(self) -> None:
        raise _Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and POST are known here")

    # Reading -------------------------------------------------------------------------------------

    def _get(self) -> None:
        url = urlsplit(self.path)
        token = parse_qs(url.query).get("token")
        if url.path == "/" and token and not self._is_known():
            self._enter(token[0])
            return
        self._check_cookie()
        if url.path == "/":
            self._page()
        elif url.path == "/state":
            self._json(self.server.session.state())
        elif url.path.startswith("/media/"):
            self._media(url.path.removeprefix("/media/"))
        else:
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _enter(self, token: str) -> None:
        cookie = self.server.enter(token)
        if cookie is None:
            raise _Refusal(HTTPStatus.FORBIDDEN, "this address was used before: start it again")
        self.send_response(HTTPStatus.SEE_OTHER)
        name = self.server.cookie_name
        self.send_header("Set-Cookie", f"{name}={cookie}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Location", "/")
        self._end(b"", "text/plain")

    def _is_known(self) -> bool:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie_name)
        except CookieError:
            return False
        return found is not None and self.server.knows(found.value)

    def _check_cookie(self) -> None:
        if not self._is_known():
            words = "open the address that the terminal shows; it is good once"
            raise _Refusal(HTTPStatus.FORBIDDEN, words)

    def _page(self) -> None:
        if "token" in urlsplit(self.path).query:  # opened again where it is known already
            self.send_response(HTTPStatus.SEE_OTHER)
            self.send_header("Location", "/")
            self._end(b"", "text/plain")
            return
        page = self.server.session.page()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Security-Policy", f"{page.policy}; frame-ancestors 'none'")
        self._end(page.html.encode(), "text/html; charset=utf-8")

    def _media(self, name: str) -> None:
        found = self.server.session.media(name)
        if found is None:
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
        data, kind = found
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked is None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Accept-Ranges", "bytes")
            self._end(data, kind)
            return
        first = int(asked[1])
        last = min(int(asked[2] or len(data) - 1), len(data) - 1)
        if first > last:
            raise _Refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "it is not that long")
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self._end(data[first : last + 1], kind)

    # Writing -------------------------------------------------------------------------------------

    def _post(self) -> None:
        self._check_cookie()
        if "Origin" not in self.headers:
            raise _Refusal(HTTPStatus.FORBIDDEN, "only the page may ask for changes")
        request = self._body()
        if self.path == "/edit":
            self._json(self.server.session.edit(request))
        elif self.path == "/render":
            self._json(self.server.session.render())
        else:
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "how long the request is must be stated")
        if len(length) > 9 or int(length) > MOST_BODY:
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
        if self.headers.get_content_type() != "application/json":
            raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "requests are JSON")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise _Refusal(HTTPStatus.BAD_REQUEST, "the request cannot be read")
        return body

    def _json(self, value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self._end(json.dumps(value).encode(), "application/json")

    def _end(self, data: bytes, kind: str) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
