"""`ape run rebuild`: the whole state from L1 data alone."""

import json
from pathlib import Path
from typing import Any

import click

from layer2 import cli as common


@click.command(cls=common.ChainCommand, name="rebuild")
@common.rollup_option
@common.deployment_option
@common.beacon_option
@click.option("--blocks", default=2000, show_default=True, help="Blocks in one request for logs.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON file for all accounts.")
@common.reports_errors
def cli(kind: str, deployment_file: Path | None, beacon: str | None, blocks: int, output: Path | None) -> None:
    """Read every batch of the rollup from L1, execute it, and compare the result with the contract's.

    Exit code 0 only if both are the same.
    """
    if blocks < 1:
        raise click.BadParameter("give at least 1", param_hint="--blocks")
    if output is not None:
        common.writable(output)
    root, records = _zk(deployment_file, blocks) if kind == "zk" else _optimistic(deployment_file, beacon, blocks)
    if output is not None:
        output.write_text(json.dumps({"stateRoot": root, "accounts": records}, indent=1) + "\n")
        click.echo(f"written       {output}")


def _zk(deployment_file: Path | None, blocks: int) -> tuple[str, list[dict[str, Any]]]:
    from layer2.actors.rebuild import rebuild
    from layer2.node.wire import account_to_json

    result = rebuild(common.connected_rollup(deployment_file), max_range=blocks, progress=_progress)
    state = result.state
    click.echo(f"batches       {result.batch_id}, with {result.data_bytes:,} bytes of data")
    click.echo(f"queue entries {result.queued}")
    click.echo(f"accounts      {state.next_index - 1}")
    click.echo(f"state root    {state.root:#066x}, the same as the contract's")
    return f"{state.root:#066x}", [
        account_to_json(index, account, account.nonce) for index, account in state.accounts()
    ]


def _optimistic(deployment_file: Path | None, beacon: str | None, blocks: int) -> tuple[str, list[dict[str, Any]]]:
    from layer2.actors.optimistic_rebuild import rebuild_optimistic
    from layer2.chain.blobs import blob_source
    from layer2.node.sequencer_api import record_to_json

    rollup = common.connected_optimistic_rollup(deployment_file)
    source = blob_source(rollup.chain, beacon)
    result = rebuild_optimistic(rollup, source, max_range=blocks, progress=_progress)
    state = result.position.state
    click.echo(f"batches       {result.position.batch_id}, {result.confirmed_id} of them final")
    if result.wrong:
        click.secho(f"wrong         {result.wrong} more: see `ape run watch`", fg="yellow")
    click.echo(f"data          {result.data_bytes:,} bytes")
    click.echo(f"queue entries {result.queued}")
    click.echo(f"records       {state.next_index - 1}")
    click.echo(f"state root    0x{state.state_root.hex()}, the same as in the header on L1")
    return f"0x{state.state_root.hex()}", [
        {"index": index, **record_to_json(record)} for index, record in state.records()
    ]


def _progress(block: int, batch: int) -> None:
    click.echo(f"read up to block {block}, batch {batch}", err=True)
