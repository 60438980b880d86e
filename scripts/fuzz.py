"""`ape run fuzz`: random chunks through Python and the contract, until they differ or enough were tried."""

import time

import click


@click.command()
@click.option("--operations", default=1_000_000, show_default=True, help="How many operations to execute.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same chunks.")
@click.option("--first", default=0, show_default=True, help="Number of the first world, to have a difference again.")
def cli(operations: int, seed: int, first: int) -> None:
    """Execute random chunks of the optimistic rollup in Python and in StateTransition, and compare every field.

    Starts a local chain of its own. Exit code 1 and the smallest chunk that was found when they differ.
    """
    import tempfile
    from pathlib import Path

    from layer2.chain.deploying import deploy_contract
    from layer2.chain.errors import ChainError
    from layer2.chain.local import Anvil, signer
    from layer2.chain.state_transition import StateTransition
    from layer2.optimistic.fuzz import DifferenceError, Fuzzer, Report

    if operations < 1:
        raise click.BadParameter("give at least 1", param_hint="--operations")
    started = shown = time.monotonic()

    def progress(report: Report) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= 10 or report.operations >= operations:
            shown = now
            rate = report.operations / (now - started)
            click.echo(
                f"{report.operations:,} operations, {report.valid:,} valid, {report.entries:,} queue entries, "
                f"{report.chunks:,} chunks in {report.worlds:,} worlds; {report.refused_witnesses:,} of "
                f"{report.broken_witnesses:,} broken witnesses refused; {rate:,.0f} a second"
            )

    # A chain of its own: Ape's records every step of every call, which makes it ten times as slow.
    try:
        with tempfile.TemporaryDirectory() as folder, Anvil(Path(folder) / "anvil.log") as node:
            address, _ = deploy_contract(node.chain, signer(0), "StateTransition")
            transition = StateTransition(node.url, address)
            report = Fuzzer(transition.execute, seed, first).run(operations, progress)
    except DifferenceError as error:
        raise click.ClickException(f"Python and the contract differ. {error}") from error
    except ChainError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"no difference in {report.operations:,} operations (seed {seed}, worlds from {first} on)")
