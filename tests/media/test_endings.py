"""A file of which a part is missing gets no name; what real encoders write passes, whatever follows its end."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_magichour.exceptions import MagicHourApiError
from airflow_provider_magichour.media.formats import HEAD, ending_of, what_it_is_instead
from airflow_provider_magichour.operators import MagicHourDownloadOperator
from tests.scenes.fake_server import FakeServer, answer
from tests.scenes.media import name_store
from tests.scenes.results import BLUE, RED, av, filmed, np, picture

SECONDS = 2


class Pipe(io.RawIOBase):
    """What an encoder cannot go back in, to write a size."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, piece: Any) -> int:
        self.written += bytes(piece)
        return len(piece)

    def writable(self) -> bool:
        return True


def noise(codec: str, container: str, rate: int = 44100, *, to: Any = None, **options: str) -> bytes:
    target = to or io.BytesIO()
    with av.open(target, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        samples = np.random.default_rng(1).uniform(-0.5, 0.5, (1, SECONDS * rate)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
        for each in resampler.resample(frame):
            output.mux(stream.encode(each))
        output.mux(stream.encode(None))
    return bytes(to.written if to else target.getvalue())


def jpeg(width: int = 64, height: int = 48) -> bytes:
    return filmed([(width, height, RED)], "mjpeg", "yuvj420p")


def photo() -> bytes:
    """A JPEG as cameras write it: with a smaller one in its head, which has an end of its own."""
    thumbnail = b"Exif\0\0" + jpeg(16, 16)
    return jpeg()[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + jpeg()[2:]


def gif() -> bytes:
    return filmed([(64, 48, colour) for colour in (RED, BLUE, RED)], "gif", "rgb8", "gif")


def webp() -> bytes:
    return filmed([(64, 48, RED)], "libwebp", "yuv420p")


def rf64() -> bytes:
    body = b"data" + b"\xff" * 4 + bytes(1000)
    sizes = struct.pack("<QQQI", 4 + 36 + len(body), 1000, 500, 0)
    return b"RF64" + b"\xff" * 4 + b"WAVE" + b"ds64" + struct.pack("<I", len(sizes)) + sizes + body


def aiff() -> bytes:
    return noise("pcm_s16be", "aiff", 8000)


def wav() -> bytes:
    return noise("pcm_s16le", "wav", 8000)


def mp3(rate: int = 44100, **options: str) -> bytes:
    return noise("libmp3lame", "mp3", rate, **options)


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "png": ("image", lambda: picture(64, 48)),
    "jpeg": ("image", jpeg),
    "jpeg-with-thumbnail": ("image", photo),
    "gif": ("image", gif),
    "webp": ("image", webp),
    "wav": ("audio", wav),
    "rf64": ("audio", rf64),
    "aiff": ("audio", aiff),
}
SOUNDS: dict[str, Callable[[], bytes]] = {
    "mp3": mp3,
    "mp3-without-tags": lambda: mp3(id3v2_version="0", write_xing="0"),
    "mpeg-2": lambda: mp3(22050),
    "mpeg-2.5": lambda: mp3(8000),
}
ALL: dict[str, tuple[str, Callable[[], bytes]]] = FILES | {name: ("audio", make) for name, make in SOUNDS.items()}


def trouble(body: bytes, pieces: int = 0) -> str | None:
    ending = ending_of(body[:HEAD])
    assert ending
    places = sorted(random.Random(pieces).choices(range(len(body) + 1), k=pieces))
    for start, end in pairwise([0, *places, len(body)]):
        ending.feed(body[start:end])
    return ending.trouble()


def places_of(body: bytes) -> list[int]:
    """Return where to cut: at the last bytes, and at many more."""
    last = range(max(HEAD, len(body) - 40), len(body))
    return sorted({*last, *random.Random(3).choices(range(HEAD, len(body)), k=300)})


@pytest.mark.parametrize("pieces", [0, 3, 900])
@pytest.mark.parametrize(("kind", "make"), ALL.values(), ids=ALL.keys())
def test_a_real_file_is_whole_however_it_comes(kind: Any, make: Callable[[], bytes], pieces: int) -> None:
    body = make()
    assert what_it_is_instead(body[:HEAD], kind) is None
    assert trouble(body, pieces) is None


@pytest.mark.parametrize(("kind", "make"), FILES.values(), ids=FILES.keys())
def test_a_file_that_is_cut_anywhere_is_not_whole(kind: str, make: Callable[[], bytes]) -> None:
    body = make()
    for place in places_of(body):
        assert f"ends after {place:,} bytes" in str(trouble(body[:place], 3)), place


@pytest.mark.parametrize("make", SOUNDS.values(), ids=SOUNDS.keys())
def test_an_mp3_that_is_cut_within_a_frame_is_not_whole(make: Callable[[], bytes]) -> None:
    """Between two frames nothing tells a cut from the end."""
    body = make()
    whole = [place for place in range(HEAD, len(body)) if trouble(body[:place]) is None]
    assert 2 < len(whole) <= SECONDS * 44100 // 1152 + 4
    assert "in the middle of a frame" in str(trouble(body[:-1]))


@pytest.mark.parametrize("tail", [b"\0", b"\r\n", bytes(4096), b"<html>", b"TAG" + b" " * 125, b"\xff\xd8\xff\xe0"])
@pytest.mark.parametrize(("kind", "make"), ALL.values(), ids=ALL.keys())
def test_what_follows_the_end_is_not_looked_at(kind: str, make: Callable[[], bytes], tail: bytes) -> None:
    assert trouble(make() + tail) is None


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\xff\xff\xff\xff", (0x7FFFF024).to_bytes(4, "little")])
def test_a_wav_may_leave_its_size_open(size: bytes) -> None:
    body = wav()
    assert trouble(body[:4] + size + body[8:]) is None


def test_what_is_written_to_a_pipe_is_whole() -> None:
    assert trouble(noise("pcm_s16le", "wav", 8000, to=Pipe())) is None
    assert trouble(noise("libmp3lame", "mp3", to=Pipe())) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + bytes(30), id="zeros-after-its-tag"),
        pytest.param(b"\xff\xfb\x00\x64" + bytes(500), id="free-bit-rate"),
        pytest.param(b"\xff\xfd\x90\x64" + bytes(500), id="layer-2"),
        pytest.param(b"\xff\xeb\x90\x64" + bytes(500), id="reserved-version"),
    ],
)
def test_sound_of_which_nothing_is_known_is_left_alone(body: bytes) -> None:
    assert trouble(body) is None


