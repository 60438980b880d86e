"""`ape run escape`: an owner's money out of a rollup that nobody runs any more, from L1 data alone."""

from pathlib import Path

import click
from ape.cli import ConnectedProviderCommand

from layer2 import cli as common


@click.command(cls=ConnectedProviderCommand, name="escape")
@common.deployment_option
@common.account_option
@click.option("--owner", help="Whose money: L1 address. Anybody may send this for anybody.  [default: --account's]")
@click.option("--freeze", is_flag=True, help="Freeze the rollup first, for ever, if that is due.")
@click.option("--refund/--no-refund", default=True, show_default=True, help="Deposits that no batch has taken, too.")
@click.option("--claim", is_flag=True, help="Also send what is credited to the owner.")
@common.reports_errors
def cli(
    deployment_file: Path | None,
    account_name: str | None,
    owner: str | None,
    freeze: bool,
    refund: bool,
    claim: bool,
) -> None:
    """Credit everything that an owner has in a frozen rollup, so that it can be claimed on L1.

    The final state is rebuilt from L1; no operator is asked. The command may be stopped and started again. Exit code
    0 if everything is credited, 1 if the rollup is not frozen, cannot be frozen yet, or the owner has nothing in it.
    """
    from layer2.actors.escape import ZKFinalState, escape
    from layer2.crypto.addresses import address_to_int
    from layer2.wallet.wallet import listed_token

    rollup = common.connected_rollup(deployment_file)
    signer = common.signer(account_name, rollup.chain)
    address = signer.address if owner is None else owner

    def show(token: int, amount: int) -> str:
        return listed_token(rollup, rollup.deployment.tokens, token).show(amount)

    def progress(block: int, batch: int) -> None:
        click.echo(f"read up to block {block}, batch {batch}", err=True)

    result = escape(
        lambda: ZKFinalState.read(rollup, progress),
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
        click.echo(f"to claim: {show(token, amount)}, with `ape run wallet claim` or --claim")
    if not result.claims:
        raise click.ClickException(f"{address} has nothing in the final state of the rollup at {rollup.address}")
