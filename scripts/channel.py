"""`ape run channel`: payment channels of the hub, a service that is paid per request, and a watchtower."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from layer2 import cli as common

_DAY = 24 * 3600


@click.group(name="channel")
def cli() -> None:
    """Pay with signatures: one deposit on L1, then vouchers that the payee claims when it likes.

    Amounts are in whole tokens (0.001). A token is ETH, USDC (the local test token), or a token's address. Channels are
    named by their ids, 0x and 64 hex digits.
    """


def _database_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--database",
        type=click.Path(dir_okay=False, path_type=Path),
        help="SQLite file.  [default: one for role, chain and account in deploy/local]",
    )(function)


def _command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A subcommand whose function gets the contracts, the account, the database's file if named, and its options."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @common.reports_errors
        def run(deployment_file: Path | None, account_name: str | None, database: Path | None, **options: Any) -> None:
            channels = common.connected_channels(deployment_file)
            function(channels, common.signer(account_name, channels.chain), database, **options)

        run.__doc__ = function.__doc__
        run.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
        for option in (_database_option, common.account_option, common.deployment_option):
            run = option(run)
        return cli.command(name, cls=common.ChainCommand)(run)

    return decorate


_TOKEN = click.option("--token", "token_name", default="ETH", show_default=True, help="What is paid.")


@cli.command("deploy", cls=common.ChainCommand)
@common.account_option
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write instead.")
@common.reports_errors
def deploy(account_name: str | None, output: Path | None) -> None:
    """Deploy hub and state channels, on a local chain also a test USDC; write deploy/<chain id>-channels.json."""
    from layer2.channels import deployment
    from layer2.channels.deployment import deploy_channels

    common.compile_contracts()
    chain = common.connected_chain()
    signer = common.signer(account_name, chain)
    path = common.writable(output or deployment.path_of(chain.chain_id()))
    made = deploy_channels(chain, signer, progress=click.echo)
    deployment.write(made.deployment, path)
    d = made.deployment
    click.echo(f"hub            {d.hub} in block {d.block} of chain {d.chain_id}")
    click.echo(f"state channels {d.state_channel}")
    for token in d.tokens:
        click.echo(f"{token.symbol:14} {token.address}")
    click.echo(f"gas            {', '.join(f'{name} {gas:,}' for name, gas in made.gas.items())}")
    click.echo(f"written        {path}")


# -------------------------------------------------------------------- payers


@_command("open")
@click.argument("payee")
@click.argument("amount")
@_TOKEN
@click.option("--withdraw-delay", default=_DAY, show_default=True, help="Seconds that a withdrawal takes.")
@click.option("--own-key", is_flag=True, help="Sign vouchers with a new key, kept in the database, not the account's.")
def open_(
    channels: Any,
    signer: Any,
    database: Path | None,
    payee: str,
    amount: str,
    token_name: str,
    withdraw_delay: int,
    own_key: bool,
) -> None:
    """Open a channel to PAYEE with a deposit of AMOUNT."""
    from layer2.channels.running import run_once
    from layer2.channels.signing import ETH
    from layer2.crypto.addresses import address_to_int, int_to_address

    token = channels.token(token_name)
    with _payer(channels, signer, database) as payer:
        config = payer.open(
            int_to_address(address_to_int(payee)),
            token.parse(amount),
            token=token.address or ETH,
            withdraw_delay=withdraw_delay,
            own_key=own_key,
        )
        run_once(payer, click.echo)
    click.echo(f"channel 0x{config.id.hex()}")


@_command("top-up")
@click.argument("channel")
@click.argument("amount")
def top_up(channels: Any, signer: Any, database: Path | None, channel: str, amount: str) -> None:
    """Deposit AMOUNT more into CHANNEL."""
    from layer2.channels.running import parse_channel, run_once, token_of

    key = parse_channel(channel)
    with _payer(channels, signer, database) as payer:
        payer.step()
        payer.top_up(key, token_of(channels, payer.entry(key).config.token).parse(amount))
        run_once(payer, click.echo)


@_command("pay")
@click.argument("channel")
@click.argument("amount")
@click.option("--reference", default="", help="Any text: the same one gives the same voucher again.")
def pay(channels: Any, signer: Any, database: Path | None, channel: str, amount: str, reference: str) -> None:
    """Sign a voucher that pays AMOUNT more over CHANNEL, and print it: give it to the payee."""
    from layer2.channels.running import parse_channel, token_of

    key = parse_channel(channel)
    with _payer(channels, signer, database) as payer:
        payer.step()
        token = token_of(channels, payer.entry(key).config.token)
        payment = payer.pay(key, token.parse(amount), reference)
        click.echo(f"pays {token.show(payment.paid)} more, {token.show(payment.amount)} in all", err=True)
    click.echo(payment.signed.text)


@_command("withdraw")
@click.argument("channel")
@click.option("--cancel", is_flag=True, help="Leave the money in the channel after all.")
def withdraw(channels: Any, signer: Any, database: Path | None, channel: str, cancel: bool) -> None:
    """Get back what was not claimed: starts a withdrawal from CHANNEL, or finishes it if its time has come.

    Exit code 0 when it is finished (or cancelled), 1 while the payee can still claim.
    """
    from layer2.channels import running

    key = running.parse_channel(channel)
    with _payer(channels, signer, database) as payer:
        if cancel:
            payer.step()
            payer.cancel_withdrawal(key)
            running.run_once(payer, click.echo)
            click.echo("no withdrawal is pending")
        elif not running.withdraw(payer, key, click.echo):
            raise SystemExit(common.EXPECTED_FAILURE)


@_command("fetch")
@click.argument("url")
@_TOKEN
@click.option("--max-price", required=True, help="Most for one request.")
@click.option("--deposit", default="0", show_default=True, help="Open a channel with this much if there is none.")
@click.option("--withdraw-delay", default=_DAY, show_default=True, help="Longest delay, in seconds, to agree to.")
@click.option("--own-key", is_flag=True, help="As for open.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="File for the answer.  [default: shown]"
)
def fetch(
    channels: Any,
    signer: Any,
    database: Path | None,
    url: str,
    token_name: str,
    max_price: str,
    deposit: str,
    withdraw_delay: int,
    own_key: bool,
    output: Path | None,
) -> None:
    """GET URL, and pay for it with a voucher if the service asks for that (402)."""
    from layer2.channels.fetching import PayingClient
    from layer2.channels.signing import ETH

    token = channels.token(token_name)
    if output is not None:
        common.writable(output)  # an answer that was paid for must not get lost

    def say(line: str) -> None:
        click.echo(line, err=True)

    with _payer(channels, signer, database) as payer:
        client = PayingClient(
            payer,
            token=token.address or ETH,
            max_price=token.parse(max_price),
            deposit=token.parse(deposit),
            withdraw_delay=withdraw_delay,
            own_key=own_key,
            say=say,
        )
        fetched = client.fetch(url)
    if fetched.payment is None:
        say(f"status {fetched.status}, nothing paid")
    else:
        paid, total = token.show(fetched.payment.paid), token.show(fetched.payment.amount)
        say(f"status {fetched.status}, paid {paid}, {total} in all over channel 0x{fetched.payment.channel_id.hex()}")
    if output is None:
        click.echo(fetched.body, nl=False)
    else:
        output.write_bytes(fetched.body)
    if fetched.status >= 400:
        raise SystemExit(common.EXPECTED_FAILURE)


# -------------------------------------------------------------------- payees

_MIN_DELAY = click.option(
    "--min-withdraw-delay", default=_DAY, show_default=True, help="Least delay of withdrawals that is taken."
)


@_command("claim")
@click.argument("channel_ids", metavar="[CHANNEL]...", nargs=-1)
@click.option("--voucher", "vouchers", multiple=True, metavar="TEXT", help="Take this voucher first; may be repeated.")
@_MIN_DELAY
def claim(
    channels: Any,
    signer: Any,
    database: Path | None,
    channel_ids: tuple[str, ...],
    vouchers: tuple[str, ...],
    min_withdraw_delay: int,
) -> None:
    """Claim the best vouchers, of each CHANNEL or of all, and have the money paid out."""
    from layer2.channels.running import parse_channel, run_once, take_vouchers
    from layer2.channels.vouchers import SignedVoucher

    signed = [SignedVoucher.parse(text) for text in vouchers]
    keys = [parse_channel(text) for text in channel_ids]
    with _payee(channels, signer, database, min_withdraw_delay) as payee:
        payee.step()
        take_vouchers(payee, signed, click.echo)
        if not payee.claim(keys or None):
            raise click.ClickException("there is nothing to claim: take a voucher first")
        run_once(payee, click.echo)


@_command("serve")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--price", required=True, help="Of each request.")
@_TOKEN
@_MIN_DELAY
@click.option(
    "--claim-at", help="Claim as soon as this much is unclaimed in a channel.  [default: on withdrawals only]"
)
@click.option("--dust", default="0", show_default=True, help="Claim nothing that is as little: the gas costs more.")
@click.option(
    "--confirmations", type=click.IntRange(0), help="Blocks above a deposit.  [default: 12, 0 on local chains]"
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the service listens.")
@click.option("--port", default=8549, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--interval",
    type=common.Seconds(min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds between looks at an idle chain.",
)
def serve(
    channels: Any,
    signer: Any,
    database: Path | None,
    files: tuple[Path, ...],
    price: str,
    token_name: str,
    min_withdraw_delay: int,
    claim_at: str | None,
    dust: str,
    confirmations: int | None,
    host: str,
    port: int,
    interval: float,
) -> None:
    """Sell each FILE at http://HOST:PORT/NAME: 402 with the terms without a voucher, the file with one.

    The account given is the payee. It may be stopped and killed at any time.
    """
    from layer2.channels.payee import PayeeRules
    from layer2.channels.running import ServeOptions, database_path, run_service
    from layer2.channels.signing import ETH

    token = channels.token(token_name)
    address = token.address or ETH
    least = None if claim_at is None else token.parse(claim_at)
    rules = PayeeRules(frozenset({address}), min_withdraw_delay, least, dust=token.parse(dust))
    path = database or database_path("payee", channels, signer)
    options = ServeOptions(path, host, port, interval, address, token.parse(price), files, confirmations)
    run_service(channels, signer, rules, options, say=click.echo)


# -------------------------------------------------------------------- both, and others


@_command("close")
@click.argument("channel")
@click.option("--url", help="For the payer: the payee's service, which is asked for its consent.")
def close(channels: Any, signer: Any, database: Path | None, channel: str, url: str | None) -> None:
    """Close CHANNEL at once: what was paid to the payee, the rest to the payer, nothing to wait for.

    The payee can do it alone, the payer with the payee's consent.
    """
    from layer2.channels.fetching import PayingClient
    from layer2.channels.running import parse_channel, run_once

    key = parse_channel(channel)
    if url is None:
        with _payee(channels, signer, database, 0) as payee:
            payee.step()
            payee.close(key)
            run_once(payee, click.echo)
        return
    with _payer(channels, signer, database) as payer:
        payer.step()
        client = PayingClient(payer, token=payer.entry(key).config.token, max_price=0)
        payer.close(client.ask_to_close(url, key))
        run_once(payer, click.echo)


@_command("status")
@click.argument("channel", required=False)
@click.option("--payee", "is_payee", is_flag=True, help="As payee.  [default: as payer]")
def status(channels: Any, signer: Any, database: Path | None, channel: str | None, is_payee: bool) -> None:
    """Show the account's channels, or CHANNEL, and what was paid over them. Sends what waits to be sent."""
    from layer2.channels.running import parse_channel, run_once, show_entry

    wanted = None if channel is None else parse_channel(channel)
    with _payee(channels, signer, database, 0) if is_payee else _payer(channels, signer, database) as actor:
        run_once(actor, click.echo)
        now = channels.chain.head().timestamp
        shown = [entry for entry in actor.follower.hub.values() if wanted in (None, entry.id)]
        for entry in shown:
            last = actor.best(entry.id) if is_payee else actor.payment(entry.id)
            click.echo("\n".join(show_entry(channels, entry, last.amount if last else 0, now)) + "\n")
    if not shown:
        role = "payee" if is_payee else "payer"
        raise click.ClickException(f"{signer.address} is the {role} of no such channel: open one, or look as the other")


