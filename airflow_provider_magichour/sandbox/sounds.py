"""Sound: a quiet tone in a clip, and a tune in a file of its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from numpy.typing import NDArray

SAMPLE_RATE = 44100
TONE_HERTZ = 220.0
TONE_LEVEL = 0.02
TUNE_LEVEL = 0.2
NOTES = tuple(TONE_HERTZ * 2 ** (step / 12) for step in (0, 2, 4, 7, 9, 12, 14, 16))
NOTE_SAMPLES = SAMPLE_RATE // 3

Samples = NDArray[np.float32]
Wave = Callable[[int, int], Samples]
"""Returns the samples from one sample number to another."""


class Sound:
    """Sound that is written piece by piece, so that it is interleaved with the picture.

    :param output: the file.
    :param seconds: its length in seconds.
    :param codec: such as ``aac``.
    :param wave: the samples.
    """

    def __init__(self, output: OutputContainer, seconds: float, codec: str, wave: Wave) -> None:
        self._output = output
        self._wave = wave
        self._stream = cast(AudioStream, output.add_stream(codec, rate=SAMPLE_RATE, layout="mono"))
        self._total = round(seconds * SAMPLE_RATE)
        self._written = 0

    def play_until(self, seconds: float) -> None:
        """Write the sound up to here."""
        end = min(self._total, round(seconds * SAMPLE_RATE))
        if end > self._written:
            samples = self._wave(self._written, end)[None, :]
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, self._written
            frame.time_base = Fraction(1, SAMPLE_RATE)
            self._output.mux(self._stream.encode(frame))
            self._written = end

    def end(self) -> None:
        """Write the rest."""
        self.play_until(self._total / SAMPLE_RATE)
        self._output.mux(self._stream.encode(None))


def tone(start: int, end: int) -> Samples:
    """Return the samples of a quiet tone from one sample number to another."""
    wave_form = np.sin(np.arange(start, end) * (2 * math.pi * TONE_HERTZ / SAMPLE_RATE)) * TONE_LEVEL
    return np.asarray(wave_form, dtype=np.float32)


def tune(seed: str) -> Wave:
    """Return a tune of plucked notes; the same seed gives the same one."""
    digest = np.frombuffer(hashlib.sha256(seed.encode("utf-8", "replace")).digest(), np.uint8)
    hertz = np.array(NOTES)[digest % len(NOTES)]

    def wave(start: int, end: int) -> Samples:
        at = np.arange(start, end)
        within = at % NOTE_SAMPLES
        phase = within * hertz[at // NOTE_SAMPLES % len(hertz)] * (2 * math.pi / SAMPLE_RATE)
        return np.asarray(np.sin(phase) * TUNE_LEVEL * (1 - within / NOTE_SAMPLES), dtype=np.float32)

    return wave


def record(wave: Wave, seconds: float, target: Path, stopped: Callable[[], bool]) -> None:
    """Write an MP3.

    :param wave: the samples.
    :param seconds: its length in seconds.
    :param target: file to write.
    :param stopped: called for each second; True stops early.
    """
    with av.open(str(target), "w", format="mp3") as output:
        sound = Sound(output, seconds, "libmp3lame", wave)
        for second in range(1, math.ceil(seconds)):
            if stopped():
                return
            sound.play_until(second)
        sound.end()
