"""`ape run wallet`: key, deposits, transfers, withdrawals, forced withdrawals, claims, balances."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from layer2 import cli as common


@click.group(name="wallet")
def cli() -> None:
    """Use the rollup with an L1 account; the Layer 2 key comes from one signature of it.

    Amounts are in whole tokens (12.5). A token is ETH, USDC (the local test token), a listed token's id or its address.
    """


def _command(name: str, *, waits: bool = False) -> Callable[[Callable[..., None]], click.Command]:
    """A subcommand whose function gets the wallet and its own options."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @common.reports_errors
        def run(deployment_file: Path | None, account_name: str | None, relayer_url: str, **options: Any) -> None:
            from layer2.node.client import RelayerClient
            from layer2.wallet.wallet import Wallet

            rollup = common.connected_rollup(deployment_file)
            function(Wallet(rollup, common.signer(account_name, rollup.chain), RelayerClient(relayer_url)), **options)

        run.__doc__ = function.__doc__
        run.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
        for option in (common.relayer_option, common.account_option, common.deployment_option):
            run = option(run)
        if waits:
            run = click.option(
                "--wait",
                type=common.Seconds(),
                default=0.0,
                help="Seconds to wait until a batch with it is verified.  [default: do not]",
            )(run)
        return cli.command(name, cls=common.ChainCommand)(run)

    return decorate


_TOKEN = click.option("--token", "token_name", default="ETH", show_default=True)
_FEE = click.option("--fee", default="0", show_default=True, help="The relayer's fee, in the same token.")
_SOURCE = click.option(
    "--from", "source", type=common.ACCOUNT_INDEX, help="Own account, if there are several of the token."
)


@_command("key")
def key(wallet: Any) -> None:
    """Show owner and public key: what somebody needs to pay you into a new account."""
    point = wallet.key.public_key
    click.echo(f"owner {wallet.signer.address}\nkey   {point.x},{point.y}")


@_command("faucet")
@click.argument("amount")
@click.option("--token", "token_name", default="USDC", show_default=True)
def faucet(wallet: Any, amount: str, token_name: str) -> None:
    """Get AMOUNT of a test token on L1; local chains only."""
    token = wallet.token(token_name)
    wallet.mint_test_token(token, token.parse(amount))
    click.echo(f"{wallet.signer.address} holds {token.show(wallet.l1_balance(token))} on L1")


@_command("deposit")
@click.argument("amount")
@_TOKEN
@click.option(
    "--to-account", type=common.ACCOUNT_INDEX, help="Own account.  [default: the first of the token, else a new one]"
)
@click.option("--new-account", is_flag=True, help="Open another account.")
@click.option("--approve", is_flag=True, help="Allow the token by a transaction even if it takes permits.")
def deposit(
    wallet: Any, amount: str, token_name: str, to_account: int | None, new_account: bool, approve: bool
) -> None:
    """Bridge AMOUNT in: the next batch must take it within the inclusion deadline."""
    from layer2.node.client import RelayerClientError

    token = wallet.token(token_name)
    if to_account is None and not new_account:
        try:
            own = [account.index for account in wallet.accounts() if account.account.token == token.id]
        except RelayerClientError as error:
            raise click.UsageError(f"{error}; or say --new-account or --to-account") from error
        to_account = own[0] if own else 0
    made = wallet.deposit(token, token.parse(amount), account=to_account or 0, permit=not approve)
    click.echo(
        f"deposited {amount} {token.symbol}: queue entry {made.position}, transaction 0x{made.receipt.hash.hex()}, "
        f"{made.receipt.gas_used:,} gas"
    )


