"""`ape run wallet`: key, deposits, transfers, withdrawals, forced withdrawals, claims, balances on either rollup;
swaps, liquidity, NFTs on the optimistic one."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from layer2 import cli as common

_OPTIMISTIC: set[str] = set()
"""Names of the commands that the ZK rollup does not have."""


@click.group(name="wallet")
@common.rollup_option
@click.pass_context
def cli(ctx: click.Context, kind: str) -> None:
    """Use a rollup with an L1 account.

    On the ZK rollup the Layer 2 key comes from one signature of the account; on the optimistic one the account itself
    signs. The commands swap, show, pool and nft are of the optimistic rollup only.

    Amounts are in whole tokens (12.5). A token is ETH, USDC (the local test token), a listed token's id or its address.
    """
    is_said = ctx.get_parameter_source("kind") is click.core.ParameterSource.COMMANDLINE
    if is_said and kind == "zk" and ctx.invoked_subcommand in _OPTIMISTIC:
        raise click.UsageError(f"the ZK rollup has no {ctx.invoked_subcommand}: say --rollup optimistic")
    ctx.default_map = {name: {"kind": kind} for name in cli.commands}


@cli.group(name="pool")
def pool() -> None:
    """Liquidity of the optimistic rollup: make pools, give to them, take from them.

    Pools and positions are records with an index, which the command that makes them says; `wallet show` shows them.
    """


@cli.group(name="nft")
def nft() -> None:
    """NFTs of the optimistic rollup: mint, give away, sell and buy.

    A sale needs two signatures. The seller makes an offer, a file; the buyer takes it, signs too, and hands it in.
    """


_OPTIMISTIC |= {"pool", "nft"}


def _command(
    name: str, group: click.Group = cli, *, waits: bool = False, optimistic: bool = False
) -> Callable[[Callable[..., None]], click.Command]:
    """A subcommand whose function gets the wallet and its own options. optimistic: on that rollup only."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @common.reports_errors
        def run(
            deployment_file: Path | None,
            account_name: str | None,
            service_url: str | None,
            kind: str = "optimistic",
            **options: Any,
        ) -> None:
            function(_wallet(kind, deployment_file, account_name, service_url), **options)

        run.__doc__ = function.__doc__
        run.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
        for option in (common.service_option, common.account_option, common.deployment_option):
            run = option(run)
        if not optimistic:
            run = common.rollup_option(run)
        elif group is cli:
            _OPTIMISTIC.add(name)
        if waits:
            run = click.option(
                "--wait",
                type=common.Seconds(),
                default=0.0,
                help="Seconds to wait until a batch with it is on L1 (on the ZK rollup: verified).  [default: do not]",
            )(run)
        return group.command(name, cls=common.QuietCommand)(run)

    return decorate


def _wallet(kind: str, deployment_file: Path | None, account_name: str | None, url: str | None) -> Any:
    from layer2.node import client, sequencer_client
    from layer2.wallet.optimistic import OptimisticWallet
    from layer2.wallet.wallet import Wallet

    if kind == "zk":
        rollup = common.connected_rollup(deployment_file)
        signer = common.signer(account_name, rollup.chain)
        return Wallet(rollup, signer, client.RelayerClient(url or client.DEFAULT_URL))
    optimistic = common.connected_optimistic_rollup(deployment_file)
    service = sequencer_client.SequencerClient(
        url or sequencer_client.DEFAULT_URL, optimistic.deployment.chain_id, optimistic.address
    )
    return OptimisticWallet(optimistic, common.signer(account_name, optimistic.chain), service)


def _is_optimistic(wallet: Any) -> bool:
    from layer2.wallet.optimistic import OptimisticWallet

    return isinstance(wallet, OptimisticWallet)


_TOKEN = click.option("--token", "token_name", default="ETH", show_default=True)
_FEE = click.option("--fee", default="0", show_default=True, help="The operator's fee, in the same token.")
_SOURCE = click.option(
    "--from", "source", type=common.ACCOUNT_INDEX, help="Own account, if there are several of the token."
)
_SLIPPAGE = click.option(
    "--slippage",
    type=common.Percent(),
    default="1",
    show_default=True,
    help="By how many percent the pool's price may have got worse.",
)


