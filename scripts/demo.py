"""`ape run demo`: the whole workflow of both rollups and of channels on a fresh local chain, with real proofs."""

import sys
import tempfile
import time
from pathlib import Path

import click

from layer2 import cli as common
from layer2.toolchain import PROJECT


@click.command(cls=common.ChainCommand, name="demo")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    default=PROJECT / "build" / "demo" / "gas-per-transfer.png",
    help="Where to save gas per transfer by batch size.  [default: build/demo/gas-per-transfer.png]",
)
@common.reports_errors
def cli(picture: Path) -> None:
    """Show everything, of both rollups and of channels.

    The ZK rollup: bridge in, collect, prove, verify (and forgeries refused), bridge out, rebuild. The optimistic one: a
    thousand transfers in one batch, a cheat who is caught, a week by time travel, bridge out. Channels: a
    thousand payments and one claim, and an old state that a watchtower answers.

    Needs a local chain (Ape starts Anvil by itself) and the default circuits (`make circuits`). Takes two
    minutes. Exit code 0 only if all of its checks hold.
    """
    from ape import accounts

    from layer2.chain.connection import LOCAL_CHAIN_IDS
    from layer2.chain.signer import ApeSigner
    from layer2.demo.channels import ChannelStory
    from layer2.demo.narrator import Narrator
    from layer2.demo.optimistic import OptimisticStory
    from layer2.demo.story import Cast, Story

    started = time.monotonic()
    common.writable(picture)
    common.compile_contracts()
    chain = common.connected_chain()
    if chain.chain_id() not in LOCAL_CHAIN_IDS:
        raise click.ClickException(
            f"chain {chain.chain_id()} is not local: run it with --network ethereum:local:foundry"
        )
    cast = Cast(*(ApeSigner(account) for account in accounts.test_accounts[:5]))
    narrator = Narrator()
    with tempfile.TemporaryDirectory(prefix="layer2-demo-") as folder:
        click.secho("\n=== The ZK rollup", bold=True, fg="cyan")
        Story(chain, cast, Path(folder), picture, narrator, bar=sys.stderr.isatty()).run()
        click.secho("\n=== The optimistic rollup", bold=True, fg="cyan")
        OptimisticStory(chain, Path(folder), narrator).run()
        click.secho("\n=== Channels", bold=True, fg="cyan")
        ChannelStory(chain, Path(folder), narrator).run()
    click.echo()
    seconds = time.monotonic() - started
    if narrator.failed:
        raise click.ClickException(f"{len(narrator.failed)} of {narrator.checks} checks do not hold")
    click.secho(f"All {narrator.checks} checks hold. {seconds:.0f} seconds.", fg="green", bold=True)
