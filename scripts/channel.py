"""`ape run channel`: payment channels of the hub, a service that is paid per request, state channels, a watchtower."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from layer2 import cli as common

_DAY = 24 * 3600


@click.group(name="channel")
def cli() -> None:
    """Pay with signatures: one deposit on L1, then vouchers that the payee claims when it likes.

    Channels in which two parties pay each other are in the group `state`. `watch` looks after channels of both kinds.

    Amounts are in whole tokens (0.001). A token is ETH, USDC (the local test token), or a token's address. Channels are
    named by their ids, 0x and 64 hex digits.
    """


def _database_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--database",
        type=click.Path(dir_okay=False, path_type=Path),
        help="SQLite file.  [default: one for role, chain and account in deploy/local]",
    )(function)


def _dust_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--dust",
        default=0,
        show_default=True,
        type=click.IntRange(0),
        help="Leave where it is what is no more than this, in smallest units of any token: the gas costs more.",
    )(function)


def _dust() -> int:
    """Of the command that runs."""
    return int(click.get_current_context().params["dust"])


def _command(
    name: str, group: click.Group = cli, own_dust: bool = False
) -> Callable[[Callable[..., None]], click.Command]:
    """A command of a group; its function gets the contracts, the account, the database's file if named, and options.

    own_dust: whether it has an option of its own for that, or none.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @common.reports_errors
        def run(deployment_file: Path | None, account_name: str | None, database: Path | None, **options: Any) -> None:
            if not own_dust:
                del options["dust"]  # see `_dust`
            channels = common.connected_channels(deployment_file)
            function(channels, common.signer(account_name, channels.chain), database, **options)

        run.__doc__ = function.__doc__
        run.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
        dust = () if own_dust else (_dust_option,)
        for option in (*dust, _database_option, common.account_option, common.deployment_option):
            run = option(run)
        return group.command(name, cls=common.QuietCommand)(run)

    return decorate


def _say_aside(line: str) -> None:
    click.echo(line, err=True)


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

    Exit code 0 when it is finished (or cancelled), 1 while the payee can still claim, or more than --dust is owed.
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
    "--answer-within",
    default=60,
    show_default=True,
    type=click.IntRange(1, _DAY),
    help="Seconds for a whole answer, however slowly it comes.",
)
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
    answer_within: int,
    output: Path | None,
) -> None:
    """GET URL, and pay for it with a voucher if the service asks for that (402)."""
    from layer2.channels.fetching import Fetched, PayingClient
    from layer2.channels.running import store
    from layer2.channels.signing import ETH

    token = channels.token(token_name)
    if output is not None:
        common.writable(output)  # an answer that was paid for must not get lost

    def keep(fetched: Fetched) -> None:
        if output is None:
            click.echo(fetched.body, nl=False)
        else:
            store(output, fetched.body)

    with _payer(channels, signer, database) as payer:
        client = PayingClient(
            payer,
            token=token.address or ETH,
            max_price=token.parse(max_price),
            deposit=token.parse(deposit),
            withdraw_delay=withdraw_delay,
            own_key=own_key,
            answer_within=answer_within,
            say=_say_aside,
        )
        fetched = client.fetch(url, keep)
    if fetched.payment is None:
        _say_aside(f"status {fetched.status}, nothing paid")
    else:
        paid, total = token.show(fetched.payment.paid), token.show(fetched.payment.amount)
        channel_id = fetched.payment.channel_id
        _say_aside(f"status {fetched.status}, paid {paid}, {total} in all over channel 0x{channel_id.hex()}")
    if not 200 <= fetched.status < 300:
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


@_command("serve", own_dust=True)
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
@common.interval_option
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


@_command("watch", own_dust=True)
@click.option("--voucher", "vouchers", multiple=True, metavar="TEXT", help="Keep this voucher; may be repeated.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keep the co-signed state in this JSON file; may be repeated.",
)
@common.interval_option
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


# -------------------------------------------------------------------- channels of two parties


