"""`ape run relayer`: collects, proves and submits, with an HTTP service for wallets."""

from pathlib import Path

import click

from layer2 import cli as common


@click.command(cls=common.ChainCommand, name="relayer")
@common.deployment_option
@common.account_option
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file.  [default: deploy/local/relayer-<chain id>.sqlite]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the service listens.")
@click.option("--port", default=8547, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--batch-size", default=120, show_default=True, type=click.IntRange(1), help="Operations a batch, at most."
)
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
@click.option("--serve-withdrawals", is_flag=True, help="Send payouts to their owners, at the relayer's cost.")
@common.interval_option
@click.option("--workers", type=click.IntRange(1), help="Proofs at a time.  [default: one a core]")
@click.option("--backend", type=click.Choice(["native", "snarkjs", "rapidsnark"]), help="Who proves.")
@click.option("--circuits", "build", type=click.Path(file_okay=False, path_type=Path), help="[default: build/circuits]")
@click.option("--once", is_flag=True, help="Do what there is to do, without a service, and end.")
@common.reports_errors
def cli(
    deployment_file: Path | None,
    account_name: str | None,
    database: Path | None,
    host: str,
    port: int,
    batch_size: int,
    batch_timeout: float,
    confirmations: int,
    fees: tuple[str, ...],
    default_min_fee: int,
    serve_withdrawals: bool,
    interval: float,
    workers: int | None,
    backend: str | None,
    build: Path | None,
    once: bool,
) -> None:
    """Run a relayer: the account given submits the batches and gets the fees.

    It may be stopped and killed at any time; started again with the same database it goes on where it was.
    """
    from layer2.actors.relayer import RelayerConfig
    from layer2.chain.deployment import FOLDER
    from layer2.node.running import RelayerOptions, run_relayer
    from layer2.zk.build import BUILD

    rollup = common.connected_rollup(deployment_file)
    config = RelayerConfig(
        max_batch_size=batch_size,
        batch_timeout=batch_timeout,
        confirmations=confirmations,
        minimum_fees=common.parse_fees(fees),
        default_minimum_fee=default_min_fee,
        serve_withdrawals=serve_withdrawals,
    )
    options = RelayerOptions(
        database or FOLDER / "local" / f"relayer-{rollup.deployment.chain_id}.sqlite",
        host,
        port,
        interval,
        workers,
        backend,
        build or BUILD,
        once,
    )
    run_relayer(rollup, common.signer(account_name, rollup.chain), config, options, say=click.echo)
