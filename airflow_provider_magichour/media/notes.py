"""What a local file says of the result that it holds, so that the result is not fetched again to compare.

It lies in an extended attribute of the file: nothing beside it, gone with it, and not on another file of its name.
"""

from __future__ import annotations

import contextlib
import json
import os

from airflow_provider_magichour.media.stores import AnyPath, local_path, sha256_of

ATTRIBUTE = "user.magichour"


def note(path: AnyPath, etag: str | None, sha256: str) -> None:
    """Note what was written, where the file system keeps such notes (Linux: ext4, xfs, btrfs; tmpfs from 6.6 on).

    :param path: of the file.
    :param etag: strong one of the result at its store; without it there is nothing to note.
    :param sha256: of the bytes.
    """
    local = local_path(path)
    if local and etag and hasattr(os, "setxattr"):
        with contextlib.suppress(OSError):
            os.setxattr(local, ATTRIBUTE, json.dumps({"etag": etag, "sha256": sha256}).encode())


def vouches(path: AnyPath, etag: str | None) -> bool:
    """Return whether a file holds what it was noted to hold, and that is the result with this ETag.

    The bytes are read, and not only the note: whoever may change the one may change the other.

    :param path: of the file.
    :param etag: strong one of the result at its store.
    :raises MagicHourStorageError: when the file cannot be read.
    """
    local = local_path(path)
    if not local or not etag or not hasattr(os, "getxattr"):
        return False
    try:
        noted = json.loads(os.getxattr(local, ATTRIBUTE))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(noted, dict) and noted.get("etag") == etag and noted.get("sha256") == sha256_of(path)