@cli.group(name="state")
def state() -> None:
    """Channels in which two parties pay each other: the latest state that both have signed wins.

    Parties write each other messages. Commands that make one print it, or write it into a file (--output). Carry it to
    the other party, who gives it to `receive`, which makes the answer if there is one. A payment is done when `receive`
    says that its version is signed by both: three messages.

    Run `step` more often than the challenge period, or give each new state (`export`) to somebody's `channel watch`.
    Never put an old copy of the database in place: a party that closes with an old state loses everything.
    """


_OUTPUT = click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="File for the message.  [default: printed]"
)


def _writer(output: Path | None) -> Callable[[Any], None]:
    """Writes a message where it is wanted; whether that can be done is known before anything is signed."""
    from layer2.channels.messages import message_to_json

    if output is not None:
        common.writable(output)

    def write(message: Any) -> None:
        text = message_to_json(message)
        if output is None:
            click.echo(text)
        else:
            output.write_text(f"{text}\n")

    return write


@contextmanager
def _party(channels: Any, signer: Any, database: Path | None, say: Callable[[str], None] = click.echo) -> Iterator[Any]:
    """The account's party, with its database open, after it has done what is due."""
    from layer2.channels.party_running import opened_party

    with opened_party(channels, signer, database, _dust(), say) as correspondent:
        correspondent.look()
        yield correspondent


def _amount(correspondent: Any, channel_id: bytes, text: str) -> int:
    """An amount of a channel's token."""
    from layer2.channels.running import token_of

    party = correspondent.party
    return token_of(party.channels, party.entry(channel_id).config.token).parse(text)


@_command("open", state)
@click.argument("other")
@click.argument("amount")
@_TOKEN
@click.option(
    "--challenge-period", default=_DAY, show_default=True, help="Seconds in which an old state can be answered."
)
def state_open(
    channels: Any,
    signer: Any,
    database: Path | None,
    other: str,
    amount: str,
    token_name: str,
    challenge_period: int,
) -> None:
    """Open a channel with the party OTHER, an address, and deposit AMOUNT."""
    from layer2.channels.signing import ETH
    from layer2.crypto.addresses import address_to_int, int_to_address

    token = channels.token(token_name)
    with _party(channels, signer, database) as correspondent:
        key = correspondent.open(
            int_to_address(address_to_int(other)), token.parse(amount), token.address or ETH, challenge_period
        )
    click.echo(f"channel 0x{key.hex()}")


@_command("deposit", state)
@click.argument("channel")
@click.argument("amount")
def state_deposit(channels: Any, signer: Any, database: Path | None, channel: str, amount: str) -> None:
    """Deposit AMOUNT (more) into CHANNEL: each party for itself."""
    from layer2.channels.running import parse_channel

    key = parse_channel(channel)
    with _party(channels, signer, database) as correspondent:
        correspondent.deposit(key, _amount(correspondent, key, amount))


@_command("pay", state)
@click.argument("channel")
@click.argument("amount")
@click.option("--if-secret", "hash_text", metavar="HASH", help="Lock it: paid only if the secret with HASH is shown.")
@click.option(
    "--within", default=_DAY, show_default=True, help="Seconds from now in which it has to be shown, else it goes back."
)
@_OUTPUT
def state_pay(
    channels: Any,
    signer: Any,
    database: Path | None,
    channel: str,
    amount: str,
    hash_text: str | None,
    within: int,
    output: Path | None,
) -> None:
    """Propose to pay AMOUNT over CHANNEL: makes a message for the other party."""
    from layer2.channels.running import parse_channel
    from layer2.channels.signing import parse_bytes

    key = parse_channel(channel)
    hash_ = None if hash_text is None else parse_bytes("hash", hash_text)
    write = _writer(output)
    with _party(channels, signer, database, _say_aside) as correspondent:
        party, units = correspondent.party, _amount(correspondent, key, amount)
        if hash_ is None:
            message = party.pay(key, units)
        else:
            message = party.lock(key, units, hash_, correspondent.deadline(within))
        write(message)
        _say_aside(correspondent.describe(message))


