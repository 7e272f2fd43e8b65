"""A note on a local file about the result in it, so that the result is not fetched again to compare.

It is an extended attribute of the file: there is nothing next to the file, and the note disappears with it.
"""

from __future__ import annotations

import contextlib
import json
import os

from airflow_provider_magichour.media.stores import AnyPath, local_path, sha256_of

ATTRIBUTE = "user.magichour"


def note(path: AnyPath, etag: str | None, sha256: str) -> None:
    """Note what was written, if the file system supports it (Linux: ext4, xfs, btrfs; tmpfs from 6.6 on).

    :param path: of the file.
    :param etag: strong one of the result in its store; without it there is nothing to note.
    :param sha256: of the bytes.
    """
    local = local_path(path)
    if local and etag and hasattr(os, "setxattr"):
        with contextlib.suppress(OSError):
            os.setxattr(local, ATTRIBUTE, json.dumps({"etag": etag, "sha256": sha256}).encode())


def vouches(path: AnyPath, etag: str | None) -> bool:
    """Return whether a file has the bytes of its note, and those are the result with this ETag.

    The bytes are read, not only the note: whoever can change one can change the other.

    :param path: of the file.
    :param etag: strong one of the result in its store.
    :raises MagicHourStorageError: the file cannot be read.
    """
    local = local_path(path)
    if not local or not etag or not hasattr(os, "getxattr"):
        return False
    try:
        noted = json.loads(os.getxattr(local, ATTRIBUTE))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(noted, dict) and noted.get("etag") == etag and noted.get("sha256") == sha256_of(path)
