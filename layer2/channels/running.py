"""The payee's service and the watchtower as programs, and what payer and payee do on the command line.

May import everything but scripts.
"""

import errno
import json
import mimetypes
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layer2.chain.deployment import FOLDER
from layer2.chain.signer import Signer
from layer2.channels.actor import ChannelActor, StepReport
from layer2.channels.contracts import Channels
from layer2.channels.errors import ChannelError, MalformedError
from layer2.channels.paid import Desk, Good, Shop, create_shop
from layer2.channels.payee import Payee, PayeeRules, PayeeStore
from layer2.channels.payer import Payer, PayerStore
from layer2.channels.signing import ETH, parse_bytes
from layer2.channels.states import SignedState
from layer2.channels.store import HubEntry
from layer2.channels.vouchers import SignedVoucher
from layer2.channels.watchtower import Watchtower, WatchtowerStore
from layer2.node.server import Server
from layer2.node.service import ForegroundLoop
from layer2.wallet.units import TokenInfo

Say = Callable[[str], None]

LOCAL: Final = FOLDER / "local"
"""Where databases are unless another file is named."""


def database_path(role: str, channels: Channels, signer: Signer) -> Path:
    """The file of an account's database in a role: payer, payee or watchtower."""
    return LOCAL / f"channel-{role}-{channels.deployment.chain_id}-{signer.address}.sqlite"


def parse_channel(text: str) -> bytes:
    """A channel's id. Raises MalformedError."""
    return parse_bytes("channel id", text)


def token_of(channels: Channels, address: str) -> TokenInfo:
    """A token by its address; 0 is ETH."""
    return channels.token("ETH" if address == ETH else address)


def tell(report: StepReport, say: Say) -> bool:
    """Say what a step did. Returns whether everything that was settled worked."""
    if report.sync.rewound_to is not None:
        say(f"L1 reorg: went back to block {report.sync.rewound_to.number}")
    for warning in report.warnings:
        say(f"warning: {warning}")
    for move in report.settled:
        about = f"{move.purpose} ({move.reference})"
        if move.reason is not None:
            say(f"{about} came to nothing: {move.reason}")
        elif move.transaction is not None:
            say(f"{about}: transaction 0x{move.transaction.hex()}")
    return all(move.reason is None for move in report.settled)


def run_once(actor: ChannelActor, say: Say) -> None:
    """Step until there is nothing to do. Raises ChannelError when a call came to nothing, or one that was started here
    cannot be paid for."""
    reports = actor.run_until_idle()
    results = [tell(report, say) for report in reports]
    started = {move for report in reports for move in report.started}
    if not all(results) or started & set(reports[-1].unpaid):
        raise ChannelError("not everything was done: see above")


# -------------------------------------------------------------------- the paid service


@dataclass(frozen=True)
class ServeOptions:
    """What is sold where. price in smallest units. files: each is sold at its name. interval: seconds between steps."""

    database: Path
    host: str
    port: int
    interval: float
    token: str
    price: int
    files: tuple[Path, ...]
    confirmations: int | None


def run_service(channels: Channels, signer: Signer, rules: PayeeRules, options: ServeOptions, *, say: Say) -> None:
    """Sell files until SIGINT or SIGTERM. Raises ActorError or ChainError for what makes it impossible to go on."""
    goods = {f"/{file.name}": _good(file, options.price) for file in options.files}
    with ExitStack() as stack:
        store = stack.enter_context(PayeeStore(options.database))
        payee = Payee(channels, store, signer, rules, confirmations=options.confirmations)
        say(f"payee {signer.address} at hub {channels.hub}, database {options.database}")

        def tell_step(report: StepReport) -> None:
            tell(report, say)

        loop = ForegroundLoop(payee, options.interval, tell_step, say)
        desk = stack.enter_context(Desk(payee))
        shop = Shop(payee, desk, goods, options.token)
        server = stack.enter_context(Server(create_shop(shop, loop.loop), options.host, options.port))
        shown = token_of(channels, options.token).show(options.price)
        for path in goods:
            say(f"{server.url}{path} costs {shown}")
        say(f"listening on {server.url}; end with Ctrl-C")
        loop.run()


def _good(file: Path, price: int) -> Good:
    kind, _ = mimetypes.guess_type(file.name)
    return Good(price, file.read_bytes, kind or "application/octet-stream")


# -------------------------------------------------------------------- watching for others


@dataclass(frozen=True)
class WatchOptions:
    """What is given to the watchtower before it starts. interval: seconds between steps."""

    database: Path
    vouchers: tuple[SignedVoucher, ...]
    states: tuple[SignedState, ...]
    interval: float
    once: bool


