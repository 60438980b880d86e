"""`ape run bench`: measures constraints, gas, provers, ledger and sequencer, and writes the results into docs/."""

import click


@click.command()
def cli() -> None:
    """Measure constraints, gas, provers, ledger and sequencer; write docs/benchmarks.md, its JSON and its picture.

    Starts a local chain of its own. Takes about five minutes on two cores; needs `make circuits`. Exit code 1 when a
    target is missed.
    """
    from ape import accounts, chain, networks

    from layer2.actors.errors import RelayerError
    from layer2.actors.proving import SegmentProver
    from layer2.benchmarks.channels import ActionGas, ChannelsBench
    from layer2.benchmarks.gas import GasBench, GasReport
    from layer2.benchmarks.optimistic import OptimisticBench, OptimisticReport
    from layer2.benchmarks.report import markdown, measure, write
    from layer2.benchmarks.targets import targets
    from layer2.chain.connection import Chain
    from layer2.chain.deploying import RollupConfig, deploy
    from layer2.chain.errors import ChainError
    from layer2.chain.rollup import Rollup
    from layer2.chain.signer import ApeSigner
    from layer2.toolchain import PROJECT
    from layer2.zk.build import DEFAULT_CIRCUITS, BuildError, verifying_keys

    def say(line: str) -> None:
        click.echo(line, err=True)

    def gas() -> GasReport:
        with networks.parse_network_choice("ethereum:local:foundry"):
            local, signer = Chain(chain.provider.web3), ApeSigner(accounts.test_accounts[0])
            deployed = deploy(local, signer, verifying_keys(DEFAULT_CIRCUITS), RollupConfig(), progress=say)
            prover = SegmentProver.load(DEFAULT_CIRCUITS, bar=True)
            return GasBench(Rollup(local, deployed.deployment), signer, DEFAULT_CIRCUITS, prover, say).run()

    def optimistic() -> OptimisticReport:
        with networks.parse_network_choice("ethereum:local:foundry"):
            return OptimisticBench(Chain(chain.provider.web3), say).run()

    def channels() -> tuple[ActionGas, ...]:
        with networks.parse_network_choice("ethereum:local:foundry"):
            return ChannelsBench(Chain(chain.provider.web3), say).run()

    try:
        report = measure(gas, optimistic, channels, say)
    except (BuildError, ChainError, RelayerError) as error:
        raise click.ClickException(str(error)) from error
    paths = write(report)
    click.echo(markdown(report, paths[-1].name))
    for path in paths:
        click.echo(f"written: {path.relative_to(PROJECT)}", err=True)
    missed = [target.what for target in targets(report) if not target.is_reached]
    if missed:
        raise click.ClickException(f"targets missed: {', '.join(missed)}")
