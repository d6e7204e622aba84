"""Live: the page of a run for browsers, made anew when the run has more to tell; nothing can be written through it.

Waitress serves it: pure Python, without dependencies, and kept by the Pylons project; a page and a line of state are
all there is to serve, so no framework is needed.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoloss.audit import document as audit
from autoloss.report import follow
from autoloss.report.detections.document import FOLDER
from autoloss.report.page.page import page
from autoloss.report.page.told import Told
from autoloss.store.run import Run
from primitives.errors import InputError
from primitives.text.printable import printable

_REST = 3.0
"""A page is made anew after so many times what making it took, so that a search beside it is not slowed down."""
_EVERYWHERE = ("0.0.0.0", "::")
_HERE = {"localhost", "127.0.0.1", "[::1]"}
_HEADERS = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]


class LivePage:
    """A WSGI application of two addresses: `/`, the page, and `/state`, whether there is a newer one.

    Args:
        directory: of the run.
        host: that it listens at. Requests to other names are refused, or a page of elsewhere could read this one by a
            name that it lets point here.
    """

    def __init__(self, directory: Path, host: str = "127.0.0.1") -> None:
        self._directory, self._lock = directory, threading.Lock()
        self._hosts = None if host in _EVERYWHERE else {*_HERE, host, f"[{host}]"}
        self._page, self._version = "", ""
        self._next = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """See PEP 3333."""
        status, kind, text = self._answer(environ)
        content = text.encode("utf-8", "replace")
        headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(content))), *_HEADERS]
        start_response(status, [*headers, *([("Allow", "GET, HEAD")] if status.startswith("405") else [])])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, str, str]:
        name = str(environ.get("HTTP_HOST", ""))
        if self._hosts is not None and (name.rpartition(":")[0] if _has_port(name) else name) not in self._hosts:
            return "403 Forbidden", "text/plain", "this server answers to its own name only\n"
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return "405 Method Not Allowed", "text/plain", "this server only reads\n"
        try:
            if environ.get("PATH_INFO", "/") == "/":
                return "200 OK", "text/html", self.html()
            if environ["PATH_INFO"] == "/state":
                return "200 OK", "application/json", json.dumps(self.state())
        except InputError as error:
            return "503 Service Unavailable", "text/plain", f"{printable(error, 2000)}\n"
        return "404 Not Found", "text/plain", "there are / and /state\n"

    def state(self) -> dict[str, str]:
        """What the run does, and a digest that changes when the page would.

        Raises:
            InputError: the run cannot be read.
        """
        with Run.open(self._directory) as run:
            found, who = follow.state(run), run.worked_on
        facts = {key: value for key, value in found.items() if key != "workers"}
        doing = f"searched by {printable(who)}" if who else "not searched now"
        files = [self._directory / audit.FOLDER / audit.FILE, *sorted((self._directory / FOLDER).glob("*.json"))]
        beside = [file.stat().st_mtime_ns for file in files if file.is_file()]
        digest = hashlib.sha256(json.dumps([facts, who, beside], sort_keys=True).encode()).hexdigest()[:16]
        return {"digest": digest, "says": f"{doing}; {follow.summary_line(found)}"}

    def html(self) -> str:
        """The page as the run stands, or stood a few seconds ago.

        Raises:
            InputError: the run cannot be read.
        """
        with self._lock:  # browsers that come at the same time get the same page, made once
            version = self.state()["digest"]
            if not self._page or (version != self._version and time.monotonic() >= self._next):
                begin = time.monotonic()
                with Run.open(self._directory) as run:
                    self._page, self._version = page(Told.of(run), live=version), version
                self._next = time.monotonic() + _REST * (time.monotonic() - begin)
            return self._page


def _has_port(name: str) -> bool:
    return name.rpartition(":")[2].isdigit() and not name.endswith("]")


@contextmanager
def listening(page: LivePage, host: str, port: int) -> Iterator[tuple[Any, str]]:
    """A server of a page, which runs by its `run`, and its address.

    Args:
        page: to serve.
        host: address to listen at.
        port: 0 for one that is free.

    Raises:
        InputError: it cannot listen there.
    """
    import waitress
    from waitress import wasyncore

    opened: dict[int, Any] = {}
    try:
        server = waitress.create_server(
            page, map=opened, host=host, port=port, threads=4, ident=None, clear_untrusted_proxy_headers=True
        )
    except (OSError, ValueError) as error:
        wasyncore.close_all(opened)  # what was opened before it failed
        said = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen at {printable(host, 80)}, port {port}: {said}; another: --port 0") from None
    shown = f"[{host}]" if ":" in host else host
    try:
        yield server, f"http://{shown}:{getattr(server, 'effective_port', port)}/"
    finally:
        server.close()