@_command("secret", state)
@click.argument("amount")
@_TOKEN
def state_secret(channels: Any, signer: Any, database: Path | None, amount: str, token_name: str) -> None:
    """Make a secret to be paid for, and print its hash: give that to whoever is to pay AMOUNT or more.

    The secret stays in the database; no lock of less is taken for it.
    """
    from layer2.channels.signing import ETH

    token = channels.token(token_name)
    with _party(channels, signer, database, _say_aside) as correspondent:
        hash_ = correspondent.party.new_secret(token.parse(amount), token.address or ETH)
    click.echo(f"0x{hash_.hex()}")


@_command("forward", state)
@click.argument("channel")
@click.argument("hash_text", metavar="HASH")
@click.argument("onward")
@click.option("--fee", default="0", show_default=True, help="Keep this much.")
@_OUTPUT
def state_forward(
    channels: Any,
    signer: Any,
    database: Path | None,
    channel: str,
    hash_text: str,
    onward: str,
    fee: str,
    output: Path | None,
) -> None:
    """Propose to pay the lock with HASH that CHANNEL has for you on, over the channel ONWARD.

    Its deadline there is two hours earlier. Makes a message for the other party of ONWARD.
    """
    from layer2.channels.running import parse_channel
    from layer2.channels.signing import parse_bytes

    key, onward_key, hash_ = parse_channel(channel), parse_channel(onward), parse_bytes("hash", hash_text)
    write = _writer(output)
    with _party(channels, signer, database, _say_aside) as correspondent:
        message = correspondent.party.forward(key, hash_, onward_key, _amount(correspondent, key, fee))
        write(message)
        _say_aside(correspondent.describe(message))


@_command("unlock", state)
@click.argument("channel")
@click.argument("hash_text", metavar="HASH")
@click.option("--cancel", is_flag=True, help="Give it back: as its payee at any time, as its maker after the deadline.")
@_OUTPUT
def state_unlock(
    channels: Any,
    signer: Any,
    database: Path | None,
    channel: str,
    hash_text: str,
    cancel: bool,
    output: Path | None,
) -> None:
    """Propose that the lock with HASH on CHANNEL is paid, as its secret is known.

    Makes a message for the other party. The secret goes with it if the lock pays you.
    """
    from layer2.channels.running import parse_channel
    from layer2.channels.signing import parse_bytes

    key, hash_ = parse_channel(channel), parse_bytes("hash", hash_text)
    write = _writer(output)
    with _party(channels, signer, database, _say_aside) as correspondent:
        message = correspondent.party.cancel(key, hash_) if cancel else correspondent.unlock(key, hash_)
        write(message)
        _say_aside(correspondent.describe(message))


@_command("receive", state)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@_OUTPUT
def state_receive(channels: Any, signer: Any, database: Path | None, file: Path, output: Path | None) -> None:
    """Take the other party's message from FILE ("-": standard input), and make the answer, if there is one.

    Exit code 0 when it is agreed to, 1 when it is refused, by you (the answer says why) or by the other.
    """
    from layer2.channels.party_running import read_message

    text = read_message(file, click.get_text_stream("stdin").read)
    write = _writer(output)
    with _party(channels, signer, database, _say_aside) as correspondent:
        if not correspondent.receive(text, write):
            raise SystemExit(common.EXPECTED_FAILURE)


@_command("resend", state)
@click.argument("channel")
@_OUTPUT
def state_resend(channels: Any, signer: Any, database: Path | None, channel: str, output: Path | None) -> None:
    """Make the last message about CHANNEL again, should it have got lost: that does no harm if it was not."""
    from layer2.channels.running import parse_channel

    key = parse_channel(channel)
    write = _writer(output)
    with _party(channels, signer, database, _say_aside) as correspondent:
        write(correspondent.resend(key))


