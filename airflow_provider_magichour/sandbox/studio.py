"""Renders orders in the background, one by one, and remembers what it has rendered."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.sandbox.extra import extra_explained
from airflow_provider_magichour.sandbox.inputs import Input, Inputs
from airflow_provider_magichour.sandbox.orders import MOVING, Order

# PyAV and numpy are imported only for rendering: a sandbox that does not render works without them.
if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.rendering import Film

MEDIA_TYPES: Mapping[str, str] = {
    ".gif": "image/gif",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
}
FACES = 2
"""How many faces are found in any picture."""


@discreet
@dataclass(frozen=True)
class Output:
    """One rendered file.

    :param width: in pixels, -1 if it has none.
    :param height: in pixels, -1 if it has none.
    """

    file: Path
    width: int = -1
    height: int = -1

    @property
    def name(self) -> str:
        """Last segment of the download URL; the real service also uses the same one for all videos."""
        return f"output{self.file.suffix}"

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.file.suffix]


# Rendered once by this sandbox, from a neutral picture.
SAMPLES = {
    "video": Output(Path(__file__).parent / "samples" / "output.mp4", 640, 360),
    "image": Output(Path(__file__).parent / "samples" / "output.png", 320, 180),
    "audio": Output(Path(__file__).parent / "samples" / "output.wav"),
}


def check_rendering() -> None:
    """Import what rendering needs.

    :raises ImportError: saying what is missing, and that a sandbox without rendering does not need it.
    """
    with extra_explained():
        from airflow_provider_magichour.sandbox import pictures, rendering  # noqa: F401


Outputs = tuple[Output, ...]


class Studio:
    """Renders in a thread of its own, one job after the other; equal orders are rendered once.

    :param folder: where results are written; the caller removes it after :meth:`close`.
    :param inputs: finds the files that were sent.
    """

    def __init__(self, folder: Path, inputs: Inputs) -> None:
        self._folder = folder
        self._inputs = inputs
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="magichour-sandbox-render")
        self._made: dict[tuple[object, ...], Outputs] = {}

    def make(self, order: Order) -> Future[Outputs]:
        """Render an order; the future fails with ``UnreadablePictureError`` when a file is not what it should be."""
        return self._thread.submit(self._make, order)

    def faces(self, path: str) -> Future[Outputs]:
        """Cut out parts of a picture or video as faces; the future fails as that of :meth:`make`."""
        return self._thread.submit(self._faces, path)

    def sample(self, kind: str) -> Future[Outputs]:
        """Return a small neutral result, the same each time.

        :param kind: ``video``, ``image`` or ``audio``.
        """
        done: Future[Outputs] = Future()
        done.set_result((SAMPLES[kind],))
        return done

    def close(self) -> None:
        """Stop rendering; what is under way is abandoned."""
        self._stopped.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _make(self, order: Order) -> Outputs:
        check_rendering()
        inputs = [self._inputs.find(path, media) for path, media in order.files]
        seen = [each for each in inputs if not each.is_sound]
        # If a picture or video was sent, the prompt changes nothing.
        seed = "" if seen and order.tool.kind == "video" else order.seed
        shape = (order.seconds, order.start, order.resolution, order.size, order.audio)
        key = (order.tool.kind, seed, *shape, *(each.key for each in inputs))
        if key not in self._made:
            make = {"video": self._film, "image": self._draw, "audio": self._record}[order.tool.kind]
            self._made[key] = make(order, seen)
        return self._made[key]

    def _film(self, order: Order, seen: list[Input], suffix: str = ".mp4") -> Outputs:
        from airflow_provider_magichour.sandbox.rendering import render

        film = _film_of(order, seen)
        file = self._file(suffix)
        render(film, file, self._stopped.is_set)
        return (Output(file, *film.size),)

    def _draw(self, order: Order, seen: list[Input]) -> Outputs:
        from airflow_provider_magichour.sandbox.pictures import composed, picture_size, write
        from airflow_provider_magichour.sandbox.rendering import neutral_picture

        if order.format in MOVING:
            return self._film(order, seen, f".{order.format}")
        pictures = [each.frame() for each in seen]
        sent = (pictures[0].width, pictures[0].height) if pictures else None
        size = picture_size(order.request.body, sent)
        made = []
        for number in range(order.outputs):
            made.append(Output(self._file(f".{order.format}"), *size))
            write(composed(pictures or [neutral_picture(order.seed, *size)], size, number), made[-1].file)
        return tuple(made)

    def _record(self, order: Order, seen: list[Input]) -> Outputs:
        from airflow_provider_magichour.sandbox.sounds import record, tune

        file = self._file(".mp3")
        record(tune(order.seed), order.seconds, file, self._stopped.is_set)
        return (Output(file),)

    def _faces(self, path: str) -> Outputs:
        check_rendering()
        from airflow_provider_magichour.sandbox.pictures import face, write

        picture = self._inputs.find(path, ("image", "video")).frame()
        made = []
        for number in range(FACES):
            cut = face(picture, number)
            made.append(Output(self._file(".png"), cut.width, cut.height))
            write(cut, made[-1].file)
        return tuple(made)

    def _file(self, suffix: str) -> Path:
        return self._folder / f"{secrets.token_hex(8)}{suffix}"


def _film_of(order: Order, seen: list[Input]) -> Film:
    """Return an order's film: of the video that was sent, else of the pictures, else of one drawn for the prompt."""
    from airflow_provider_magichour.sandbox.pictures import picture_size
    from airflow_provider_magichour.sandbox.rendering import Clip, Footage, neutral_picture

    pictures = [each.frame() for each in seen]
    for each in seen:
        if each.data is not None and each.moves:
            return Footage(each.data, order.start, order.seconds, order.resolution, order.audio)
    if not pictures:
        shape = {"aspect_ratio": "16:9", **order.request.body, "resolution": ""}
        pictures = [neutral_picture(order.seed, *picture_size(shape, None))]
    end = pictures[1] if len(pictures) > 1 else None
    return Clip(pictures[0], end, order.seconds, order.resolution, order.audio, order.size)
