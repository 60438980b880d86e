"""`ape run deploy`: puts a rollup on the connected chain and writes deploy/<chain id>.json or …-optimistic.json."""

from pathlib import Path

import click

from layer2 import cli as common


@click.command(cls=common.ChainCommand, name="deploy")
@common.rollup_option
@common.account_option
@click.option(
    "--operator", help='L1 address with priority in submitting batches; "nobody" (optimistic).  [default: the deployer]'
)
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="ZK: verifying keys of both circuits.  [default: contracts/zk/generated/verifying_keys.json]",
)
@click.option(
    "--share",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Optimistic: deployment file of a ZK rollup on this chain whose registry and tokens are taken.",
)
@click.option("--levels", default=24, show_default=True, help="Optimistic: levels of the state tree.")
@click.option("--challenge-period", default=7 * 24 * 3600, show_default=True, help="Optimistic: seconds for disputes.")
@click.option(
    "--reward-delay", default=24 * 3600, show_default=True, help="Optimistic: seconds until a reward is paid."
)
@click.option(
    "--minimum-stake",
    type=common.Ether(),
    default="1",
    show_default=True,
    help="Optimistic: a sequencer's bond in ETH.",
)
@click.option("--inclusion-deadline", default=24 * 3600, show_default=True, help="Seconds a queue entry may wait.")
@click.option("--queue-quota", default=20, show_default=True, help="Queue entries that a late batch must take.")
@click.option("--priority-timeout", default=3 * 24 * 3600, show_default=True, help="Seconds until anyone may submit.")
@click.option(
    "--max-batch-age", default=2 * 3600, show_default=True, help="Seconds from planning a batch to its block."
)
@click.option(
    "--freeze-deadline",
    default=14 * 24 * 3600,
    show_default=True,
    help="Seconds without batch, with a queue that waits, until anyone may freeze the rollup.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write instead.")
@common.reports_errors
def cli(
    kind: str,
    account_name: str | None,
    operator: str | None,
    keys_file: Path | None,
    share: Path | None,
    levels: int,
    challenge_period: int,
    reward_delay: int,
    minimum_stake: int,
    inclusion_deadline: int,
    queue_quota: int,
    priority_timeout: int,
    max_batch_age: int,
    freeze_deadline: int,
    output: Path | None,
) -> None:
    """Deploy token registry, verifier and rollup; on a local chain also a test USDC that anyone may mint.

    Development keys are refused on any other chain: `ape run ceremony` makes real ones.
    """
    from layer2.chain import deployment, optimistic_deployment
    from layer2.chain.deploying import RollupConfig, deploy
    from layer2.chain.optimistic_deploying import OptimisticConfig, deploy_optimistic
    from layer2.crypto.addresses import address_to_int
    from layer2.optimistic.batches import NOBODY
    from layer2.zk.build import GENERATED
    from layer2.zk.keys import VerifyingKeys

    is_zk = kind == "zk"
    if operator == "nobody" and not is_zk:
        operator = NOBODY
    elif operator is not None:
        address_to_int(operator)
    common.compile_contracts()
    chain = common.connected_chain()
    signer = common.signer(account_name, chain)
    files = deployment if is_zk else optimistic_deployment
    path = common.writable(output or files.path_of(chain.chain_id()))
    if is_zk:
        keys = VerifyingKeys.from_json(keys_file or GENERATED / "verifying_keys.json")
        config = RollupConfig(inclusion_deadline, queue_quota, priority_timeout, max_batch_age, freeze_deadline)
        made = deploy(chain, signer, keys, config, operator=operator, progress=click.echo)
        deployment.write(made.deployment, path)
        parts = {"verifier": made.deployment.verifier}
    else:
        settings = OptimisticConfig(
            levels,
            inclusion_deadline,
            queue_quota,
            freeze_deadline,
            priority_timeout,
            max_batch_age,
            challenge_period,
            reward_delay,
            minimum_stake,
        )
        shared = None if share is None else deployment.read(share)
        made = deploy_optimistic(chain, signer, settings, operator=operator, shared=shared, progress=click.echo)
        optimistic_deployment.write(made.deployment, path)
        parts = {"executor": made.deployment.state_transition, "opener": made.deployment.cell_verifier}
    d = made.deployment
    click.echo(f"rollup    {d.rollup} in block {d.block} of chain {d.chain_id}")
    for what, address in {"registry": d.registry, **parts, "operator": d.operator}.items():
        click.echo(f"{what:9} {address}")
    for token in d.tokens:
        click.echo(f"{token.symbol:9} {token.address} (token {token.id})")
    click.echo(f"gas       {', '.join(f'{name} {gas:,}' for name, gas in made.gas.items())}")
    if is_zk and made.deployment.development_keys:
        click.secho("development keys: anybody can forge proofs; for local chains only", fg="yellow")
    click.echo(f"written   {path}")
