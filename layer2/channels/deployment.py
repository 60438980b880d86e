"""Where the hub and the state channels are: the file `deploy/<chain id>-channels.json`, and putting both on a chain.

See `layer2.chain.deployment`. May import `layer2.chain` and what is signed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from layer2.chain.coder import coder
from layer2.chain.connection import LOCAL_CHAIN_IDS, Chain, Receipt
from layer2.chain.deploying import deploy_contract
from layer2.chain.deployment import (
    FOLDER,
    Deployed,
    DeploymentFile,
    Token,
    code_hash,
    read_file,
    verify_code,
    write_file,
)
from layer2.chain.errors import DeploymentError
from layer2.chain.signer import Signer
from layer2.channels.signing import VERSION, Domain
from layer2.channels.states import state_channel_domain
from layer2.channels.vouchers import hub_domain

COMMAND: Final = "ape run channel deploy"
HUB: Final = "PaymentChannelHub"
STATE_CHANNEL: Final = "StateChannel"


@dataclass(frozen=True)
class ChannelsDeployment(DeploymentFile):
    """Everything a client needs to know; addresses in EIP-55 form.

    block: that of the first of the two deployments. *_code: keccak256 of the code at the address, in 0x hex. tokens:
    those that were deployed together with the contracts (their ids mean nothing here).
    """

    FORMAT = "channels 1"
    REMEDY = f"name a file that `{COMMAND}` wrote"

    chain_id: int
    block: int
    hub: str
    state_channel: str
    hub_code: str
    state_channel_code: str
    tokens: tuple[Token, ...] = ()

    @property
    def hub_domain(self) -> Domain:
        """The domain of vouchers."""
        return hub_domain(self.chain_id, self.hub)

    @property
    def state_channel_domain(self) -> Domain:
        """The domain of states."""
        return state_channel_domain(self.chain_id, self.state_channel)


def path_of(chain_id: int, folder: Path = FOLDER) -> Path:
    """The file of a chain's deployment."""
    return folder / f"{chain_id}-channels.json"


def write(deployment: ChannelsDeployment, path: Path | None = None) -> Path:
    """Write the file of a deployment, by default `deploy/<chain id>-channels.json`. Returns its path."""
    return write_file(deployment.to_json(), path or path_of(deployment.chain_id))


def read(path: Path) -> ChannelsDeployment:
    """The deployment in a file. Raises DeploymentError when it is missing or malformed."""
    return ChannelsDeployment.from_json(read_file(path, COMMAND), str(path))


def verify(chain: Chain, deployment: ChannelsDeployment) -> None:
    """Check that what the file describes is on the chain, and signs in the domain that this program knows.

    Raises WrongChainError, NoContractError when code is missing or another, DeploymentError for another domain.
    """
    verify_code(chain, deployment, ("hub", "state_channel"))
    for name, address, domain in (
        (HUB, deployment.hub, deployment.hub_domain),
        (STATE_CHANNEL, deployment.state_channel, deployment.state_channel_domain),
    ):
        answer = chain.call(address, coder(name).encode("eip712Domain"))
        _, kind, version, chain_id, contract, _, _ = coder(name).decode_result("eip712Domain", answer)
        said = (kind, version, chain_id, int(contract, 16))
        if said != (domain.name, VERSION, domain.chain_id, int(domain.contract, 16)):
            raise DeploymentError(
                f"{name} at {address} signs in the domain {kind!r}, version {version}, chain {chain_id}, {contract}, "
                f"this program in {domain}: use the program of its deployment"
            )


def deploy_channels(
    chain: Chain,
    signer: Signer,
    *,
    with_test_token: bool | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Deployed[ChannelsDeployment]:
    """Deploy hub and state channels, and check the result.

    with_test_token: a 6-decimals token that anyone may mint, by default on local chains only. Raises DeploymentError
    for one on any other chain, ChainError when a transaction fails.
    """
    chain_id = chain.chain_id()
    is_local = chain_id in LOCAL_CHAIN_IDS
    if with_test_token and not is_local:
        raise DeploymentError(f"a test token that anyone may mint on chain {chain_id}: leave it out")
    gas: dict[str, int] = {}

    def create(name: str, *arguments: Any) -> tuple[str, Receipt]:
        progress(f"deploying {name}")
        address, receipt = deploy_contract(chain, signer, name, *arguments)
        gas[name] = receipt.gas_used
        return address, receipt

    hub, receipt = create(HUB)
    state_channel, _ = create(STATE_CHANNEL)
    tokens: tuple[Token, ...] = ()
    if is_local if with_test_token is None else with_test_token:
        address, _ = create("TestUSDC")
        tokens = (Token(1, address, "USDC", 6),)
    deployment = ChannelsDeployment(
        chain_id=chain_id,
        block=receipt.block.number,
        hub=hub,
        state_channel=state_channel,
        hub_code=code_hash(chain.code(hub)),
        state_channel_code=code_hash(chain.code(state_channel)),
        tokens=tokens,
    )
    verify(chain, deployment)
    return Deployed(deployment, gas)
