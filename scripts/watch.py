"""`ape run watch`: executes every batch of the optimistic rollup, says what is wrong, and disputes it if wanted."""

from pathlib import Path

import click

from layer2 import cli as common


@click.command(cls=common.ChainCommand, name="watch")
@common.deployment_option
@common.account_option
@common.beacon_option
@click.option("--dispute", is_flag=True, help="Prove wrong batches wrong with --account, and collect the rewards.")
@click.option("--reserve/--no-reserve", default=True, show_default=True, help="Reserve the reward before the proof.")
@click.option("--operation", "operations", multiple=True, metavar="ID", help="Follow an operation; may be repeated.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file.  [default: deploy/local/watch-<chain id>.sqlite]",
)
@common.interval_option
@click.option("--once", is_flag=True, help="Look (and dispute) until there is nothing new, and end.")
@common.reports_errors
def cli(
    deployment_file: Path | None,
    account_name: str | None,
    beacon: str | None,
    dispute: bool,
    reserve: bool,
    operations: tuple[str, ...],
    database: Path | None,
    interval: float,
    once: bool,
) -> None:
    """Watch the rollup: nobody is believed, each batch is executed here.

    Exit code 0 if all is well in the end: no batch that counts is wrong, and no operation that is followed was
    rolled back or had no effect. Else 1.
    """
    from layer2.chain.blobs import blob_source
    from layer2.chain.deployment import FOLDER
    from layer2.node.optimistic_running import WatchOptions, run_watch

    rollup = common.connected_optimistic_rollup(deployment_file)
    options = WatchOptions(
        database or FOLDER / "local" / f"watch-{rollup.deployment.chain_id}.sqlite",
        interval,
        tuple(_operation(text) for text in operations),
        once,
    )
    signer = common.signer(account_name, rollup.chain) if dispute else None
    if not run_watch(rollup, signer, blob_source(rollup.chain, beacon), options, reserve=reserve, say=click.echo):
        raise SystemExit(common.EXPECTED_FAILURE)


def _operation(text: str) -> bytes:
    try:
        key = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise click.BadParameter(f"{text!r} is not 32 bytes in hex", param_hint="--operation")
    return key
