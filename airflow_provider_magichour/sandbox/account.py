"""The account: its credits, and what its owner has saved for use in many projects."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_magichour.sandbox.answers import Refused, StoreRefused
from airflow_provider_magichour.sandbox.asking import authorize
from airflow_provider_magichour.sandbox.jobs import timestamp
from airflow_provider_magichour.sandbox.studio import SAMPLES

if TYPE_CHECKING:
    from airflow_provider_magichour.sandbox.stage import Stage

ACCOUNT_ID = "csandboxaccount0000000000"
SUBSCRIPTION = {
    "name": "Pro",
    "status": "active",
    "price": {"amount": 3900, "currency": "usd"},
    "discount": None,
    "billing_interval": "month",
    "current_period_end": None,
    "cancel_at_period_end": False,
}
ITEM_TYPES = ("character", "reference", "voice", "moodboard", "brand_kit")
SAVED = (("csaveditem0000000000000002", "voice", "audio"), ("csaveditem0000000000000001", "character", "image"))
"""Id, type and kind of media of each saved item, newest first."""
MOST_ITEMS = 100
USUAL_ITEMS = 20


def routes(stage: Stage) -> list[BaseRoute]:
    """Return the endpoints of the account."""
    account = Account(stage)
    return [
        Route("/v1/account", account.show, methods=["GET"], name="account"),
        Route("/v1/saved-items", account.saved_items, methods=["GET"], name="saved-items"),
        Route("/saved-items/{id}/{name}", account.saved_file, methods=["GET"], name="download"),
    ]


class Account:
    """Endpoints that cost nothing and change nothing."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def show(self, request: Request) -> Response:
        """Show the account; the e-mail address belongs to nobody."""
        authorize(request, self._stage.settings.api_key)
        return JSONResponse(
            {
                "id": ACCOUNT_ID,
                "email": "sandbox@example.com",
                "tier": "pro",
                "credits": self._stage.jobs.balance,
                "subscription": SUBSCRIPTION,
            }
        )

    async def saved_items(self, request: Request) -> Response:
        """List saved items, a page at a time; the cursor is the number of the page's first item."""
        authorize(request, self._stage.settings.api_key)
        wanted = request.query_params.get("type")
        if wanted is not None and wanted not in ITEM_TYPES:
            raise Refused(400, f"type: one of {', '.join(ITEM_TYPES)} is needed")
        limit = _count(request, "limit", USUAL_ITEMS)
        if not 1 <= limit <= MOST_ITEMS:
            raise Refused(400, f"limit: 1 to {MOST_ITEMS} is needed")
        start = _count(request, "cursor", 0)
        items = [self._item(request, *each) for each in SAVED if wanted in (None, each[1])]
        more = str(start + limit) if start + limit < len(items) else None
        return JSONResponse({"items": items[start : start + limit], "next_cursor": more})

    async def saved_file(self, request: Request) -> Response:
        """Serve the file of a saved item."""
        expired = StoreRefused(403, "AccessDenied", "Request has expired")
        self._stage.signer.check("GET", request.url.path, request.query_params, expired)
        kind = next(kind for item, _, kind in SAVED if item == request.path_params["id"])
        return FileResponse(SAMPLES[kind].file, media_type=SAMPLES[kind].media_type)

    def _item(self, request: Request, item: str, item_type: str, kind: str) -> dict[str, Any]:
        path = f"saved-items/{item}/1{SAMPLES[kind].file.suffix}"
        expires = time.time() + self._stage.settings.download_lifetime
        url = f"{request.base_url}{path}?{self._stage.signer.query('GET', f'/{path}', expires)}"
        asset = {"file_path": path, "media_kind": kind.upper(), "is_primary": True, "url": url}
        assets = [{**asset, "url_expires_at": timestamp(expires)}]
        return {"id": item, "type": item_type, "name": f"Sandbox {item_type}", "assets": assets}


def _count(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused(400, f"{name}: a whole number is needed")
    return int(text)
