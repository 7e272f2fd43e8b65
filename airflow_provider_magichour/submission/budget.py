"""What a submission may cost: the last check before anything is sent."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_magichour.api.capabilities import Estimate, priced_models
from airflow_provider_magichour.api.requests import estimated_cost
from airflow_provider_magichour.api.signatures import shown
from airflow_provider_magichour.api.tools import Request, value_at
from airflow_provider_magichour.exceptions import MagicHourApiError, MagicHourInvalidRequestError
from airflow_provider_magichour.hooks import READ_PATIENCE, MagicHourHook

log = logging.getLogger(__name__)


class Allowance(Protocol):
    """Decides what a submission may cost."""

    def check(self, hook: MagicHourHook, request: Request) -> None:
        """Let a submission pass, or raise with nothing sent or uploaded."""


@dataclass(frozen=True)
class Budget:
    """What the user allows a submission to cost.

    :param max_credits: highest estimate that passes; a request without an estimate does not; None for no limit.
    :param check_balance: whether to check the account's credits.
    """

    max_credits: float | None = None
    check_balance: bool = False

    def check(self, hook: MagicHourHook, request: Request) -> None:
        """Let a submission pass, or raise with nothing sent or uploaded.

        :raises MagicHourInvalidRequestError: its estimate is above ``max_credits``, or there is none.
        :raises MagicHourApiError: the account has too few credits, or could not be read; a retry checks again.
        """
        if self.max_credits is None and not self.check_balance:
            return
        cost = estimated_cost(request)
        if self.max_credits is not None:
            self._within_limit(cost, request, self.max_credits)
        if self.check_balance:
            self._covered(cost, hook)

    def _within_limit(self, cost: Estimate | None, request: Request, limit: float) -> None:
        if cost is None:
            why, advice = unpriced(request)
            raise MagicHourInvalidRequestError.unsent(
                f"max_credits={limit:g} cannot be enforced: {why}", f"{advice}, or leave out max_credits."
            )
        if cost.credits > limit:
            raise MagicHourInvalidRequestError.unsent(
                f"The estimate of {cost.credits} credits ({cost.how}) is above max_credits={limit:g}",
                "Raise max_credits, or choose a shorter clip, a lower resolution or another model.",
            )

    def _covered(self, cost: Estimate | None, hook: MagicHourHook) -> None:
        balance = hook.get_account(patience=READ_PATIENCE).credits
        if balance is None:
            log.warning("check_balance: the API does not say how many credits are left; submitting anyway")
            return
        # Without a known price only an empty account is certain not to suffice.
        if balance < (cost.credits if cost else 1):
            needed = f"about {cost.credits} are needed ({cost.how})" if cost else "some are needed"
            raise MagicHourApiError(
                f"The account of connection {hook.magichour_conn_id!r} has {balance} credits left, and {needed}. "
                "Nothing was sent; a retry checks again. Buy credits at https://magichour.ai/pricing",
                code="insufficient_credits",
            )
        log.info("The account has %s credits; the estimate is %s", balance, cost.credits if cost else "unknown")


def unpriced(request: Request) -> tuple[str, str]:
    """Say what has no known price, and what to do."""
    tool, body = request.tool, request.body
    if tool.has_models:
        model, size = body.get("model", "default"), body.get("resolution", "the default resolution")
        return (
            f"no price is known for {tool.name} with model={model} at {size}",
            f"Name a model and a resolution that have a price (at 720p: {', '.join(priced_models())})",
        )
    if tool.price is None:
        return f"no price is published for {tool.name}", "Use another tool"
    asked = ", ".join(f"{path}={shown(value_at(body, path))}" for path in (*tool.price.by, tool.price.of))
    priced = ", ".join(key or "none set" for keys in tool.price.credits.values() for key in keys)
    return (
        f"no price is known for {tool.name} with {asked}",
        f"Choose what has a price ({' '.join(tool.price.by) or tool.price.of}: {priced})",
    )
