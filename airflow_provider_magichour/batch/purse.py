"""What a batch may cost: one limit for all items and all tries."""

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
    """The next item would be above ``max_credits``."""


@discreet
@dataclass
class Purse:
    """Credits of a batch.

    :param limit: the most that all items may cost; None for no limit.
    :param spent: what they have cost, or may have, so far.
    :param balance: credits that the account has left; None where nobody asked.
    """

    limit: float | None
    spent: float = 0
    balance: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, request: Request) -> int | None:
        """Set aside what a request is estimated to cost, or raise with nothing sent.

        :return: the estimate, None where no price is known.
        """
        cost = estimated_cost(request)
        with self._lock:
            if self.limit is not None:
                if cost is None:
                    raise MagicHourInvalidRequestError(f"max_credits cannot be kept: {unpriced(request)[0]}")
                if self.spent + cost.credits > self.limit:
                    raise LimitReachedError(
                        f"{self.spent:g} credits are spent, and the next item's {cost.credits} would be above "
                        f"max_credits={self.limit:g}. Raise max_credits and clear the task."
                    )
            if self.balance is not None and self.balance < (cost.credits if cost else 1):
                raise MagicHourApiError(
                    f"The account has {self.balance:g} credits left, too few for the next item. Buy credits at "
                    "https://magichour.ai/pricing",
                    code="insufficient_credits",
                )
            credits = cost.credits if cost else 0
            self.spent += credits
            self.balance = None if self.balance is None else self.balance - credits
        return cost.credits if cost else None

    def give(self, credits: float) -> None:
        """Correct what is spent."""
        with self._lock:
            self.spent += credits


class Share:
    """One item's part of a purse: what was paid for already asks for nothing.

    :param purse: that it is a part of.
    :param cost: credits that the item has cost so far.
    :ivar taken: what was set aside; None for nothing yet, or where no price is known.
    """

    def __init__(self, purse: Purse, cost: int) -> None:
        self._purse = purse
        self._cost = cost
        self.taken: int | None = None

    def check(self, hook: MagicHourHook, request: Request) -> None:
        """Set aside what a request is estimated to cost, or raise with nothing sent."""
        self.taken = self._purse.take(request)

    def settle(self, cost: int) -> None:
        """Put what the item really cost in the place of what was set aside.

        :param cost: credits that it has cost by now, or may have.
        """
        self._purse.give(cost - self._cost - (self.taken or 0))
