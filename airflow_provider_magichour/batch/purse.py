"""What a batch may cost: one limit for all items and all attempts."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from airflow_provider_magichour.api.requests import estimated_cost
from airflow_provider_magichour.api.signatures import discreet
from airflow_provider_magichour.api.tools import Request
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourInvalidRequestError
from airflow_provider_magichour.hooks import MagicHourHook
from airflow_provider_magichour.submission.budget import unpriced


class LimitReachedError(MagicHourInvalidRequestError):
    """The next item would exceed ``max_credits``."""


@discreet
@dataclass
class Purse:
    """Credits of a batch.

    :param limit: for all items together; None for no limit.
    :param spent: what they have cost, or may have cost, so far.
    :param balance: credits that the account has left; None if that was not checked.
    """

    limit: float | None
    spent: float = 0
    balance: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: Request) -> int | None:
        """Reserve the estimated cost of a request, or raise with nothing sent.

        :return: the estimate, None if no price is known.
        """
        cost = estimated_cost(request)
        with self._lock:
            if self.limit is not None:
                if cost is None:
                    raise MagicHourInvalidRequestError(f"max_credits cannot be enforced: {unpriced(request)[0]}")
                if self.spent + cost.credits > self.limit:
                    raise LimitReachedError(
                        f"{self.spent:g} credits are spent, and the next item's {cost.credits} would exceed "
                        f"max_credits={self.limit:g}. Raise max_credits and clear the task."
                    )
            if self.balance is not None and self.balance < (cost.credits if cost else 1):
                raise MagicHourApiError(
                    f"The account has {self.balance:g} credits left, not enough for the next item. Buy credits at "
                    "https://magichour.ai/pricing",
                    code="insufficient_credits",
                )
            credits = cost.credits if cost else 0
            self.spent += credits
            self.balance = None if self.balance is None else self.balance - credits
        return cost.credits if cost else None

    def give(self, credits: float) -> None:
        """Correct the credits spent."""
        with self._lock:
            self.spent += credits


class Share:
    """One item's part of a purse; a project that was paid for already takes nothing.

    :param purse: that it belongs to.
    :param cost: credits that the item has cost so far.
    :ivar taken: the reserved credits; None if there are none yet, or no price is known.
    """

    def __init__(self, purse: Purse, cost: int) -> None:
        self._purse = purse
        self._cost = cost
        self.taken: int | None = None

    def check(self, hook: MagicHourHook, request: Request) -> None:
        """Reserve the estimated cost of a request, or raise with nothing sent."""
        self.taken = self._purse.take(request)

    def settle(self, cost: int) -> None:
        """Replace the reserved credits by the item's real cost.

        :param cost: credits that it has cost by now, or may have cost.
        """
        self._purse.give(cost - self._cost - (self.taken or 0))
