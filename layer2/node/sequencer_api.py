"""The sequencer's HTTP service: signed operations as bytes in, JSON out.

POST /operations                 an operation's encoding (docs/optimistic.md §2) → 200 {"id": …, "created": […]}: it is
                                 executed, and stored; or why not
GET  /operations/{id}            where it is
GET  /records/{index}            an account, pool, position or NFT, as executed and as posted on L1
GET  /accounts?owner=0x…         all accounts of an L1 address
GET  /status                     rollup, batches, state root, block, what waits, fees
GET  /health                     see `layer2.node.service`

May import everything but wallet and scripts.
"""

import asyncio
from typing import Final

from aiohttp import web

from layer2.actors.sequencer import RecordView, Sequencer, SequencerReport
from layer2.node.service import LOOP, ApiError, StepLoop, create_service, parse_id, parse_index
from layer2.node.wire import Json, address, parse_address
from layer2.optimistic.records import NFT, Account, Pool, Position, Record

MAX_BODY: Final = 1024
"""Bytes of a request's body; the longest operation takes 151."""

_SEQUENCER: Final = web.AppKey("sequencer", Sequencer)


def create_sequencer_app(sequencer: Sequencer, loop: StepLoop[SequencerReport]) -> web.Application:
    """The service for a sequencer whose steps `loop` makes. The caller starts and stops the loop."""
    app = create_service(loop, MAX_BODY)
    app[_SEQUENCER] = sequencer
    app.add_routes(
        [
            web.post("/operations", _post_operation),
            web.get("/operations/{id}", _get_operation),
            web.get("/records/{index}", _get_record),
            web.get("/accounts", _get_accounts),
            web.get("/status", _get_status),
        ]
    )
    return app


def record_to_json(record: Record) -> Json:
    """A record with its kind; amounts as decimal strings, addresses EIP-55, content as 0x hex."""
    match record:
        case Account():
            return {
                "kind": "account",
                "owner": address(record.owner),
                "token": record.token,
                "nonce": record.nonce,
                "balance": str(record.balance),
            }
        case Pool():
            return {
                "kind": "pool",
                "tokens": [record.token_a, record.token_b],
                "reserves": [str(record.reserve_a), str(record.reserve_b)],
                "shares": str(record.shares),
            }
        case Position():
            return {
                "kind": "position",
                "owner": address(record.owner),
                "pool": record.pool,
                "shares": str(record.shares),
            }
        case NFT():
            return {
                "kind": "nft",
                "owner": address(record.owner),
                "creator": address(record.creator),
                "nonce": record.nonce,
                "content": f"0x{record.content.hex()}",
            }


async def _post_operation(request: web.Request) -> web.Response:
    receipt = await asyncio.to_thread(request.app[_SEQUENCER].submit, await request.read())
    return web.json_response(
        {"id": f"0x{receipt.id.hex()}", "created": list(receipt.created), "withdrawals": list(receipt.withdrawals)}
    )


async def _get_operation(request: web.Request) -> web.Response:
    key = parse_id(request.match_info["id"])
    status = await asyncio.to_thread(request.app[_SEQUENCER].status, key)
    if status is None:
        raise ApiError(404, "unknown_operation", f"this sequencer has accepted no operation 0x{key.hex()}")
    answer: Json = {"id": f"0x{key.hex()}", "state": status.state}
    if status.reason is not None:
        answer["reason"] = status.reason
    if status.batch_id is not None:
        answer |= {"batch": status.batch_id, "finalAt": status.final_at}
    if status.l1_transaction is not None:
        answer["l1Transaction"] = f"0x{status.l1_transaction.hex()}"
    return web.json_response(answer)


async def _get_record(request: web.Request) -> web.Response:
    index = parse_index(request.match_info["index"])
    view = await asyncio.to_thread(request.app[_SEQUENCER].record, index)
    if view is None:
        raise ApiError(404, "unknown_record", f"there is nothing at index {index}")
    return web.json_response(_view(view))


async def _get_accounts(request: web.Request) -> web.Response:
    if "owner" not in request.query:
        raise ApiError(400, "malformed", "give an owner: /accounts?owner=0x…")
    owner = parse_address(request.query["owner"], "owner")
    views = await asyncio.to_thread(request.app[_SEQUENCER].accounts_of, owner)
    return web.json_response({"accounts": [_view(view) for view in views]})


async def _get_status(request: web.Request) -> web.Response:
    sequencer = request.app[_SEQUENCER]
    overview = await asyncio.to_thread(sequencer.overview)
    deployment = sequencer.rollup.deployment
    return web.json_response(
        {
            "chainId": deployment.chain_id,
            "rollup": deployment.rollup,
            "batch": overview.tip,
            "rightBatch": overview.right,
            "confirmedBatch": overview.confirmed,
            "stateRoot": f"0x{overview.state_root.hex()}",
            "nextIndex": overview.next_index,
            "block": overview.block,
            "pending": overview.pending,
            "queued": overview.queued,
            "ownBatch": overview.proposal,
            "frozen": overview.is_frozen,
            "feeTokens": list(sequencer.fee_tokens),
            "minimumFees": {str(token): str(fee) for token, fee in sequencer.config.minimum_fees.items()},
            "defaultMinimumFee": str(sequencer.config.default_minimum_fee),
            "expiryMargin": sequencer.config.expiry_margin,
            "problem": request.app[LOOP].problem,
        }
    )


def _view(view: RecordView) -> Json:
    posted = None if view.posted is None else record_to_json(view.posted)
    return {"index": view.index, **record_to_json(view.record), "posted": posted}