@_command("key")
def key(wallet: Any) -> None:
    """Show owner and public key: what somebody needs to pay you into a new account.

    On the optimistic rollup the owner is all that is needed.
    """
    click.echo(f"owner {wallet.signer.address}")
    if not _is_optimistic(wallet):
        point = wallet.key.public_key
        click.echo(f"key   {point.x},{point.y}")


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
    from layer2.node.sequencer_client import SequencerClientError

    token = wallet.token(token_name)
    if to_account is None and not new_account:
        try:
            own = [account.index for account in wallet.accounts() if account.account.token == token.id]
        except (RelayerClientError, SequencerClientError) as error:
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
    "--to-key",
    help="The recipient's public key, x,y as `wallet key` shows it: checked with --to, needed without. ZK rollup only.",
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
    value, options = token.parse(amount), {"fee": token.parse(fee), "source": source}
    owner = None if to_owner is None else parse_address(to_owner, "--to-owner")
    if _is_optimistic(wallet):
        if to_key is not None:
            raise click.UsageError("there are no keys on the optimistic rollup: leave --to-key out")
        if to is not None:
            _handed_in(wallet, wallet.transfer(token, to, value, owner=owner, **options), wait)
        elif owner is not None:
            _handed_in(wallet, wallet.transfer_to_new(token, owner, value, **options), wait)
        else:
            raise click.UsageError("give --to ACCOUNT, or --to-owner for a recipient without an account")
        return
    point = None
    if to_key is not None:
        x, _, y = to_key.partition(",")
        point = Point(parse_number(x, "--to-key x"), parse_number(y, "--to-key y"))
    if to is not None:
        _handed_in(wallet, wallet.transfer(token, to, value, owner=owner, key=point, **options), wait)
    elif owner is not None and point is not None:
        _handed_in(wallet, wallet.transfer_to_new(token, owner, point, value, **options), wait)
    else:
        raise click.UsageError("give --to ACCOUNT, or both --to-owner and --to-key for a recipient without an account")


@_command("withdraw", waits=True)
@click.argument("amount")
@_TOKEN
@_FEE
@_SOURCE
def withdraw(wallet: Any, amount: str, token_name: str, fee: str, source: int | None, wait: float) -> None:
    """Take AMOUNT out: claimable on L1 as soon as its batch is verified; on the optimistic rollup, final."""
    token = wallet.token(token_name)
    handed = wallet.withdraw(token, token.parse(amount), fee=token.parse(fee), source=source)
    _handed_in(wallet, handed, wait)


@_command("force-withdraw")
@click.argument("account", type=common.ACCOUNT_INDEX)
def force_withdraw(wallet: Any, account: int) -> None:
    """Queue a withdrawal of everything in ACCOUNT on L1, when no operator takes yours; no service is asked.

    On the optimistic rollup ACCOUNT can be a position in a pool as well.
    """
    receipt = wallet.force_withdrawal(account)
    click.echo(f"queued: transaction 0x{receipt.hash.hex()}; a batch must take it within the inclusion deadline")


@_command("claim")
@_TOKEN
@click.option("--to", help="L1 address to pay.  [default: your own]")
@click.option(
    "--confirm", is_flag=True, help="Optimistic rollup: confirm batches first that nobody can dispute any more."
)
@click.option(
    "--credited", is_flag=True, help="Optimistic rollup: pay out what is credited already (by `escape`), read nothing."
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Optimistic rollup: keep what was read of L1 in this file, or go on from a node's.  [default: read all of L1]",
)
@common.beacon_option
def claim(
    wallet: Any,
    token_name: str,
    to: str | None,
    confirm: bool,
    credited: bool,
    database: Path | None,
    beacon: str | None,
) -> None:
    """Get what was withdrawn, on L1; no service is asked.

    On the optimistic rollup this proves each withdrawal of a final batch. The proofs are made from L1 data.
    """
    from layer2.node.wire import address, parse_address

    token = wallet.token(token_name)
    payee = None if to is None else address(parse_address(to, "--to"))
    if not _is_optimistic(wallet):
        if confirm or credited or database is not None or beacon is not None:
            raise click.UsageError("--confirm, --credited, --database and --beacon are for the optimistic rollup")
        amount, receipt = wallet.claim(token, payee)
        click.echo(f"claimed {token.show(amount)}: transaction 0x{receipt.hash.hex()}")
        return
    from layer2.node.withdrawals import open_withdrawals

    def progress(block: int, batch: int) -> None:
        click.echo(f"read up to block {block}, batch {batch}", err=True)

    with nullcontext() if credited else open_withdrawals(wallet.rollup, database, beacon, progress) as read:
        claimed = wallet.claim(read, token, to=payee, confirm=confirm, say=click.echo)
    click.echo(f"claimed {token.show(claimed.amount)}: transaction 0x{claimed.transaction.hex()}")
    for one in claimed.pending:
        click.echo(f"still to come: {wallet.waits(one)}")