def test_tags_before_the_first_frame_may_be_several_and_have_a_foot() -> None:
    sound = mp3(id3v2_version="0")
    tag = b"ID3\x04\0\x10\0\0\x01\x02" + bytes(130) + b"3DI\x04\0\x10\0\0\x01\x02"
    assert trouble(tag + tag + sound) is None
    assert trouble(tag + tag)
    assert trouble(tag + tag + sound[:-1])


def test_a_gif_may_have_stray_bytes_between_its_blocks() -> None:
    body = gif()
    assert trouble(body[:-1] + bytes(3) + body[-1:]) is None
    assert trouble(body[:-1] + bytes(3))


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(jpeg()[:-2], id="jpeg"),
        pytest.param(picture(8, 8)[:33] + b"\x7f\xff\xff\xffIDAT", id="png"),
        pytest.param(wav()[:4] + b"\xff\xff\xff\x7e" + wav()[8:], id="wav"),
    ],
)
def test_nothing_of_a_large_file_is_kept(head: bytes) -> None:
    ending, piece = ending_of(head[:HEAD]), bytes(1 << 16)
    assert ending
    ending.feed(head)
    tracemalloc.start()
    for _ in range(500):
        ending.feed(piece)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000
    assert most < 4 * len(piece)


@pytest.mark.parametrize(("kind", "make"), ALL.values(), ids=ALL.keys())
def test_a_result_that_is_cut_gets_no_name_and_is_fetched_again(
    sandbox: Any, context: Callable[..., Any], clock: Any, tmp_path: Path, kind: str, make: Callable[[], bytes]
) -> None:
    body = make()

    def download(folder: str, *answers: bytes) -> None:
        sandbox.faults.clear()
        with FakeServer(*answers) as server:
            name_store(sandbox, server.url)
            task = MagicHourDownloadOperator(
                task_id="download", project_id=project, kind=kind, destination=f"{tmp_path / folder}/"
            )
            task.execute(context())

    project = sandbox.add_job(kind=kind).id
    download("a", answer(body[:-1]), answer(body))
    (file,) = (tmp_path / "a").iterdir()
    assert file.read_bytes() == body
    with pytest.raises(MagicHourApiError, match="that ends after"):
        download("b", answer(body[:-1]))
    assert list((tmp_path / "b").iterdir()) == []
