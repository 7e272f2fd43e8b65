"""Write the prices on docs/costs.md anew, from the tables of AI models: `python -m tools.page_of_costs`."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_magichour.api.capabilities import CAPABILITIES, IMAGE_MODELS, PRICES_OF, Capability

PAGE = Path(__file__).parent.parent / "docs" / "costs.md"
MARKED = re.compile(r"(<!-- prices: .*? -->\n).*?(<!-- prices end -->)", re.S)
SIZES = ("480p", "720p", "1080p", "4k")
AUDIO = {"free": "included", "no": "none", "always": "always"}


def with_prices(page: str) -> str:
    """Return the page with today's prices between its marks."""
    return MARKED.sub(lambda found: f"{found[1]}\n{prices()}\n{found[2]}", page)


def prices() -> str:
    """Return the tables: what is not listed has no published price."""
    rows = {name: row for name, row in CAPABILITIES.items() if row.credits and not row.legacy}
    rest = ", ".join(f"`{name}`" for name, row in CAPABILITIES.items() if not row.credits and not row.legacy)
    return (
        f"Credits for each second of video, prices of {PRICES_OF}; `-` has no published price:\n\n"
        f"| model | {' | '.join(SIZES)} | with audio |\n| --- |{' --- |' * (len(SIZES) + 1)}\n"
        + "".join(f"| `{name}` | {' | '.join(_sizes(row))} | {_audio(row)} |\n" for name, row in rows.items())
        + f"\nWithout a published price: {rest}.\n\n"
        f"Credits for each image, prices of {PRICES_OF}, at the resolution named; others have no published price:\n\n"
        "| credits | model and resolution |\n| --- | --- |\n"
        + "".join(f"| {credits:g} | {', '.join(f'`{name}`' for name in names)} |\n" for credits, names in _images())
    )


def _sizes(row: Capability) -> list[str]:
    return [str(row.credits.get(size, "-")) for size in SIZES]


def _audio(row: Capability) -> str:
    if row.audio != "extra":
        return AUDIO[row.audio]
    return ", ".join(f"{size} +{credits}" for size, credits in row.audio_credits.items())


def _images() -> list[tuple[float, tuple[str, ...]]]:
    return sorted(IMAGE_MODELS.items())


if __name__ == "__main__":
    PAGE.write_text(with_prices(PAGE.read_text()))
    print(PAGE)