@_command("send", waits=True)
@click.argument("amount")
@_TOKEN
@click.option("--to", type=common.ACCOUNT_INDEX, help="The recipient's account.")
@click.option("--to-owner", help="The recipient's L1 address: checked with --to, needed without.")
@click.option(
    "--to-key", help="The recipient's public key, x,y as `wallet key` shows it: checked with --to, needed without."
)
@_FEE
@_SOURCE
def send(
    wallet: Any,
    amount: str,
    token_name: str,
    to: int | None,
    to_owner: str | None,
    to_key: str | None,
    fee: str,
    source: int | None,
    wait: float,
) -> None:
    """Pay AMOUNT on Layer 2, to an account or to a new one."""
    from layer2.crypto.eddsa import Point
    from layer2.node.wire import parse_address, parse_number

    token = wallet.token(token_name)
    value, fee_value = token.parse(amount), token.parse(fee)
    owner = None if to_owner is None else parse_address(to_owner, "--to-owner")
    point = None
    if to_key is not None:
        x, _, y = to_key.partition(",")
        point = Point(parse_number(x, "--to-key x"), parse_number(y, "--to-key y"))
    if to is not None:
        transaction = wallet.transfer(token, to, value, fee=fee_value, source=source, owner=owner, key=point)
        _handed_in(wallet, transaction, wait)
    elif owner is not None and point is not None:
        _handed_in(wallet, wallet.transfer_to_new(token, owner, point, value, fee=fee_value, source=source), wait)
    else:
        raise click.UsageError("give --to ACCOUNT, or both --to-owner and --to-key for a recipient without an account")


@_command("withdraw", waits=True)
@click.argument("amount")
@_TOKEN
@_FEE
@_SOURCE
def withdraw(wallet: Any, amount: str, token_name: str, fee: str, source: int | None, wait: float) -> None:
    """Take AMOUNT out: claimable on L1 as soon as its batch is verified."""
    token = wallet.token(token_name)
    transaction = wallet.withdraw(token, token.parse(amount), fee=token.parse(fee), source=source)
    _handed_in(wallet, transaction, wait)


@_command("force-withdraw")
@click.argument("account", type=common.ACCOUNT_INDEX)
def force_withdraw(wallet: Any, account: int) -> None:
    """Queue a withdrawal of everything in ACCOUNT on L1, when no relayer takes yours."""
    receipt = wallet.force_withdrawal(account)
    click.echo(f"queued: transaction 0x{receipt.hash.hex()}; a batch must take it within the inclusion deadline")


@_command("claim")
@_TOKEN
@click.option("--to", help="L1 address to pay.  [default: your own]")
def claim(wallet: Any, token_name: str, to: str | None) -> None:
    """Get what was withdrawn, on L1."""
    from layer2.node.wire import address, parse_address

    token = wallet.token(token_name)
    amount, receipt = wallet.claim(token, None if to is None else address(parse_address(to, "--to")))
    click.echo(f"claimed {token.show(amount)}: transaction 0x{receipt.hash.hex()}")


@_command("balance")
def balance(wallet: Any) -> None:
    """Show all Layer 2 accounts of the L1 account, and what can be claimed."""
    accounts = wallet.accounts()
    click.echo(f"owner {wallet.signer.address}")
    for account in accounts:
        token = wallet.token_by_id(account.account.token)
        click.echo(f"account {account.index}: {token.show(account.account.balance)}, nonce {account.account.nonce}")
    for account in wallet.foreign_accounts():
        token = wallet.token_by_id(account.account.token)
        click.echo(
            f"account {account.index}: {token.show(account.account.balance)}, obeys ANOTHER KEY: pay nothing into it"
        )
    if not accounts:
        click.echo("no account yet: deposit, and wait for the batch that takes it")
    ids = {0, *(account.account.token for account in accounts), *(t.id for t in wallet.rollup.deployment.tokens)}
    for token in map(wallet.token_by_id, sorted(ids)):
        if amount := wallet.payout(token):
            click.echo(f"to claim: {token.show(amount)}")


@_command("status")
@click.argument("transaction", required=False)
def status(wallet: Any, transaction: str | None) -> None:
    """Show where TRANSACTION is, or how rollup and relayer are."""
    if transaction is None:
        for name, value in wallet.relayer.overview().items():
            click.echo(f"{name:18} {value}")
    else:
        _show(wallet.relayer.status(transaction))


def _handed_in(wallet: Any, transaction: str, wait: float) -> None:
    click.echo(f"transaction {transaction}")
    if wait > 0:
        result = wallet.wait(transaction, wait)
        _show(result)
        if result.state != "verified":
            raise click.exceptions.Exit(common.EXPECTED_FAILURE)


def _show(result: Any) -> None:
    where = f" in batch {result.batch_id}, L1 transaction {result.l1_transaction}" if result.batch_id else ""
    why = f": {result.reason}" if result.reason else ""
    click.echo(f"{result.state}{where}{why}")
