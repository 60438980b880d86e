"""The relayer's HTTP service: JSON in and out, for wallets.

POST /transactions               a signed operation → 202 {"id": …}
GET  /transactions/{id}          where it is
GET  /accounts/{index}           an account
GET  /accounts?owner=0x…         all accounts of an L1 address
GET  /status                     rollup, state root, block, pool
GET  /health                     200 when the relayer's last step was good and recent, else 503

Errors are {"error": {"code": …, "message": …}} with a fitting status. May import everything but wallet and scripts.
"""

import asyncio
import json
from typing import Final

from aiohttp import web

from layer2.actors.relayer import AccountView, Relayer, StepReport
from layer2.node.service import LOOP, ApiError, StepLoop, create_service, parse_id, parse_index
from layer2.node.wire import Json, account_to_json, operation_from_json, parse_address

MAX_BODY: Final = 16 * 1024
"""Bytes of a request's body; a signed operation takes about one thousand."""

_RELAYER: Final = web.AppKey("relayer", Relayer)


def create_app(relayer: Relayer, loop: StepLoop[StepReport]) -> web.Application:
    """The service for a relayer whose steps `loop` makes. The caller starts and stops the loop."""
    app = create_service(loop, MAX_BODY)
    app[_RELAYER] = relayer
    app.add_routes(
        [
            web.post("/transactions", _post_transaction),
            web.get("/transactions/{id}", _get_transaction),
            web.get("/accounts/{index}", _get_account),
            web.get("/accounts", _get_accounts),
            web.get("/status", _get_status),
        ]
    )
    return app


async def _post_transaction(request: web.Request) -> web.Response:
    body = await request.read()
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "malformed", f"the body is not JSON: {error}") from error
    signed = operation_from_json(raw)
    key = await asyncio.to_thread(request.app[_RELAYER].submit, signed)
    return web.json_response({"id": f"0x{key.hex()}"}, status=202)


async def _get_transaction(request: web.Request) -> web.Response:
    key = parse_id(request.match_info["id"])
    status = await asyncio.to_thread(request.app[_RELAYER].status, key)
    if status is None:
        raise ApiError(404, "unknown_transaction", f"this relayer knows no transaction 0x{key.hex()}")
    answer: Json = {"id": f"0x{key.hex()}", "state": status.state}
    if status.reason is not None:
        answer["reason"] = status.reason
    if status.batch_id is not None:
        answer["batch"] = status.batch_id
    if status.l1_transaction is not None:
        answer["l1Transaction"] = f"0x{status.l1_transaction.hex()}"
    return web.json_response(answer)


async def _get_account(request: web.Request) -> web.Response:
    index = parse_index(request.match_info["index"])
    view = await asyncio.to_thread(request.app[_RELAYER].account, index)
    if view is None:
        raise ApiError(404, "unknown_account", f"there is no account {index}")
    return web.json_response(_view(view))


async def _get_accounts(request: web.Request) -> web.Response:
    if "owner" not in request.query:
        raise ApiError(400, "malformed", "give an owner: /accounts?owner=0x…")
    owner = parse_address(request.query["owner"], "owner")
    views = await asyncio.to_thread(request.app[_RELAYER].accounts_of, owner)
    return web.json_response({"accounts": [_view(view) for view in views]})


async def _get_status(request: web.Request) -> web.Response:
    relayer = request.app[_RELAYER]
    overview = await asyncio.to_thread(relayer.overview)
    deployment = relayer.rollup.deployment
    return web.json_response(
        {
            "chainId": deployment.chain_id,
            "rollup": deployment.rollup,
            "batch": overview.batch_id,
            "stateRoot": f"{overview.state_root:#066x}",
            "nextIndex": overview.next_index,
            "block": overview.block,
            "pending": overview.pending,
            "queued": overview.queued,
            "ownBatch": overview.proposal,
            "minimumFees": {str(token): str(fee) for token, fee in relayer.config.minimum_fees.items()},
            "defaultMinimumFee": str(relayer.config.default_minimum_fee),
            "feeTokens": list(relayer.fee_tokens),
            "problem": request.app[LOOP].problem,
        }
    )


def _view(view: AccountView) -> Json:
    return account_to_json(view.index, view.account, view.next_nonce)
