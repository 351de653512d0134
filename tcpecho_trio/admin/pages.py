"""The live page's files: read once, served from memory.

So a request never names a file, and never waits for a disk.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable

from tcpecho_trio.admin.http import Request, Response

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
"""Media types by the end of a file's name; what is not here is not served."""


class Pages:
    """The files of the folder ``page``, by the paths at which browsers find them."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        folder = resources.files("tcpecho_trio.admin").joinpath("page")
        if folder.is_dir():
            self._read(folder, "/")

    def _read(self, folder: Traversable, path: str) -> None:
        for entry in folder.iterdir():
            media = TYPES.get(entry.name.rpartition(".")[2])
            if entry.is_dir():
                self._read(entry, f"{path}{entry.name}/")
            elif media is not None:
                body = entry.read_bytes()
                tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
                self._files[f"{path}{entry.name}"] = body, media, tag
                if entry.name == "index.html":
                    self._files[path] = self._files[f"{path}{entry.name}"]

    def __contains__(self, path: object) -> bool:
        return path in self._files

    def get(self, request: Request) -> Response:
        """A file, unless the browser has it already."""
        body, media, tag = self._files[request.path]
        headers = [("ETag", tag), ("Cache-Control", "no-cache")]
        if request.headers.get("if-none-match") == tag:
            return Response(304, b"", media, headers)
        return Response(200, body, media, headers)
