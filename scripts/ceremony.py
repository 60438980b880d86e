"""`ape run ceremony`: real proving and verifying keys from a powers-of-tau file, see docs/ceremony.md."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from layer2.zk.ceremony import Transcript

_FILE = click.Path(path_type=Path)
_CIRCUIT = click.option(
    "--circuit",
    required=True,
    help="Name of a circuit that `make circuits` has compiled, such as transfers-12-6-4, or path of an .r1cs file.",
)
_PTAU = click.option("--ptau", type=_FILE, required=True, help="Powers-of-tau file, prepared for phase 2.")


@click.group()
def cli() -> None:
    """Make real proving and verifying keys: new, contribute (several people), beacon, verify, export, join."""


@cli.command()
@click.argument("ptau", type=_FILE)
def powers(ptau: Path) -> None:
    """Check a whole powers-of-tau file and print its BLAKE2b hash. Takes long for large files."""
    from layer2.zk import ceremony

    with _errors():
        click.echo(f"BLAKE2b-512 {ceremony.file_hash(ptau)}")
        ceremony.verify_powers(ptau)
    click.echo(f"{ptau} verifies")


@cli.command()
@_CIRCUIT
@_PTAU
@click.argument("output", type=_FILE)
def new(circuit: str, ptau: Path, output: Path) -> None:
    """Start the ceremony of a circuit: write its first key to OUTPUT."""
    from layer2.zk import ceremony

    with _errors():
        digest = ceremony.new(_r1cs(circuit), ptau, output)
    click.echo(f"circuit hash {digest}\n{output} is ready for the first contributor")


@cli.command()
@click.argument("key", type=_FILE)
@click.argument("output", type=_FILE)
@click.option("--name", required=True, help="Your name in the public transcript.")
def contribute(key: Path, output: Path, name: str) -> None:
    """Add your contribution to KEY and write the new key to OUTPUT.

    Asks for a random text, unseen and kept nowhere; when input is piped, its first line is the text.
    """
    from layer2.zk import ceremony

    stdin = click.get_text_stream("stdin")
    if stdin.isatty():
        text = click.prompt("Type any text, as random as you like", hide_input=True, default="", show_default=False)
    else:
        text = stdin.readline()
    with _errors():
        digest = ceremony.contribute(key, output, name, text)
    click.echo(f"contribution hash {digest}\nPublish this hash; pass {output} on.")


@cli.command()
@click.argument("key", type=_FILE)
@click.argument("output", type=_FILE)
@click.option("--value", required=True, help="32 bytes as hex: the hash of the block that was announced beforehand.")
@click.option("--iterations", default=10, show_default=True, help="The value is hashed 2^ITERATIONS times.")
@click.option("--name", default="beacon", show_default=True, help="Name in the public transcript.")
def beacon(key: Path, output: Path, value: str, iterations: int, name: str) -> None:
    """Close the ceremony with a public random value that nobody could know before."""
    from layer2.zk import ceremony

    with _errors():
        digest = ceremony.beacon(key, output, value, iterations, name)
    click.echo(f"contribution hash {digest}\n{output} is final: verify and export it")


@cli.command()
@_CIRCUIT
@_PTAU
@click.argument("key", type=_FILE)
def verify(circuit: str, ptau: Path, key: Path) -> None:
    """Verify KEY and its whole transcript against the circuit and the powers of tau."""
    from layer2.zk import ceremony

    with _errors():
        transcript = ceremony.verify(key, _r1cs(circuit), ptau)
    _show(transcript)
    click.echo(f"{key} verifies. Compare the hashes with those that the contributors published.")


@cli.command()
@_CIRCUIT
@_PTAU
@click.option("--out", type=_FILE, required=True, help="Folder that gets the keys and the Solidity verifier.")
@click.argument("key", type=_FILE)
def export(circuit: str, ptau: Path, out: Path, key: Path) -> None:
    """Verify KEY once more, then write proving key, verification key and Solidity verifier to the folder OUT."""
    from layer2.zk import ceremony

    with _errors():
        exported = ceremony.export(key, _r1cs(circuit), ptau, out)
    _show(exported.transcript)
    for path in (exported.proving_key, exported.verification_key, exported.solidity_verifier):
        click.echo(f"written: {path}")


@cli.command()
@click.argument("folder", type=_FILE)
@click.argument("output", type=_FILE)
def join(folder: Path, output: Path) -> None:
    """Join the keys of both default circuits, exported to folders of their names in FOLDER, into one file.

    OUTPUT is what `ape run deploy --keys` takes.
    """
    from layer2.zk.build import DEFAULT_CIRCUITS, BuildError, verifying_keys
    from layer2.zk.keys import KeyFileError

    try:
        keys = verifying_keys(DEFAULT_CIRCUITS, folder)
        if keys.is_development:
            raise click.ClickException(f"{folder} holds development keys: export those of a ceremony to it")
        output.write_text(keys.to_json())
    except (BuildError, KeyFileError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"written: {output}")


def _show(transcript: "Transcript") -> None:
    click.echo(f"circuit hash {transcript.circuit_hash}")
    for number, entry in enumerate(transcript.contributions, 1):
        public = f" (beacon {entry.beacon.value}, 2^{entry.beacon.iterations} hashes)" if entry.beacon else ""
        click.echo(f"{number}. {entry.name}{public}\n   {entry.digest}")


def _r1cs(circuit: str) -> Path:
    """The constraint system of a built circuit, or the path itself."""
    from layer2.zk.build import BUILD

    return Path(circuit) if circuit.endswith(".r1cs") else BUILD / circuit / "circuit.r1cs"


@contextmanager
def _errors() -> Iterator[None]:
    """Errors of the ceremony as one line and exit code 1."""
    from layer2.zk.ceremony import CeremonyError

    try:
        yield
    except CeremonyError as error:
        raise click.ClickException(str(error)) from None
