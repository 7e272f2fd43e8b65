"""Compare rows and table of AI models with the vendor's OpenAPI file, or its wheel: `make check-api`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from airflow_provider_magichour.api.tool_rows import ROWS
from tools.check_api import specification, wheel
from tools.check_api.differences import Difference, differences
from tools.check_api.facts import Facts, of_rows
from tools.check_api.models import of_models

NOT_LOOKED_AT = """\
Not looked at: words of fields but `model` and `resolution` where this package has them (voices, templates, styles ...),
bounds and lengths, kinds of media, conditions between fields, prices, expected times, answers. Of what is to be
written the type word of a tool and the media of a file are guessed by their names: check them, and add conditions,
price and expected time from the vendor's pages.
"""


def main(arguments: list[str] | None = None) -> int:
    """Print what came, went and changed; return 1 where this package lacks something, 2 where a file is none."""
    parser = argparse.ArgumentParser(prog="make check-api")
    parser.add_argument("--spec", type=Path, help="the vendor's OpenAPI file, in JSON")
    parser.add_argument("--sdk", type=Path, help="the wheel of the vendor's Python SDK; it is read, not imported")
    given = parser.parse_args(arguments)
    if given.spec is None and given.sdk is None:
        parser.error("SPEC=file or SDK=wheel is needed")
    try:
        sources = [
            specification.facts(reader.read(path), path.name)
            for reader, path in ((specification, given.spec), (wheel, given.sdk))
            if path is not None
        ]
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    lacks = [tell(of_rows(ROWS), source) for source in sources]
    if len(sources) == 2:
        tell(*sources, writes=False)
    print(NOT_LOOKED_AT)
    return 1 if any(lacks) else 0


def tell(ours: Facts, theirs: Facts, *, writes: bool = True) -> bool:
    """Print how a source differs from another one, and return whether this package lacks something.

    :param writes: whether the first one is this package, and what it lacks is to be written.
    """
    found = [*differences(ours, theirs), *(of_models(theirs) if writes else ())]
    print(f"{theirs.source} against {ours.source}: {_counted(found)}")
    for difference in found:
        print(f"  {difference.sign} {difference.what}")
    lacking = [difference.write for difference in found if difference.write] if writes else []
    if lacking:
        print("\nTo write:")
    for text in lacking:
        print("  " + text.replace("\n", "\n  "))
    print()
    return bool(lacking)


def _counted(found: list[Difference]) -> str:
    words = {"+": "came", "-": "went", "~": "changed"}
    signs = [difference.sign for difference in found]
    return ", ".join(f"{signs.count(sign)} {word}" for sign, word in words.items())


if __name__ == "__main__":
    sys.exit(main())
