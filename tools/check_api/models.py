"""What a source says of each AI model, which stands in the texts of its fields, beside this package's table."""

from __future__ import annotations

import re
from collections.abc import Iterator

from airflow_provider_magichour.api.capabilities import CAPABILITIES, Capability
from airflow_provider_magichour.api.tool_rows import IMAGE_TO_VIDEO
from tools.check_api.differences import Difference
from tools.check_api.facts import Facts

OF_MODEL = re.compile(r"\*\*`([^`]+)`\*\*:\s*(.+)")
AUDIO = {
    "not supported": "no",
    "no additional credits": "free",
    "extra credits": "extra",
    "always": "always",
}


def of_models(theirs: Facts) -> Iterator[Difference]:
    """Yield what a source says of the AI models of image-to-video otherwise than the table."""
    tool = theirs.tools.get(IMAGE_TO_VIDEO.name)
    for path, ours in (("end_seconds", _seconds), ("resolution", _resolutions), ("audio", _audio)):
        field = tool.fields.get(path) if tool else None
        for model, said in OF_MODEL.findall(field.text) if field else ():
            if model not in CAPABILITIES:
                continue
            known, told = ours(CAPABILITIES[model], said)
            where = f"{model}: {path}"
            if told - known:
                lacks = f"{path} of {model!r} in CAPABILITIES of api/capabilities.py"
                yield Difference("+", f"{where}: +{_words(told - known)}", lacks)
            if told and known - told:
                yield Difference("-", f"{where}: -{_words(known - told)}")


def _seconds(known: Capability, said: str) -> tuple[set[str], set[str]]:
    told: set[int] = set()
    for first, last, alone in re.findall(r"from (\d+) to (\d+)|(\d+)", said):
        told |= {int(alone)} if alone else set(range(int(first), int(last) + 1))
    return set(map(str, known.seconds)), set(map(str, told))


def _resolutions(known: Capability, said: str) -> tuple[set[str], set[str]]:
    return set(known.resolutions), set(re.findall(r"\b(\d+[pk])\b", said))


def _audio(known: Capability, said: str) -> tuple[set[str], set[str]]:
    told = next((word for sign, word in AUDIO.items() if sign in said.lower()), None)
    return {known.audio}, {told} if told else set()


def _words(values: set[str]) -> str:
    return ",".join(sorted(values, key=lambda each: (len(each), each)))
