"""What the commands in `scripts/` share: options, the connected chain, accounts, and errors as one line.

May import everything; slow modules only inside functions, since `ape run` imports every script at each start.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from ape.cli import ConnectedProviderCommand

if TYPE_CHECKING:
    from layer2.chain.connection import Chain
    from layer2.chain.deployment import Deployment
    from layer2.chain.optimistic_rollup import OptimisticRollup
    from layer2.chain.rollup import Rollup
    from layer2.chain.signer import Signer
    from layer2.channels.contracts import Channels

F = TypeVar("F", bound=Callable[..., Any])

EXPECTED_FAILURE = 1
"""Exit code when the program did what it should and the answer is no; click uses 2 for wrong usage."""


class Seconds(click.FloatRange):
    """A number of seconds of 0 or more (`min_open`: of more than 0); neither infinite nor "not a number"."""

    name = "seconds"

    def __init__(self, min_open: bool = False) -> None:
        super().__init__(0, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value as a number. Raises click's error for anything else."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return number


class Ether(click.ParamType):
    """An amount of ETH, which becomes wei."""

    name = "eth"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The value in wei. Raises click's error for what is no amount."""
        from layer2.wallet.units import TokenInfo, WalletError

        if isinstance(value, int):
            return value
        try:
            return TokenInfo(0, None, "ETH", 18).parse(value)
        except WalletError as error:
            self.fail(str(error), param, ctx)


class Percent(click.ParamType):
    """A percentage from 0 to 100 with up to two decimals, which becomes basis points."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The value in hundredths of a percent. Raises click's error for anything else."""
        if isinstance(value, int):
            return value
        whole, _, part = str(value).partition(".")
        digits = whole + part.ljust(2, "0")
        if not (whole and len(part) <= 2 and digits.isascii() and digits.isdigit() and int(digits) <= 10_000):
            self.fail(f"{value!r} is no percentage from 0 to 100: write it like 0.5.", param, ctx)
        return int(digits)


ACCOUNT_INDEX = click.IntRange(1, 2**32 - 1)
"""Index of an account on Layer 2, as the contracts take it."""


def writable(path: Path) -> Path:
    """The path, once its folder is there and the file can be written: asked before the work that ends with writing it.

    Raises click's error when it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        path.open("a").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written ({error.strerror}): name another file") from error
    return path


def reports_errors(function: F) -> F:
    """Make a command end with one line and exit code 1 for everything that a user can put right."""

    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        from ape.exceptions import ApeException
        from requests import RequestException

        from layer2.actors.errors import ActorError
        from layer2.chain.errors import ChainError
        from layer2.crypto.errors import CryptoError
        from layer2.ledger.errors import LedgerError
        from layer2.node.client import ServiceError
        from layer2.node.server import ServerError
        from layer2.node.wire import WireError
        from layer2.optimistic.errors import OptimisticError
        from layer2.toolchain import ToolMissingError
        from layer2.wallet.units import WalletError
        from layer2.zk.build import BuildError
        from layer2.zk.keys import KeyFileError
        from layer2.zk.prover import ProofError
        from layer2.zk.witness import WitnessError

        try:
            return function(*arguments, **options)
        except (
            ActorError,
            ApeException,
            BuildError,
            ChainError,
            CryptoError,
            KeyFileError,
            LedgerError,
            OptimisticError,
            OSError,
            ProofError,
            RequestException,
            ServiceError,
            ServerError,
            ToolMissingError,
            WalletError,
            WireError,
            WitnessError,
        ) as error:
            raise click.ClickException(str(error)) from error

    return wrapped  # type: ignore[return-value]


class ChainCommand(ConnectedProviderCommand):
    """A command on the chain that --network names; says in one line that nothing answers there."""

    def invoke(self, ctx: click.Context) -> Any:
        """Connect, and run the command. Raises click's error when there is no node."""
        from requests import RequestException

        provider = ctx.params["network"]
        try:
            return super().invoke(ctx)
        except RequestException as error:
            # Those of the command itself are click's already.
            name = provider.connection_str or provider.network_choice
            raise click.ClickException(
                f"no node answers at {name}: start one (node_modules/.bin/anvil), or name another with --network"
            ) from error


class QuietCommand(ChainCommand):
    """Prints nothing of Ape's on standard output, which is for keys, vouchers, messages and goods."""

    def invoke(self, ctx: click.Context) -> Any:
        """As that of `ChainCommand`."""
        from ape.logging import LogLevel, logger

        before = logger.level
        logger.set_level(LogLevel.WARNING)
        try:
            return super().invoke(ctx)
        finally:
            logger.set_level(before)


def deployment_option(function: F) -> F:
    """--deployment: the address file."""
    return click.option(
        "--deployment",
        "deployment_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Deployment file.  [default: deploy/<chain id>.json, …-optimistic.json or …-channels.json]",
    )(function)


def rollup_option(function: F) -> F:
    """--rollup: which kind."""
    return click.option(
        "--rollup", "kind", type=click.Choice(["zk", "optimistic"]), default="zk", show_default=True, help="Which one."
    )(function)


