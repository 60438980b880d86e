"""`ape run sequencer`: executes, posts and confirms batches of the optimistic rollup, with an HTTP service."""

from pathlib import Path

import click

from layer2 import cli as common


@click.command(cls=common.ChainCommand, name="sequencer")
@common.deployment_option
@common.account_option
@common.beacon_option
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file.  [default: deploy/local/sequencer-<chain id>.sqlite]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the service listens.")
@click.option("--port", default=8548, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--data", type=click.Choice(["blob", "calldata"]), default="blob", show_default=True, help="Where to post."
)
@click.option("--batch-size", default=1000, show_default=True, type=click.IntRange(1, 1024), help="Operations a batch.")
@click.option(
    "--batch-timeout",
    type=common.Seconds(),
    default=30.0,
    show_default=True,
    help="Seconds until a batch that is not full is cut.",
)
@click.option(
    "--confirmations", default=0, show_default=True, type=click.IntRange(0), help="Blocks above one to count."
)
@common.fee_options
@click.option("--bond", type=common.Ether(), default="0", help="Bring the bond up to this many ETH first.")
@click.option("--start-exit", is_flag=True, help="Give up the right to submit; the bond can be taken out later.")
@click.option("--withdraw-bond", is_flag=True, help="Take the bond out, a challenge period after --start-exit.")
@click.option("--dispute/--no-dispute", default=True, show_default=True, help="Prove wrong batches of others wrong.")
@common.interval_option
@click.option("--once", is_flag=True, help="Do what there is to do, without a service, and end.")
@common.reports_errors
def cli(
    deployment_file: Path | None,
    account_name: str | None,
    beacon: str | None,
    database: Path | None,
    host: str,
    port: int,
    data: str,
    batch_size: int,
    batch_timeout: float,
    confirmations: int,
    fees: tuple[str, ...],
    default_min_fee: int,
    bond: int,
    start_exit: bool,
    withdraw_bond: bool,
    dispute: bool,
    interval: float,
    once: bool,
) -> None:
    """Run a sequencer: the account given submits the batches, has the bond and gets the fees.

    It may be stopped and killed at any time; started again with the same database it goes on where it was.
    """
    from layer2.actors.sequencer import SequencerConfig
    from layer2.chain.blobs import blob_source
    from layer2.chain.deployment import FOLDER
    from layer2.node.optimistic_running import SequencerOptions, run_sequencer

    rollup = common.connected_optimistic_rollup(deployment_file)
    config = SequencerConfig(
        data="blob" if data == "blob" else "calldata",
        max_batch_size=batch_size,
        batch_timeout=batch_timeout,
        confirmations=confirmations,
        minimum_fees=common.parse_fees(fees),
        default_minimum_fee=default_min_fee,
        dispute=dispute,
    )
    options = SequencerOptions(
        database or FOLDER / "local" / f"sequencer-{rollup.deployment.chain_id}.sqlite",
        host,
        port,
        interval,
        bond,
        start_exit,
        withdraw_bond,
        once,
    )
    signer = common.signer(account_name, rollup.chain)
    run_sequencer(rollup, signer, blob_source(rollup.chain, beacon), config, options, say=click.echo)