@_command("balance")
def balance(wallet: Any) -> None:
    """Show all Layer 2 accounts of the L1 account, and what is credited to it on L1."""
    accounts = wallet.accounts()
    click.echo(f"owner {wallet.signer.address}")
    for account in accounts:
        token = wallet.token_by_id(account.account.token)
        posted = ""
        if _is_optimistic(wallet) and account.posted != account.account:
            on_l1 = "nothing yet" if account.posted is None else token.show(account.posted.balance)
            posted = f"; on L1 in a batch: {on_l1}"
        click.echo(
            f"account {account.index}: {token.show(account.account.balance)}, nonce {account.account.nonce}{posted}"
        )
    if not _is_optimistic(wallet):
        for account in wallet.foreign_accounts():
            shown = wallet.token_by_id(account.account.token).show(account.account.balance)
            click.echo(f"account {account.index}: {shown}, obeys ANOTHER KEY: pay nothing into it")
    if not accounts:
        click.echo("no account yet: deposit, and wait for the batch that takes it")
    ids = {0, *(account.account.token for account in accounts), *(t.id for t in wallet.tokens)}
    for token in map(wallet.token_by_id, sorted(ids)):
        if amount := wallet.payout(token):
            click.echo(f"to claim: {token.show(amount)}")


@_command("status")
@click.argument("operation", required=False)
def status(wallet: Any, operation: str | None) -> None:
    """Show where OPERATION (a transaction's id) is, or how rollup and operator are."""
    service = wallet.sequencer if _is_optimistic(wallet) else wallet.relayer
    if operation is None:
        for name, value in service.overview().items():
            click.echo(f"{name:18} {value}")
    else:
        _show(wallet, service.status(operation))


# -------------------------------------------------------------------- the optimistic rollup only


@_command("show", optimistic=True)
@click.argument("index", type=common.ACCOUNT_INDEX)
def show(wallet: Any, index: int) -> None:
    """Show the account, pool, position or NFT with this INDEX."""
    from layer2.node.wire import address
    from layer2.optimistic.records import NFT, Account, Pool, Position

    match wallet.record(index):
        case Account(owner, token, nonce, held):
            shown = wallet.token_by_id(token).show(held)
            click.echo(f"account {index}: {shown}, owner {address(owner)}, nonce {nonce}")
        case Pool(token_a, token_b, reserve_a, reserve_b, shares):
            first, second = wallet.token_by_id(token_a).show(reserve_a), wallet.token_by_id(token_b).show(reserve_b)
            click.echo(f"pool {index}: {first} and {second}, {shares} shares")
        case Position(owner, of_pool, shares):
            click.echo(f"position {index}: {shares} shares of pool {of_pool}, owner {address(owner)}")
        case NFT(owner, creator, nonce, content):
            click.echo(
                f"NFT {index}: content 0x{content.hex()}, owner {address(owner)}, creator {address(creator)}, "
                f"handed on {nonce} times"
            )
        case _:
            raise click.ClickException(f"there is nothing at index {index}")


@_command("swap", waits=True, optimistic=True)
@click.argument("amount")
@click.argument("pool_index", metavar="POOL", type=common.ACCOUNT_INDEX)
@_TOKEN
@click.option("--for", "other_name", required=True, metavar="TOKEN", help="The pool's other token.")
@click.option("--minimum", help="Least to take of the other token.  [default: what the pool gives, less the slippage]")
@_SLIPPAGE
@_FEE
@_SOURCE
@click.option("--to", type=common.ACCOUNT_INDEX, help="Own account of the other token, if there are several.")
def swap(
    wallet: Any,
    amount: str,
    pool_index: int,
    token_name: str,
    other_name: str,
    minimum: str | None,
    slippage: int,
    fee: str,
    source: int | None,
    to: int | None,
    wait: float,
) -> None:
    """Give AMOUNT of the token to POOL, for its other token."""
    token, other = wallet.token(token_name), wallet.token(other_name)
    traded = wallet.swap(
        token,
        token.parse(amount),
        other,
        pool_index,
        minimum=None if minimum is None else other.parse(minimum),
        slippage=slippage,
        fee=token.parse(fee),
        source=source,
        to=to,
    )
    _traded(wallet, traded, wait)


