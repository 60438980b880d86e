"""`ape run scenario`: stories of rollups and channels, told step by step on a local chain."""

import tempfile
import time
from pathlib import Path

import click

from layer2 import cli as common


def _list(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value:
        return
    from layer2.scenarios.catalogue import SCENARIOS

    width = max(len(scenario.name) for scenario in SCENARIOS)
    for scenario in SCENARIOS:
        click.echo(f"{scenario.name.ljust(width)}  {scenario.summary}")
    context.exit()


@click.command(cls=common.ChainCommand, name="scenario")
@click.argument("name")
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="Name all stories, and end."
)
@common.reports_errors
def cli(name: str) -> None:
    """Tell the story NAME, or `all` of them.

    Each deploys its own contracts on a local chain (Ape starts Anvil by itself), whose time it turns, and ends with
    whose money is where. Exit code 0 only if all checks hold.
    """
    from layer2.chain.connection import LOCAL_CHAIN_IDS
    from layer2.demo.narrator import Narrator
    from layer2.scenarios.catalogue import SCENARIOS, find

    one = find(name)
    if one is None and name != "all":
        raise click.UsageError(f"there is no story {name!r}: `ape run scenario --list` names them")
    common.compile_contracts()
    chain = common.connected_chain()
    if chain.chain_id() not in LOCAL_CHAIN_IDS:
        raise click.ClickException(
            f"chain {chain.chain_id()} is not local: run it with --network ethereum:local:foundry"
        )
    started = time.monotonic()
    checks = 0
    failed = []
    for scenario in SCENARIOS if one is None else (one,):
        click.echo()
        click.secho(f"=== {scenario.name}: {scenario.summary}", bold=True, fg="cyan")
        narrator = Narrator()
        with tempfile.TemporaryDirectory(prefix="layer2-scenario-") as folder:
            scenario.run(chain, Path(folder), narrator)
        checks += narrator.checks
        failed += [f"{scenario.name}: {text}" for text in narrator.failed]
    click.echo()
    if failed:
        raise click.ClickException(f"{len(failed)} of {checks} checks do not hold: " + "; ".join(failed))
    click.secho(f"All {checks} checks hold. {time.monotonic() - started:.0f} seconds.", fg="green", bold=True)
