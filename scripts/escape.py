"""`ape run escape`: an owner's money out of a rollup that nobody runs any more, from L1 data alone."""

from pathlib import Path

import click

from layer2 import cli as common


@click.command(cls=common.ChainCommand, name="escape")
@common.rollup_option
@common.deployment_option
@common.account_option
@click.option("--owner", help="Whose money: L1 address. Anybody may send this for anybody.  [default: --account's]")
@click.option("--freeze", is_flag=True, help="Freeze the rollup first, for ever, if that is due.")
@click.option("--refund/--no-refund", default=True, show_default=True, help="Deposits that no batch has taken, too.")
@click.option("--claim", is_flag=True, help="Also send what is credited to the owner.")
@click.option(
    "--database",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Go on from what a node has read, instead of reading L1 from the deployment on.  [default: L1 alone]",
)
@common.beacon_option
@common.reports_errors
def cli(
    kind: str,
    deployment_file: Path | None,
    account_name: str | None,
    owner: str | None,
    freeze: bool,
    refund: bool,
    claim: bool,
    database: Path | None,
    beacon: str | None,
) -> None:
    """Credit everything that an owner has in a frozen rollup, so that it can be claimed on L1.

    The final state is rebuilt from L1; no operator is asked. The command may be stopped and started again. Exit code
    0 if everything is credited, 1 if the rollup is not frozen, cannot be frozen yet, or the owner has nothing in it.
    """
    from layer2.actors.escape import escape, open_final_state
    from layer2.crypto.addresses import address_to_int
    from layer2.wallet.wallet import listed_token

    is_zk = kind == "zk"
    rollup = (common.connected_rollup if is_zk else common.connected_optimistic_rollup)(deployment_file)
    signer = common.signer(account_name, rollup.chain)
    address = signer.address if owner is None else owner

    def show(token: int, amount: int) -> str:
        return listed_token(rollup, rollup.deployment.tokens, token).show(amount)

    def progress(block: int, batch: int) -> None:
        click.echo(f"read up to block {block}, batch {batch}", err=True)

    with open_final_state(rollup, database, beacon, progress) as read:
        result = escape(
            read,
            rollup,
            signer,
            address_to_int(address),
            freeze=freeze,
            refund=refund,
            claim=claim,
            show=show,
            say=click.echo,
        )
    for token, amount in result.payouts.items():
        click.echo(f"to claim: {show(token, amount)}; with --claim it is sent to {address}")
    if not result.claims:
        raise click.ClickException(f"{address} has nothing in the final state of the rollup at {rollup.address}")