@_command("create", pool, waits=True, optimistic=True)
@click.argument("amount_a")
@click.argument("token_a")
@click.argument("amount_b")
@click.argument("token_b")
@_FEE
def create_pool(wallet: Any, amount_a: str, token_a: str, amount_b: str, token_b: str, fee: str, wait: float) -> None:
    """Make a pool with AMOUNT_A of TOKEN_A and AMOUNT_B of TOKEN_B, and a position in it."""
    a, b = wallet.token(token_a), wallet.token(token_b)
    _traded(wallet, wallet.create_pool(a, a.parse(amount_a), b, b.parse(amount_b), fee=a.parse(fee)), wait)


@_command("add", pool, waits=True, optimistic=True)
@click.argument("pool_index", metavar="POOL", type=common.ACCOUNT_INDEX)
@click.argument("amount_a")
@click.argument("token_a")
@click.argument("amount_b")
@click.argument("token_b")
@click.option("--position", type=common.ACCOUNT_INDEX, help="Own position in the pool to add to.  [default: a new one]")
@_SLIPPAGE
@_FEE
def add_liquidity(
    wallet: Any,
    pool_index: int,
    amount_a: str,
    token_a: str,
    amount_b: str,
    token_b: str,
    position: int | None,
    slippage: int,
    fee: str,
    wait: float,
) -> None:
    """Give AMOUNT_A of POOL's first token, TOKEN_A, and about AMOUNT_B of its second, TOKEN_B.

    How much of the second is given belongs to the first by the pool's reserves (`wallet show` tells them). It differs
    from AMOUNT_B by no more than the slippage, or nothing is given.
    """
    a, b = wallet.token(token_a), wallet.token(token_b)
    traded = wallet.add_liquidity(
        pool_index,
        a,
        a.parse(amount_a),
        b,
        b.parse(amount_b),
        position=position or 0,
        slippage=slippage,
        fee=a.parse(fee),
    )
    _traded(wallet, traded, wait)


@_command("remove", pool, waits=True, optimistic=True)
@click.argument("position", type=common.ACCOUNT_INDEX)
@click.argument("amount_a")
@click.argument("token_a")
@click.argument("amount_b")
@click.argument("token_b")
@click.option("--shares", type=click.IntRange(1), help="How many.  [default: all]")
@_SLIPPAGE
@click.option("--fee", default="0", show_default=True, help="The sequencer's fee, in the pool's first token.")
def remove_liquidity(
    wallet: Any,
    position: int,
    amount_a: str,
    token_a: str,
    amount_b: str,
    token_b: str,
    shares: int | None,
    slippage: int,
    fee: str,
    wait: float,
) -> None:
    """Take what belongs to an own POSITION of both reserves, to your accounts.

    Expected are AMOUNT_A of the pool's first token, TOKEN_A, and AMOUNT_B of its second, TOKEN_B; nothing is taken if
    one of them is less by more than the slippage.
    """
    a, b = wallet.token(token_a), wallet.token(token_b)
    traded = wallet.remove_liquidity(
        position,
        a,
        a.parse(amount_a),
        b,
        b.parse(amount_b),
        shares=shares,
        slippage=slippage,
        fee=a.parse(fee),
    )
    _traded(wallet, traded, wait)


@_command("mint", nft, waits=True, optimistic=True)
@click.argument("content")
@_TOKEN
@_FEE
@_SOURCE
def mint_nft(wallet: Any, content: str, token_name: str, fee: str, source: int | None, wait: float) -> None:
    """Make an NFT of CONTENT: 32 bytes, 0x and 64 hex digits; the hash of what it stands for, say.

    The account of --token signs, and pays the fee.
    """
    from layer2.node.sequencer_client import parse_bytes32

    token = wallet.token(token_name)
    minted = wallet.mint_nft(parse_bytes32(content, "content"), token, fee=token.parse(fee), source=source)
    _handed_in(wallet, minted, wait)


