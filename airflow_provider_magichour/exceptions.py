"""The errors of this provider.

::

    MagicHourError (AirflowException)
    ├── MagicHourApiError                    the API or the network failed
    │   └── MagicHourRejectedError       !   the API refused a create request
    ├── MagicHourStorageError                an input could not be read, or a result not written
    ├── MagicHourInvalidRequestError     !   refused before anything was sent
    ├── MagicHourUnsureSubmissionError   !   a create request was sent and its answer is not known
    ├── MagicHourProjectFailedError          the project ended without a result
    │   └── MagicHourProjectRejectedError !  the same, and a retry cannot help or is not wanted
    ├── MagicHourTimeoutError                the operator's timeout has passed
    └── MagicHourBatchError                  items of a batch have no result, and a retry can help
        └── MagicHourBatchFailedError    !   the same, and a retry cannot help

Those marked ``!`` are also an AirflowFailException: Airflow does not retry them.
"""

from __future__ import annotations

import re
import textwrap
from typing import Self

from airflow_provider_magichour.compat import AirflowException, AirflowFailException

LINE = 100
"""Characters: Airflow's log page does not wrap an error's text (3.3.2), and cuts off much longer lines."""

_BETWEEN_SENTENCES = re.compile(r"(?<=[^.\s]{2}[.?]) (?=[A-Z])")
_WRAP = textwrap.TextWrapper(150, break_long_words=False, break_on_hyphens=False)


def in_lines(text: str) -> str:
    """Break a long message into one line per sentence, and wrap lines that are too long to read."""
    if len(text) <= LINE:
        return text
    lines = _BETWEEN_SENTENCES.sub("\n", text).split("\n")
    return "\n".join(part for line in lines for part in _WRAP.wrap(line) or [""])


class MagicHourError(AirflowException):
    """Base of every error that this provider raises.

    ``str()`` breaks a long message into short lines; ``args`` hold it unbroken.
    """

    def __str__(self) -> str:
        return in_lines(super().__str__())


class MagicHourApiError(MagicHourError):
    """The API or the network failed.

    :param message: what happened and what to do next.
    :param status_code: HTTP status, or None when no answer came (network, timeout).
    :param code: the API's error code, if its answer had one.
    :param retry_after: seconds that the API asked to wait, if it did.
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
    """The API itself, not a gateway, refused a create request for good; nothing was created or charged."""

    def as_curable(self, advice: str) -> MagicHourApiError:
        """Return the same refusal as an error that Airflow retries.

        :param advice: a sentence on what the retry does.
        """
        return MagicHourApiError(
            f"{self.message.rstrip('.')}. {advice}",
            status_code=self.status_code,
            code=self.code,
            retry_after=self.retry_after,
            from_api=self.from_api,
        )


class MagicHourStorageError(MagicHourError):
    """An input could not be read from the user's storage, or a result could not be written to it."""


class MagicHourInvalidRequestError(MagicHourError, AirflowFailException):
    """Refused before anything was sent; the message names field, value and what is allowed."""

    @classmethod
    def unsent(cls, why: str, advice: str = "") -> Self:
        """Return an error that says that nothing was sent.

        :param why: a sentence without its full stop.
        :param advice: what to do, in sentences.
        """
        return cls(f"{why}. Nothing was sent. {advice}".rstrip())


class MagicHourUnsureSubmissionError(MagicHourError, AirflowFailException):
    """A create request was sent and its answer is not known: a project may exist and cost credits."""


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
    """The project failed and a retry cannot help, or is not wanted: a person canceled or adopted the project."""


class MagicHourTimeoutError(MagicHourError):
    """The operator's timeout has passed; the project keeps running and a retry reattaches to it."""


class MagicHourBatchError(MagicHourError):
    """Items of a batch have no result; a retry works on those only."""


class MagicHourBatchFailedError(MagicHourBatchError, AirflowFailException):
    """Items of a batch have no result, and a retry cannot help: a person has to act."""
