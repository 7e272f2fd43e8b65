"""The file storage: signed URLs that expire, and the folder of uploads."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from airflow_provider_magichour.sandbox.answers import StoreRefused
from airflow_provider_magichour.sandbox.recording import KEPT


class Signer:
    """Signs paths of one sandbox, with a secret of its own: URLs of another one are refused.

    ``issued`` has the last 50,000 signatures that were handed out, used or not.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self.issued: deque[str] = deque(maxlen=KEPT)

    def query(self, method: str, path: str, expires: float) -> str:
        """Return the query string that makes a path usable.

        :param method: ``PUT`` or ``GET``.
        :param expires: Unix time in seconds at which it expires.
        """
        until = math.ceil(expires * 1000)
        signature = self._signature(method, path, str(until))
        self.issued.append(signature)
        return f"Expires={until}&Signature={signature}"

    def check(self, method: str, path: str, query: Mapping[str, str], expired: StoreRefused) -> None:
        """Refuse a path that is not signed for this method, or has expired.

        :param expired: raised for a valid signature that has expired.
        """
        until = query.get("Expires", "")
        signature = self._signature(method, path, until)
        if not hmac.compare_digest(signature, query.get("Signature", "").encode("ascii", "replace").decode()):
            raise StoreRefused(403, "SignatureDoesNotMatch", "The request signature does not match.")
        if time.time() * 1000 >= int(until):
            raise expired

    def _signature(self, method: str, path: str, until: str) -> str:
        message = f"{method}\n{path}\n{until}".encode("utf-8", "replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


class Uploads:
    """What was uploaded, one file per path handed out.

    :param folder: of the files; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handed_out: dict[str, Path] = {}

    def hand_out(self, kind: str, extension: str) -> str:
        """Return a new path like the API's, such as ``api-assets/<id>/image.png``."""
        name = secrets.token_hex(12)
        path = f"api-assets/{name}/{kind}.{extension}"
        # Without an extension, so that the decoder goes only by a picture's bytes.
        self._handed_out[path] = self._folder / name
        return path

    def target(self, path: str) -> Path:
        """Return the file that an upload is written to."""
        return self._handed_out[path]

    def find(self, path: str) -> Path | None:
        """Return the uploaded file, or None if the path was never handed out or nothing was uploaded to it."""
        file = self._handed_out.get(path)
        return file if file is not None and file.exists() else None
