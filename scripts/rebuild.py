"""`ape run rebuild`: the whole state from L1 data alone."""

import json
from pathlib import Path

import click
from ape.cli import ConnectedProviderCommand

from layer2 import cli as common


@click.command(cls=ConnectedProviderCommand, name="rebuild")
@common.deployment_option
@click.option("--blocks", default=2000, show_default=True, help="Blocks in one request for logs.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON file for all accounts.")
@common.reports_errors
def cli(deployment_file: Path | None, blocks: int, output: Path | None) -> None:
    """Read every batch of the rollup from L1, execute it, and compare the root with the contract's.

    Exit code 0 only if both are the same.
    """
    from layer2.actors.rebuild import rebuild
    from layer2.node.wire import account_to_json

    if blocks < 1:
        raise click.BadParameter("give at least 1", param_hint="--blocks")
    rollup = common.connected_rollup(deployment_file)
    result = rebuild(
        rollup,
        max_range=blocks,
        progress=lambda block, batch: click.echo(f"read up to block {block}, batch {batch}", err=True),
    )
    state = result.state
    click.echo(f"batches       {result.batch_id}, with {result.data_bytes:,} bytes of data")
    click.echo(f"queue entries {len(result.queue)}")
    click.echo(f"accounts      {state.next_index - 1}")
    click.echo(f"state root    {state.root:#066x}, the same as the contract's")
    if output is not None:
        accounts = [account_to_json(index, account, account.nonce) for index, account in state.accounts()]
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"stateRoot": f"{state.root:#066x}", "accounts": accounts}, indent=1) + "\n")
        click.echo(f"written       {output}")