@_command("transfer", nft, waits=True, optimistic=True)
@click.argument("nft_index", metavar="NFT", type=common.ACCOUNT_INDEX)
@click.argument("owner")
@_TOKEN
@_FEE
@_SOURCE
def transfer_nft(
    wallet: Any, nft_index: int, owner: str, token_name: str, fee: str, source: int | None, wait: float
) -> None:
    """Give an own NFT to OWNER, an L1 address. The account of --token pays the fee."""
    from layer2.node.wire import parse_address

    token, payee = wallet.token(token_name), parse_address(owner, "owner")
    _handed_in(wallet, wallet.transfer_nft(nft_index, payee, token, fee=token.parse(fee), source=source), wait)


@_command("offer", nft, optimistic=True)
@click.argument("nft_index", metavar="NFT", type=common.ACCOUNT_INDEX)
@click.argument("price")
@_TOKEN
@click.option("--to", type=common.ACCOUNT_INDEX, help="Own account to be paid into, if there are several of the token.")
@click.option("--valid-for", type=click.IntRange(1, 10**9), default=86_400, show_default=True, help="Seconds.")
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File for the offer.")
def offer_nft(
    wallet: Any, nft_index: int, price: str, token_name: str, to: int | None, valid_for: int, output: Path
) -> None:
    """Offer an own NFT for PRICE: sign, and write a file for the buyer.

    Whoever has the file can buy, until the offer expires or the NFT is handed on; transfer it to yourself to call the
    offer back.
    """
    from layer2.wallet.units import show_time

    token = wallet.token(token_name)
    common.writable(output)
    made = wallet.offer_nft(nft_index, token, token.parse(price), to=to, validity=valid_for)
    output.write_text(f"{made.to_json()}\n")
    click.echo(f"NFT {nft_index} for {token.show(made.price)} until {show_time(made.expiry)}: written to {output}")


@_command("buy", nft, waits=True, optimistic=True)
@click.argument("offer", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--price", required=True, help="What you have agreed on; an offer that asks for anything else is refused."
)
@click.option("--token", "token_name", required=True, help="In which token.")
@_FEE
@_SOURCE
@click.option("--yes", is_flag=True, help="Do not ask once more.")
def buy_nft(
    wallet: Any, offer: Path, price: str, token_name: str, fee: str, source: int | None, yes: bool, wait: float
) -> None:
    """Take the OFFER in a file: show what it is of, sign too, and hand it in."""
    from layer2.node.wire import address
    from layer2.wallet.offers import Offer

    made = Offer.from_json(offer.read_text(errors="replace"))
    token = wallet.token(token_name)
    click.echo(
        f"NFT {made.nft}, content 0x{made.content.hex()}, created by {address(made.creator)}, sold by "
        f"{address(made.seller)} for {wallet.token_by_id(made.token).show(made.price)}"
    )
    if not yes:
        click.confirm("Buy it?", abort=True)
    _handed_in(wallet, wallet.buy_nft(made, token, token.parse(price), fee=token.parse(fee), source=source), wait)


# -------------------------------------------------------------------- what was handed in


def _traded(wallet: Any, traded: Any, wait: float) -> None:
    for verb, amounts in (("gives", traded.gives), ("gets", traded.gets)):
        if amounts:
            shown = " and ".join(wallet.token_by_id(token).show(amount) for token, amount in amounts.items())
            click.echo(f"{verb} {shown}")
    _handed_in(wallet, traded.accepted, wait)


def _handed_in(wallet: Any, handed: Any, wait: float) -> None:
    if _is_optimistic(wallet):
        identity = handed.id
        click.echo(f"operation {identity}")
        for name, numbers in (("makes index", handed.created), ("makes withdrawal", handed.withdrawals)):
            if numbers:
                click.echo(f"{name} {', '.join(map(str, numbers))}")
    else:
        identity = handed
        click.echo(f"transaction {identity}")
    if wait > 0:
        result = wallet.wait(identity, wait)
        _show(wallet, result)
        if result.state not in ("verified", "posted", "confirmed"):
            raise click.exceptions.Exit(common.EXPECTED_FAILURE)


def _show(wallet: Any, result: Any) -> None:
    from layer2.foreign import printable
    from layer2.wallet.units import show_time

    where = f" in batch {result.batch_id}, L1 transaction {result.l1_transaction}" if result.batch_id else ""
    when = ""
    if _is_optimistic(wallet) and result.state == "posted" and result.final_at is not None:
        when = f"; can be disputed until {show_time(result.final_at)}"
    why = f": {result.reason}" if result.reason else ""
    click.echo(printable(f"{result.state}{where}{when}{why}"))