@_command("drop", state)
@click.argument("channel")
def state_drop(channels: Any, signer: Any, database: Path | None, channel: str) -> None:
    """Give up what you have proposed on CHANNEL and the other party has not answered, to propose something else.

    If the other party has signed it already, it still answers with that: propose the same again, or close alone.
    """
    from layer2.channels.running import parse_channel

    key = parse_channel(channel)
    with _party(channels, signer, database) as correspondent:
        correspondent.party.withdraw_proposal(key)


@_command("export", state)
@click.argument("channel")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File.  [default: printed]")
def state_export(channels: Any, signer: Any, database: Path | None, channel: str, output: Path | None) -> None:
    """Write the last state of CHANNEL that both have signed, for `channel watch --state FILE`."""
    from layer2.channels.running import parse_channel

    key = parse_channel(channel)
    if output is not None:
        common.writable(output)
    with _party(channels, signer, database, _say_aside) as correspondent:
        signed = correspondent.export(key)
    text = json.dumps(signed.to_json(), indent=2)
    if output is None:
        click.echo(text)
    else:
        output.write_text(f"{text}\n")
        _say_aside(f"version {signed.state.version} written into {output}")


@_command("close", state)
@click.argument("channel")
@click.option("--alone", is_flag=True, help="With the last state that both have signed: takes the challenge period.")
@click.option("--nothing-signed", is_flag=True, help="With --alone: nothing was ever signed, and that is so.")
@_OUTPUT
def state_close(
    channels: Any,
    signer: Any,
    database: Path | None,
    channel: str,
    alone: bool,
    nothing_signed: bool,
    output: Path | None,
) -> None:
    """Close CHANNEL: together at once, or if the other party does not answer, alone.

    Together: makes a message for the other party; when its answer is received, the closing is sent. After your
    signature, or with --alone, nothing more is signed. If it is closed already, what is owed is paid out, also in a
    token that is not in the deployment file: who closes trusts the token.

    Exit code 0 when it is closed, or the message is there; 1 while an old state could still be answered, or more than
    --dust is owed.
    """
    from layer2.channels.running import parse_channel

    key = parse_channel(channel)
    if nothing_signed and not alone:
        raise click.UsageError("--nothing-signed goes with --alone")
    write = _writer(output)
    with _party(channels, signer, database, _say_aside) as correspondent:
        if not alone:
            correspondent.close(key, write)
        elif not correspondent.close_alone(key, nothing_signed):
            raise SystemExit(common.EXPECTED_FAILURE)


@_command("step", state)
def state_step(channels: Any, signer: Any, database: Path | None) -> None:
    """Do what is due in all channels: answer old states, reveal secrets, finish closings, have money paid out.

    Exit code 0 if nothing came too late, else 1.
    """
    from layer2.channels.party_running import opened_party

    with opened_party(channels, signer, database, _dust(), click.echo) as correspondent:
        if not correspondent.step():
            raise SystemExit(common.EXPECTED_FAILURE)


@_command("status", state)
@click.argument("channel", required=False)
def state_status(channels: Any, signer: Any, database: Path | None, channel: str | None) -> None:
    """Show the account's channels, or CHANNEL: balances, version, locks, deadlines, and what is owed.

    Does what is due, as every command.
    """
    from layer2.channels.running import parse_channel

    wanted = None if channel is None else parse_channel(channel)
    with _party(channels, signer, database) as correspondent:
        states = correspondent.party.follower.states
        shown = list(states.values()) if wanted is None else [correspondent.party.entry(wanted)]
        for entry in shown:
            click.echo("\n".join(correspondent.status(entry)) + "\n")
    if not shown:
        raise click.ClickException(
            f"{signer.address} is a party of no channel: open one, or wait for its confirmations"
        )


def _payer(channels: Any, signer: Any, database: Path | None) -> Any:
    """The account's payer, with its database open."""
    from layer2.channels.running import opened_payer

    return opened_payer(channels, signer, database, _dust())


def _payee(channels: Any, signer: Any, database: Path | None, withdraw_delay: int) -> Any:
    """The account's payee, with its database open."""
    from layer2.channels.running import opened_payee

    return opened_payee(channels, signer, database, withdraw_delay, _dust())
