"""The errors of this provider.

::

    MagicHourError (AirflowException)
    ├── MagicHourApiError                    the API, or the way to it, failed
    │   └── MagicHourRejectedError       !   it refused a create for good
    ├── MagicHourStorageError                reading an input or writing a result failed
    ├── MagicHourInvalidRequestError     !   refused before sending
    ├── MagicHourUnsureSubmissionError   !   a create was sent and its answer is not known
    ├── MagicHourProjectFailedError          the project ended without a result
    │   └── MagicHourProjectRejectedError !  in a way that a retry cannot or must not heal
    ├── MagicHourTimeoutError                the operator's deadline
    └── MagicHourBatchError                  items of a batch have no result, and a retry can help
        └── MagicHourBatchFailedError    !   the same, and it cannot

Those marked ``!`` are AirflowFailException too: Airflow does not retry them.
"""

from __future__ import annotations

import re
import textwrap
from typing import Self

from airflow_provider_magichour.compat import AirflowException, AirflowFailException

LINE = 100
"""Characters: Airflow's log page does not wrap the text of an error (3.3.2), and cuts off what is much longer."""

_BETWEEN_SENTENCES = re.compile(r"(?<=[^.\s]{2}[.?]) (?=[A-Z])")
_WRAP = textwrap.TextWrapper(150, break_long_words=False, break_on_hyphens=False)


def in_lines(text: str) -> str:
    """Return a message with a line for each sentence, if it is long, and without lines that are too long to read."""
    if len(text) <= LINE:
        return text
    lines = _BETWEEN_SENTENCES.sub("\n", text).split("\n")
    return "\n".join(part for line in lines for part in _WRAP.wrap(line) or [""])


class MagicHourError(AirflowException):
    """Root of every error that this provider raises.

    A long message has, as a text, short lines, the reason first; ``args`` hold it in one piece.
    """

    def __str__(self) -> str:
        return in_lines(super().__str__())


class MagicHourApiError(MagicHourError):
    """The API, or the way to it, failed.

    :param message: what happened and what to do next.
    :param status_code: HTTP status, or None when no answer came (network, timeout).
    :param code: the API's machine code, if its answer had one.
    :param retry_after: seconds the API asked to wait, if it did.
    :param from_api: whether the answer was the API's own JSON, not a gateway's page.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        from_api: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        # Airflow's base declares an HTTPStatus of its own REST API under this name.
        self.status_code = status_code  # type: ignore[assignment]
        self.code = code
        self.retry_after = retry_after
        self.from_api = from_api


class MagicHourRejectedError(MagicHourApiError, AirflowFailException):
    """The API itself, no gateway, refused a create in a way that repeating cannot cure; nothing was made or charged."""


class MagicHourStorageError(MagicHourError):
    """Reading an input from, or writing a result to, the user's storage failed."""


class MagicHourInvalidRequestError(MagicHourError, AirflowFailException):
    """Refused before anything was sent; the message names field, value and what is allowed."""

    @classmethod
    def unsent(cls, why: str, advice: str = "") -> Self:
        """Return one that says so, for what is about to be sent.

        :param why: a sentence without its full stop.
        :param advice: what to do, in sentences.
        """
        return cls(f"{why}. Nothing was sent. {advice}".rstrip())


class MagicHourUnsureSubmissionError(MagicHourError, AirflowFailException):
    """A create was sent and its answer is not known: a project may exist and cost credits."""


class MagicHourProjectFailedError(MagicHourError):
    """The project ended as ``error``; Magic Hour refunds its credits (SDK 0.90.0).

    :param message: what happened, to which project, and what to do next.
    :param code: the API's error code, ``canceled`` for a canceled project.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class MagicHourProjectRejectedError(MagicHourProjectFailedError, AirflowFailException):
    """The project failed in a way that a retry cannot heal, or must not: a person canceled it, or chose it."""


class MagicHourTimeoutError(MagicHourError):
    """The operator's deadline passed; the project goes on and a retry reattaches to it."""


class MagicHourBatchError(MagicHourError):
    """Items of a batch have no result; a retry works on those alone."""


class MagicHourBatchFailedError(MagicHourBatchError, AirflowFailException):
    """Items of a batch have no result, and a retry cannot help: a person has to."""