def run_watchtower(channels: Channels, signer: Signer, options: WatchOptions, *, say: Say) -> bool:
    """Watch until SIGINT or SIGTERM, or with `once` once. Returns whether nothing came too late.

    Raises ActorError or ChainError for what makes it impossible to go on.
    """
    said: set[str] = set()

    def tell_new(report: StepReport) -> None:
        new = [warning for warning in report.warnings if warning not in said]
        said.update(new)
        report.warnings[:] = new
        tell(report, say)

    with WatchtowerStore(options.database) as store:
        tower = Watchtower(channels, store, signer)
        say(f"watchtower {signer.address} of hub {channels.hub} and state channels {channels.state_channel}")
        tower.follower.sync()
        for voucher in options.vouchers:
            tower.hold_voucher(voucher)
            say(f"keeping a voucher of channel 0x{voucher.channel_id.hex()} over {voucher.amount}")
        for state in options.states:
            tower.hold_state(state)
            say(f"keeping version {state.state.version} of channel 0x{state.state.channel_id.hex()}")
        if options.once:
            for report in tower.run_until_idle():
                tell_new(report)
            return not said
        ForegroundLoop(tower, options.interval, tell_new, say).run()
        return not said


# -------------------------------------------------------------------- payer and payee by hand


def take_vouchers(payee: Payee, vouchers: Sequence[SignedVoucher], say: Say) -> None:
    """Take vouchers by hand. Raises RefusedError for the first that is not taken."""
    for signed in vouchers:
        taken = payee.accept(signed)
        token = token_of(payee.channels, payee.follower.hub[taken.channel_id].config.token)
        say(f"taken: {token.show(taken.paid)} more, {token.show(taken.amount)} in all")


def show_entry(channels: Channels, entry: HubEntry, paid: int, now: int) -> list[str]:
    """A channel in lines. paid: what the last voucher known here states. now: L1's time, seconds since 1970."""
    token = token_of(channels, entry.config.token)
    facts = entry.facts
    lines = [
        f"channel   0x{entry.id.hex()}",
        f"payer     {entry.config.payer}",
        f"payee     {entry.config.payee}",
        f"deposited {token.show(facts.deposited)}, of which {token.show(facts.released)} left it",
    ]
    spent = max(paid, facts.released)
    lines.append(f"paid      {token.show(spent)}, {token.show(max(facts.deposited - spent, 0))} left")
    if entry.config.voucher_signer != entry.config.payer:
        lines.append(f"signer    {entry.config.voucher_signer}")
    if facts.withdrawable_after:
        when = f"after {facts.withdrawable_after}" if now <= facts.withdrawable_after else "now"
        lines.append(f"withdrawal pending: it can be finished {when}")
    return lines


def withdraw(payer: Payer, channel_id: bytes, say: Say) -> bool:
    """Start a withdrawal, or finish it if its time has come, and have paid out what is owed. Returns whether it is
    finished. Raises ChannelError when more than dust is still owed."""
    payer.step()
    if payer.entry(channel_id).facts.balance or payer.owed(channel_id):
        payer.withdraw(channel_id)
    run_once(payer, say)
    facts = payer.entry(channel_id).facts
    if facts.balance and not facts.withdrawable_after:
        raise ChannelError("the withdrawal has not begun: see above")
    if facts.balance == 0:
        owed = payer.owed(channel_id)
        left = token_of(payer.channels, payer.entry(channel_id).config.token).show(owed)
        if owed > payer.dust:
            raise ChannelError(f"{left} is still owed: see above")
        but = f", but for {left}: no more than --dust" if owed else ""
        say(f"everything that was left has been paid out{but}")
        return True
    say(f"the payee can claim until {facts.withdrawable_after}; do this again after that")
    return False


def store(path: Path, body: bytes) -> None:
    """Write a file, on the disk when this returns, unless it is none: a device or a pipe. Raises OSError."""
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise


@contextmanager
def opened_payer(channels: Channels, signer: Signer, database: Path | None, dust: int) -> Iterator[Payer]:
    """An account's payer while its database is open; dust: see `Payer`. Raises as `Payer`."""
    with PayerStore(database or database_path("payer", channels, signer)) as store:
        yield Payer(channels, store, signer, dust=dust)


@contextmanager
def opened_payee(
    channels: Channels, signer: Signer, database: Path | None, withdraw_delay: int, dust: int
) -> Iterator[Payee]:
    """An account's payee while its database is open, for ETH and the tokens of the deployment; withdraw_delay, dust:
    see `PayeeRules`. Raises as `Payee`."""
    tokens = frozenset({ETH, *(token.address for token in channels.deployment.tokens)})
    with PayeeStore(database or database_path("payee", channels, signer)) as store:
        yield Payee(channels, store, signer, PayeeRules(tokens, withdraw_delay, dust=dust))


def read_signed_state(path: Path) -> SignedState:
    """A state with both signatures from a JSON file. Raises MalformedError when it holds none."""
    try:
        return SignedState.from_json(json.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"{path} holds no signed state: {error}") from error