@_command("watch")
@click.option("--voucher", "vouchers", multiple=True, metavar="TEXT", help="Keep this voucher; may be repeated.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keep the co-signed state in this JSON file; may be repeated.",
)
@click.option(
    "--interval",
    type=common.Seconds(min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds between looks at an idle chain.",
)
@click.option("--once", is_flag=True, help="Do what there is to do, and end.")
def watch(
    channels: Any,
    signer: Any,
    database: Path | None,
    vouchers: tuple[str, ...],
    states: tuple[Path, ...],
    interval: float,
    once: bool,
) -> None:
    """Watch for others, at the account's cost: claim vouchers when their payer withdraws, answer old states.

    Exit code 0 if nothing came too late, else 1.
    """
    from layer2.channels.running import WatchOptions, database_path, read_signed_state, run_watchtower
    from layer2.channels.vouchers import SignedVoucher

    options = WatchOptions(
        database or database_path("watchtower", channels, signer),
        tuple(SignedVoucher.parse(text) for text in vouchers),
        tuple(read_signed_state(path) for path in states),
        interval,
        once,
    )
    if not run_watchtower(channels, signer, options, say=click.echo):
        raise SystemExit(common.EXPECTED_FAILURE)


def _payer(channels: Any, signer: Any, database: Path | None) -> Any:
    """The account's payer, with its database open."""
    from layer2.channels.running import opened_payer

    return opened_payer(channels, signer, database)


def _payee(channels: Any, signer: Any, database: Path | None, withdraw_delay: int) -> Any:
    """The account's payee, with its database open."""
    from layer2.channels.running import opened_payee

    return opened_payee(channels, signer, database, withdraw_delay)