def beacon_option(function: F) -> F:
    """--beacon: where blobs are read."""
    return click.option(
        "--beacon",
        help="Address of a consensus node's beacon API, where blobs are read.  [default on local chains: Anvil]",
    )(function)


def account_option(function: F) -> F:
    """--account: who signs on L1."""
    return click.option(
        "--account",
        "account_name",
        help="Who signs on L1: alias of an Ape account (`ape accounts list`), or on a local chain the number of a test "
        "account.  [default on local chains: 0]",
    )(function)


def fee_options(function: F) -> F:
    """--min-fee, --default-min-fee: what an operator asks for."""
    named = click.option(
        "--min-fee",
        "fees",
        multiple=True,
        metavar="TOKEN=AMOUNT",
        help="Take fees in this token, this much at least, in smallest units; may be repeated. ETH and the "
        "deployment's tokens are taken anyway.",
    )
    others = click.option(
        "--default-min-fee", default=0, show_default=True, type=click.IntRange(0), help="For tokens not named."
    )
    return named(others(function))


def interval_option(function: F) -> F:
    """--interval: how often a service looks."""
    return click.option(
        "--interval",
        type=Seconds(min_open=True),
        default=2.0,
        show_default=True,
        help="Seconds between looks at an idle chain.",
    )(function)


def service_option(function: F) -> F:
    """--relayer, --sequencer: where the operator's service is."""
    return click.option(
        "--relayer",
        "--sequencer",
        "service_url",
        help="Address of the relayer's or sequencer's service.  [default: on this machine, port 8547 of a relayer, "
        "8548 of a sequencer]",
    )(function)


def connected_chain() -> Chain:
    """The chain that Ape is connected to by --network."""
    from ape import networks

    from layer2.chain.connection import Chain

    provider: Any = networks.provider
    chain = Chain(provider.web3, str(getattr(provider, "uri", provider.name)))
    chain.require(None)
    return chain


def open_deployment(chain: Chain, path: Path | None) -> Deployment:
    """The deployment file given, or that of the connected chain. Raises ChainError."""
    from layer2.chain import deployment

    return deployment.read(path or deployment.path_of(chain.chain_id()))


def connected_rollup(path: Path | None) -> Rollup:
    """The rollup of a deployment file on the connected chain, verified. Compiles the contracts if need be."""
    from layer2.chain.rollup import open_rollup

    compile_contracts()
    chain = connected_chain()
    return open_rollup(chain, open_deployment(chain, path))


def connected_optimistic_rollup(path: Path | None) -> OptimisticRollup:
    """As `connected_rollup`, for the optimistic rollup."""
    from layer2.chain import optimistic_deployment
    from layer2.chain.optimistic_rollup import open_optimistic_rollup

    compile_contracts()
    chain = connected_chain()
    file = path or optimistic_deployment.path_of(chain.chain_id())
    return open_optimistic_rollup(chain, optimistic_deployment.read(file))


def connected_channels(path: Path | None) -> Channels:
    """As `connected_rollup`, for hub and state channels."""
    from layer2.channels import deployment
    from layer2.channels.contracts import open_channels

    compile_contracts()
    chain = connected_chain()
    return open_channels(chain, deployment.read(path or deployment.path_of(chain.chain_id())))


def compile_contracts() -> None:
    """Let Ape compile what has changed, so that the ABIs are there."""
    from ape import project

    if project.contracts.get("ZKRollup") is None:
        raise click.ClickException("the contracts do not compile: run `ape compile` and look at its errors")


def parse_fees(texts: tuple[str, ...]) -> dict[int, int]:
    """The values of --min-fee: token ids and amounts in smallest units. Raises click's error for anything else."""
    fees = {}
    for text in texts:
        token, _, amount = text.partition("=")
        if not (token.isdigit() and amount.isdigit()):
            raise click.BadParameter(
                f"{text!r}: write it like 1=1000 (token id = smallest units)", param_hint="--min-fee"
            )
        fees[int(token)] = int(amount)
    return fees


def signer(name: str | None, chain: Chain) -> Signer:
    """The account of --account. Raises click's errors when there is none."""
    from ape import accounts

    from layer2.chain.connection import LOCAL_CHAIN_IDS
    from layer2.chain.signer import ApeSigner

    is_local = chain.chain_id() in LOCAL_CHAIN_IDS
    if name is None:
        if not is_local:
            raise click.UsageError("give --account: the alias of an Ape account (`ape accounts list`)")
        name = "0"
    if name.isascii() and name.isdigit():
        if not is_local:
            raise click.UsageError(f"--account {name} is a test account, whose key everybody knows: use an alias")
        if int(name) >= len(accounts.test_accounts):
            raise click.UsageError(
                f"--account {name}: there are {len(accounts.test_accounts)} test accounts, from 0 on"
            )
        return ApeSigner(accounts.test_accounts[int(name)])
    if name not in accounts.aliases:
        known = ", ".join(sorted(accounts.aliases)) or "none yet"
        raise click.UsageError(f"--account {name}: no such alias (there are: {known}); `ape accounts import {name}`")
    return ApeSigner(accounts.load(name))
