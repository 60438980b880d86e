"""CellVerifier on a real chain, against ckzg (the library that Ethereum's clients use) and against forgers."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import ckzg
import pytest
import rlp
from eth_account.typed_transactions.base import TRUSTED_SETUP
from eth_utils import keccak, to_hex
from py_ecc.bls.point_compression import compress_G1, decompress_G1, decompress_G2
from py_ecc.fields import optimized_bls12_381_FQ as FQ
from py_ecc.fields import optimized_bls12_381_FQ2 as FQ2
from py_ecc.optimized_bls12_381 import G1, G2, Z1, add, eq, multiply, neg, normalize, pairing
from web3.exceptions import Web3Exception

from layer2.chain.coder import coder
from layer2.chain.deploying import deploy_contract
from layer2.chain.errors import RevertedError
from layer2.optimistic import blobs
from layer2.optimistic.blobs import BASE_MODULUS, MODULUS
from layer2.toolchain import PROJECT
from tests.support.anvil import Anvil, signer
from tests.support.reverts import call, reverts

SOURCE = random.Random(4844)
INFINITY = bytes(128)
SMALL_ORDER = (0).to_bytes(64, "big") + (2).to_bytes(64, "big")
"""(0, 2) is on the curve, y² = x³ + 4, and has order 3."""


@dataclass(frozen=True)
class Cell:
    """Arguments of verifyCell."""

    versioned_hash: bytes
    commitment: bytes
    proof: bytes
    index: int
    elements: tuple[int, ...]

    @property
    def arguments(self) -> tuple:
        return self.versioned_hash, self.commitment, self.proof, self.index, list(self.elements)


@dataclass(frozen=True)
class Element:
    """Arguments of verifyElement."""

    versioned_hash: bytes
    commitment: bytes
    proof: bytes
    index: int
    element: int

    @property
    def arguments(self) -> tuple:
        return self.versioned_hash, self.commitment, self.proof, self.index, self.element


class Sample:
    """A blob with everything that can be opened of it."""

    def __init__(self, elements: list[int]) -> None:
        self.elements = elements
        self.blob = b"".join(element.to_bytes(32, "big") for element in elements)
        self.compressed = blobs.commitment(self.blob)
        self.versioned_hash = blobs.versioned_hash(self.compressed)
        self.commitment = blobs.decompress(self.compressed)
        cells, proofs = ckzg.compute_cells_and_kzg_proofs(self.blob, blobs.trusted_setup())
        self.cells, self.proofs = list(map(bytes, cells)), list(map(bytes, proofs))

    def cell(self, index: int) -> Cell:
        values = tuple(int.from_bytes(self.cells[index][i : i + 32], "big") for i in range(0, 2048, 32))
        return Cell(self.versioned_hash, self.commitment, blobs.decompress(self.proofs[index]), index, values)

    def element(self, index: int) -> Element:
        opening = blobs.open_element(self.blob, index)
        return Element(self.versioned_hash, self.commitment, opening.proof, index, opening.element)


def any_element() -> int:
    return SOURCE.randrange(MODULUS)


SAMPLES: dict[str, Callable[[], list[int]]] = {
    "any elements": lambda: [any_element() for _ in range(4096)],
    "31 bytes each": lambda: [SOURCE.getrandbits(248) for _ in range(4096)],
    "0 and modulus − 1": lambda: [SOURCE.choice((0, 1, MODULUS - 1)) for _ in range(4096)],
    "all modulus − 1": lambda: [MODULUS - 1] * 4096,
    "zeros: commitment and proofs are infinity": lambda: [0] * 4096,
    "constant: proofs are infinity": lambda: [any_element()] * 4096,
    "degree 63: proofs of cells are infinity": lambda: [pow(blobs.domain_point(i), 63, MODULUS) for i in range(4096)],
    "one element": lambda: [0] * 4095 + [any_element()],
}


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    return {name: Sample(make()) for name, make in SAMPLES.items()}


@pytest.fixture(scope="module")
def sample(samples) -> Sample:
    return samples["any elements"]


@pytest.fixture(scope="module")
def cell_verifier(project, accounts):
    return accounts[0].deploy(project.CellVerifier, blobs.setup_points())


def check(cell_verifier, opening: Cell | Element) -> None:
    method = cell_verifier.verifyCell if isinstance(opening, Cell) else cell_verifier.verifyElement
    assert call(cell_verifier, method.encode_input(*opening.arguments)) == b""


def refuses(cell_verifier, opening: Cell | Element) -> None:
    with reverts(cell_verifier.InvalidOpening):
        check(cell_verifier, opening)


def accepted_by_ckzg(cell: Cell) -> bool:
    """For an opening whose points are points of the subgroup and whose elements are canonical."""
    x, y = int.from_bytes(cell.commitment[:64], "big"), int.from_bytes(cell.commitment[64:], "big")
    data = b"".join(element.to_bytes(32, "big") for element in cell.elements)
    return ckzg.verify_cell_kzg_proof_batch(
        [compressed(x, y)], [cell.index], [data], [compress(cell.proof)], blobs.trusted_setup()
    )


def compress(point: bytes) -> bytes:
    return compressed(int.from_bytes(point[:64], "big"), int.from_bytes(point[64:], "big"))


def compressed(x: int, y: int) -> bytes:
    point = Z1 if x == y == 0 else (FQ(x), FQ(y), FQ(1))
    return int(compress_G1(point)).to_bytes(48, "big")


def uncompressed(point) -> bytes:
    if eq(point, Z1):
        return INFINITY
    return b"".join(int(c).to_bytes(64, "big") for c in normalize(point))


def other_sign(point: bytes) -> bytes:
    return point[:64] + (BASE_MODULUS - int.from_bytes(point[64:], "big")).to_bytes(64, "big")


def with_coordinates(point: bytes, x: Callable[[int], int], y: Callable[[int], int]) -> bytes:
    return x(int.from_bytes(point[:64], "big")).to_bytes(64, "big") + y(int.from_bytes(point[64:], "big")).to_bytes(
        64, "big"
    )


def same(value: int) -> int:
    return value


BAD_POINTS: dict[str, Callable[[bytes], bytes]] = {
    "off the curve": lambda point: with_coordinates(point, same, lambda y: y ^ 2),
    "x not canonical": lambda point: with_coordinates(point, lambda x: x + BASE_MODULUS, same),
    "y not canonical": lambda point: with_coordinates(point, same, lambda y: y + BASE_MODULUS),
    "x with a flag of the compressed form": lambda point: with_coordinates(point, lambda x: x | 1 << 383, same),
    "padding of x": lambda point: with_coordinates(point, lambda x: x | 1 << 384, same),
    "padding of y": lambda point: with_coordinates(point, same, lambda y: y | 1 << 511),
    "x and y exchanged": lambda point: point[64:] + point[:64],
    "infinity with padding": lambda point: (1 << 500).to_bytes(64, "big") + bytes(64),
    "empty": lambda point: b"",
    "truncated": lambda point: point[:-1],
    "a zero more": lambda point: point + b"\0",
    "twice": lambda point: point + point,
}


class TestCells:
    @pytest.mark.parametrize("name", SAMPLES)
    @pytest.mark.parametrize("index", [0, 1, 31, 32, 62, 63])
    def test_accepts(self, cell_verifier, samples, name, index) -> None:
        cell = samples[name].cell(index)
        assert cell.elements == tuple(samples[name].elements[64 * index : 64 * index + 64])
        check(cell_verifier, cell)

    def test_accepts_every_index(self, cell_verifier, sample) -> None:
        for index in range(64):
            check(cell_verifier, sample.cell(index))

    @pytest.mark.parametrize("place", [0, 1, 2, 31, 32, 63])
    def test_wrong_element(self, cell_verifier, sample, place) -> None:
        cell = sample.cell(5)
        for value in (0, 1, MODULUS - 1, cell.elements[place] + 1, cell.elements[place] ^ 1):
            elements = (*cell.elements[:place], value, *cell.elements[place + 1 :])
            refuses(cell_verifier, replace(cell, elements=elements))

    def test_every_element_matters(self, cell_verifier, sample) -> None:
        cell = sample.cell(5)
        for place in range(64):
            changed = (cell.elements[place] + 1) % MODULUS
            refuses(
                cell_verifier, replace(cell, elements=(*cell.elements[:place], changed, *cell.elements[place + 1 :]))
            )

    def test_order_of_elements_matters(self, cell_verifier, sample) -> None:
        cell = sample.cell(5)
        refuses(cell_verifier, replace(cell, elements=cell.elements[::-1]))
        refuses(cell_verifier, replace(cell, elements=(*cell.elements[1:], cell.elements[0])))

    @pytest.mark.parametrize("place", [0, 17, 63])
    def test_attack_element_plus_modulus(self, cell_verifier, samples, place) -> None:
        """Congruent, but other bytes: a chunk could be read in two ways."""
        for sample in samples.values():
            cell = sample.cell(5)
            value = cell.elements[place] + MODULUS
            refuses(cell_verifier, replace(cell, elements=(*cell.elements[:place], value, *cell.elements[place + 1 :])))

    def test_wrong_index(self, cell_verifier, sample) -> None:
        cell = sample.cell(5)
        for index in (0, 4, 6, 37, 63):
            refuses(cell_verifier, replace(cell, index=index))

    def test_attack_cell_of_the_extension(self, cell_verifier, sample) -> None:
        """EIP-7594 extends a blob by 64 cells, which hold nobody's data and have valid proofs."""
        for index in (64, 127):
            cell = sample.cell(index)
            assert accepted_by_ckzg(cell)
            refuses(cell_verifier, cell)
            refuses(cell_verifier, replace(cell, index=index - 64))

    def test_index_out_of_range(self, cell_verifier, sample) -> None:
        for index in (64, 64 + 5, 2**64 + 5, 2**255, 2**256 - 1):
            refuses(cell_verifier, replace(sample.cell(5), index=index))

    def test_attack_another_blobs_opening(self, cell_verifier, samples) -> None:
        """An opening that holds, of a blob that was not asked for."""
        ours, theirs = samples["any elements"].cell(0), samples["31 bytes each"].cell(0)
        refuses(cell_verifier, replace(theirs, versioned_hash=ours.versioned_hash))
        refuses(cell_verifier, replace(theirs, versioned_hash=ours.versioned_hash, commitment=ours.commitment))
        refuses(cell_verifier, replace(ours, proof=theirs.proof))

    def test_wrong_version(self, cell_verifier, sample) -> None:
        cell = sample.cell(5)
        for version in (0, 2, 255):
            refuses(cell_verifier, replace(cell, versioned_hash=bytes([version]) + cell.versioned_hash[1:]))

    def test_attack_commitment_with_the_other_sign(self, cell_verifier, samples) -> None:
        for name in ("any elements", "31 bytes each", "constant: proofs are infinity"):
            cell = samples[name].cell(5)
            refuses(cell_verifier, replace(cell, commitment=other_sign(cell.commitment)))

    def test_negated_blob(self, cell_verifier, sample) -> None:
        """−f has the commitment −C: both signs are compressed rightly, and one is not accepted for the other."""
        cell = sample.cell(5)
        commitment = other_sign(cell.commitment)
        versioned_hash = blobs.versioned_hash(compress(commitment))
        elements = tuple((MODULUS - element) % MODULUS for element in cell.elements)
        negated = Cell(versioned_hash, commitment, other_sign(cell.proof), 5, elements)
        check(cell_verifier, negated)
        refuses(cell_verifier, replace(negated, elements=cell.elements))
        refuses(cell_verifier, replace(negated, proof=cell.proof))
        refuses(cell_verifier, replace(negated, commitment=cell.commitment))

    @pytest.mark.parametrize("name", BAD_POINTS)
    def test_bad_commitment(self, cell_verifier, sample, name) -> None:
        cell = sample.cell(5)
        refuses(cell_verifier, replace(cell, commitment=BAD_POINTS[name](cell.commitment)))

    @pytest.mark.parametrize("name", BAD_POINTS)
    def test_bad_proof(self, cell_verifier, sample, name) -> None:
        cell = sample.cell(5)
        refuses(cell_verifier, replace(cell, proof=BAD_POINTS[name](cell.proof)))

    def test_proof_is_infinity(self, cell_verifier, sample) -> None:
        refuses(cell_verifier, replace(sample.cell(5), proof=INFINITY))

    def test_proof_with_the_other_sign(self, cell_verifier, sample) -> None:
        cell = sample.cell(5)
        refuses(cell_verifier, replace(cell, proof=other_sign(cell.proof)))

    def test_attack_proof_outside_the_subgroup(self, cell_verifier, sample) -> None:
        """A proof plus a point of order 3, which a careless pairing might not see."""
        cell = sample.cell(5)
        small = (FQ(0), FQ(2), FQ(1))
        assert eq(multiply(small, 3), Z1)
        refuses(cell_verifier, replace(cell, proof=SMALL_ORDER))
        refuses(cell_verifier, replace(cell, proof=uncompressed(add(decompress_G1_bytes(sample.proofs[5]), small))))

    def test_attack_commitment_outside_the_subgroup(self, cell_verifier, samples) -> None:
        for point, cell in (
            (SMALL_ORDER, samples["zeros: commitment and proofs are infinity"].cell(5)),
            (
                uncompressed(add(decompress_G1_bytes(samples["any elements"].compressed), (FQ(0), FQ(2), FQ(1)))),
                samples["any elements"].cell(5),
            ),
        ):
            refuses(
                cell_verifier, replace(cell, versioned_hash=blobs.versioned_hash(compress(point)), commitment=point)
            )

    def test_attack_multiplication_that_fails(self, cell_verifier) -> None:
        """If a failed multiplication were overlooked, its input's first point, the commitment, would go into the
        pairing in place of its result: then C = −[τ⁶⁴]₁ and π = [1]₁ would open to anything."""
        lines = Path(TRUSTED_SETUP).read_text().split()
        tau64 = decompress_G1(int(lines[2 + 4096 + 65 + 64], 16))
        commitment = uncompressed(neg(tau64))
        versioned_hash = blobs.versioned_hash(compress(commitment))
        cell = Cell(versioned_hash, commitment, uncompressed(G1), 5, tuple(any_element() for _ in range(64)))
        refuses(cell_verifier, cell)
        for gas in range(100_000, 700_000, 20_000):
            assert outcome(cell_verifier, cell, gas) != "accepted"

    def test_truncated_elements(self, cell_verifier, sample) -> None:
        data = cell_verifier.verifyCell.encode_input(*sample.cell(5).arguments)
        # The two byte strings stand behind the elements: without them nothing is left of it all.
        for size in (4, 36, 4 + 68 * 32 - 1, len(data) - 160, len(data) - 129, len(data) - 33):
            with reverts():
                call(cell_verifier, data[:size])

    def test_agrees_with_ckzg(self, cell_verifier, samples) -> None:
        """Random openings, true and false: both accept the same ones."""
        pool = list(samples.values())
        accepted = refused = 0
        for number in range(60):
            sample, other = SOURCE.choice(pool), SOURCE.choice(pool)
            index, false_index = SOURCE.randrange(64), SOURCE.randrange(64)
            cell, false = sample.cell(index), other.cell(false_index)
            if number % 3 == 1:
                cell = replace(
                    cell, **{key: getattr(false, key) for key in [("proof", "elements", "index")[number % 9 // 3]]}
                )
            elif number % 3 == 2:
                place = SOURCE.randrange(64)
                elements = (*cell.elements[:place], any_element(), *cell.elements[place + 1 :])
                cell = replace(cell, elements=elements)
            if accepted_by_ckzg(cell):
                check(cell_verifier, cell)
                accepted += 1
            else:
                refuses(cell_verifier, cell)
                refused += 1
        assert min(accepted, refused) >= 20


class TestElements:
    @pytest.mark.parametrize("name", SAMPLES)
    @pytest.mark.parametrize("index", [0, 1, 63, 64, 2048, 4095])
    def test_accepts(self, cell_verifier, samples, name, index) -> None:
        element = samples[name].element(index)
        assert element.element == samples[name].elements[index]
        check(cell_verifier, element)

    def test_accepts_any_index(self, cell_verifier, sample) -> None:
        for index in [1 << bit for bit in range(12)] + [SOURCE.randrange(4096) for _ in range(20)]:
            check(cell_verifier, sample.element(index))

    def test_both_signs_of_commitments(self, cell_verifier) -> None:
        """Constant blobs: commitments are multiples of the generator, about half with the larger y; proofs infinity."""
        larger = 0
        for constant in range(1, 17):
            commitment = uncompressed(multiply(G1, constant))
            short = compress(commitment)
            larger += bool(short[0] & 0x20)
            infinity = b"\xc0" + bytes(47)
            opening = Element(blobs.versioned_hash(short), commitment, infinity, 7, constant)
            check(cell_verifier, opening)
            refuses(cell_verifier, replace(opening, commitment=other_sign(commitment)))
        assert 0 < larger < 16

    def test_wrong_element(self, cell_verifier, sample) -> None:
        element = sample.element(100)
        for value in (0, 1, element.element + 1, element.element ^ 1, MODULUS - 1):
            refuses(cell_verifier, replace(element, element=value))

    def test_attack_element_plus_modulus(self, cell_verifier, samples) -> None:
        for sample in samples.values():
            element = sample.element(100)
            refuses(cell_verifier, replace(element, element=element.element + MODULUS))

    def test_wrong_index(self, cell_verifier, sample) -> None:
        for index in (0, 99, 101, 100 ^ 2048):
            refuses(cell_verifier, replace(sample.element(100), index=index))

    def test_index_out_of_range(self, cell_verifier, sample) -> None:
        for index in (4096, 4096 + 100, 2**64 + 100, 2**256 - 1):
            refuses(cell_verifier, replace(sample.element(100), index=index))

    def test_attack_another_blobs_opening(self, cell_verifier, samples) -> None:
        ours, theirs = samples["any elements"].element(0), samples["31 bytes each"].element(0)
        refuses(cell_verifier, replace(theirs, versioned_hash=ours.versioned_hash))
        refuses(cell_verifier, replace(theirs, versioned_hash=ours.versioned_hash, commitment=ours.commitment))
        refuses(cell_verifier, replace(ours, proof=theirs.proof))

    def test_wrong_version(self, cell_verifier, sample) -> None:
        element = sample.element(100)
        refuses(cell_verifier, replace(element, versioned_hash=b"\0" + element.versioned_hash[1:]))

    @pytest.mark.parametrize("name", BAD_POINTS)
    def test_bad_commitment(self, cell_verifier, sample, name) -> None:
        element = sample.element(100)
        refuses(cell_verifier, replace(element, commitment=BAD_POINTS[name](element.commitment)))

    def test_attack_commitment_outside_the_subgroup(self, cell_verifier, samples) -> None:
        element = samples["zeros: commitment and proofs are infinity"].element(100)
        versioned_hash = blobs.versioned_hash(compress(SMALL_ORDER))
        refuses(cell_verifier, replace(element, versioned_hash=versioned_hash, commitment=SMALL_ORDER))

    def test_bad_proof(self, cell_verifier, sample) -> None:
        element = sample.element(100)
        infinity = b"\xc0" + bytes(47)
        flipped = bytes([element.proof[0] ^ 0x20]) + element.proof[1:]
        uncompressed_flag = bytes([element.proof[0] ^ 0x80]) + element.proof[1:]
        for proof in (
            *(infinity, flipped, uncompressed_flag, compress(SMALL_ORDER), b"\xff" * 48, bytes(48)),
            *(b"", element.proof[:-1], element.proof + b"\0", blobs.decompress(element.proof)),
        ):
            refuses(cell_verifier, replace(element, proof=proof))


class TestGas:
    def test_gas(self, cell_verifier, sample, accounts) -> None:
        """The figures of docs/optimistic.md: what the calls cost inside a transaction."""
        used = {}
        for opening in (sample.cell(0), sample.cell(63), sample.element(0), sample.element(4095)):
            method = cell_verifier.verifyCell if isinstance(opening, Cell) else cell_verifier.verifyElement
            data = method.encode_input(*opening.arguments)
            receipt = method.transact(*opening.arguments, sender=accounts[0])
            intrinsic = 21_000 + sum(16 if byte else 4 for byte in data)
            used[type(opening).__name__, opening.index] = receipt.gas_used - intrinsic
        print("gas:", used)
        assert max(used["Cell", 0], used["Cell", 63]) < 600_000
        assert max(used["Element", 0], used["Element", 4095]) < 55_000

    @pytest.mark.parametrize("kind", ["cell", "element"])
    def test_attack_too_little_gas(self, cell_verifier, sample, kind) -> None:
        """A precompile that runs out of gas is a refusal; a wrong opening passes with no amount of gas."""
        right = sample.cell(63) if kind == "cell" else sample.element(63)
        if isinstance(right, Cell):
            wrong = replace(right, elements=(right.elements[0] ^ 1, *right.elements[1:]))
            limits = range(60_000, 760_000, 3_500)
        else:
            wrong = replace(right, element=right.element ^ 1)
            limits = range(24_000, 100_000, 400)
        outcomes = [outcome(cell_verifier, right, gas) for gas in limits]
        assert {outcome(cell_verifier, wrong, gas) for gas in limits} == {"refused", "out of gas"}
        assert set(outcomes) == {"refused", "out of gas", "accepted"}
        first = outcomes.index("accepted")
        assert outcomes[first:] == ["accepted"] * (len(outcomes) - first)
        assert outcomes[first - 1] == "refused"


class TestSetup:
    def test_file_is_what_the_command_makes(self, tmp_path) -> None:
        command = [sys.executable, str(PROJECT / "tools" / "kzg_setup.py"), str(tmp_path / "made")]
        subprocess.run(command, check=True)
        assert (tmp_path / "made").read_bytes() == blobs.SETUP_FILE.read_bytes()

    def test_points_are_the_ceremonys(self) -> None:
        """Against [τ]₂ of the ceremony: e([τᵏ⁺¹]₁, [1]₂) = e([τᵏ]₁, [τ]₂), all k at once with random coefficients."""
        points = blobs.setup_points()
        assert len(points) == 64 * 128 + 2 * 256
        numbers = [int.from_bytes(points[i : i + 64], "big") for i in range(0, len(points), 64)]
        g1 = [(FQ(x), FQ(y), FQ(1)) for x, y in zip(numbers[:128:2], numbers[1:128:2], strict=True)]
        one, tau64 = ((FQ2(n[0:2]), FQ2(n[2:4]), FQ2([1, 0])) for n in (numbers[128:132], numbers[132:136]))
        line = Path(TRUSTED_SETUP).read_text().split()[2 + 4096 + 1]
        tau = decompress_G2((int(line[:96], 16), int(line[96:], 16)))
        assert eq(g1[0], G1)
        assert eq(one, G2)
        left = right = Z1
        for k in range(63):
            factor = SOURCE.getrandbits(128)
            left, right = add(left, multiply(g1[k + 1], factor)), add(right, multiply(g1[k], factor))
        assert pairing(G2, left) == pairing(tau, right)
        assert pairing(tau64, G1) == pairing(tau, g1[63])

    def test_attack_false_setup(self, project, accounts, cell_verifier) -> None:
        """Who knows τ opens everything to anything: the contract takes the ceremony's points only."""
        points = blobs.setup_points()
        for setup in (points[128:256] * 64 + points[-512:], points[:-1], points + b"\0", b""):
            hash_ = keccak(setup)
            with reverts(cell_verifier.WrongSetup, setupHash=hash_, expected=keccak(points)):
                accounts[0].deploy(project.CellVerifier, setup)


class TestAttackChainWithoutPrecompiles:
    """A call of an address without code succeeds, and answers nothing. That is no proof of anything."""

    FAKE = (1).to_bytes(32, "big") + bytes(96)
    """A commitment whose first word is 1: so is then, if nothing is written there, what the pairing's answer is read
    from."""

    @pytest.fixture(scope="class")
    def cancun(self, tmp_path_factory) -> Iterator[Anvil]:
        with Anvil(tmp_path_factory.mktemp("anvil") / "log", hardfork="cancun") as running:
            yield running

    @pytest.fixture(scope="class")
    def address(self, cancun, tmp_path_factory) -> str:
        """The contract and its points, as if deployed here: a chain that has the precompiles lends its code."""
        with Anvil(tmp_path_factory.mktemp("prague") / "log") as prague:
            address, _ = deploy_contract(prague.chain, signer(0), "CellVerifier", blobs.setup_points())
            points = "0x" + keccak(rlp.encode([bytes.fromhex(address[2:]), 1]))[12:].hex()
            for one in (address, points):
                cancun.request("anvil_setCode", one, prague.request("eth_getCode", one, "latest"))
        return address

    @pytest.fixture
    def openings(self, sample) -> tuple[Cell, Cell]:
        """A true one and one with the fake commitment."""
        fake_hash = blobs.versioned_hash(b"\x80" + (1).to_bytes(15, "big") + bytes(32))
        return sample.cell(5), replace(sample.cell(5), versioned_hash=fake_hash, commitment=self.FAKE)

    @staticmethod
    def refused(cancun: Anvil, address: str, opening: Cell | Element) -> None:
        method = "verifyCell" if isinstance(opening, Cell) else "verifyElement"
        with pytest.raises(RevertedError) as error:
            cancun.chain.call(address, coder("CellVerifier").encode(method, *opening.arguments))
        assert error.value.name == "InvalidOpening"

    def test_the_contract_cannot_be_deployed(self, cancun) -> None:
        """Otherwise a rollup would take batches in blobs, and nobody could dispute them."""
        for present in range(2):
            with pytest.raises(RevertedError) as error:
                deploy_contract(cancun.chain, signer(0), "CellVerifier", blobs.setup_points())
            assert error.value.name == "PrecompileMissing"
            assert f"0x{0x0B + present:040X}" in error.value.detail.upper().replace("0X", "0x")
            cancun.request("anvil_setCode", f"0x{0x0B:040x}", "0x60805ff3")  # return 128 zeros
        cancun.request("anvil_setCode", f"0x{0x0B:040x}", "0x")

    def test_none(self, cancun, address, openings, sample) -> None:
        for opening in (*openings, sample.element(5)):
            self.refused(cancun, address, opening)

    def test_no_multiplication(self, cancun, address, openings) -> None:
        """A pairing that says yes is there."""
        snapshot = cancun.snapshot()
        cancun.request("anvil_setCode", f"0x{0x0F:040x}", "0x60015f5260205ff3")  # return 1
        for opening in openings:
            self.refused(cancun, address, opening)
        cancun.revert(snapshot)

    def test_no_pairing(self, cancun, address, openings) -> None:
        """A multiplication that answers, with 1 as the first word, is there."""
        snapshot = cancun.snapshot()
        cancun.request("anvil_setCode", f"0x{0x0C:040x}", "0x60015f5260805ff3")  # return 1, 0, 0, 0
        for opening in openings:
            self.refused(cancun, address, opening)
        cancun.revert(snapshot)

    def test_answers_are_what_is_refused(self, cancun, address, openings) -> None:
        """With both of these the contract says yes: the tests above fail for nothing else."""
        snapshot = cancun.snapshot()
        cancun.request("anvil_setCode", f"0x{0x0F:040x}", "0x60015f5260205ff3")
        cancun.request("anvil_setCode", f"0x{0x0C:040x}", "0x60015f5260805ff3")
        for opening in openings:
            assert cancun.chain.call(address, coder("CellVerifier").encode("verifyCell", *opening.arguments)) == b""
        cancun.revert(snapshot)


def decompress_G1_bytes(point: bytes):
    return decompress_G1(int.from_bytes(point, "big"))


def outcome(cell_verifier, opening: Cell | Element, gas: int) -> str:
    """What becomes of a call with this much gas: accepted, refused (InvalidOpening) or out of gas."""
    method = cell_verifier.verifyCell if isinstance(opening, Cell) else cell_verifier.verifyElement
    try:
        call(cell_verifier, method.encode_input(*opening.arguments), gas=gas)
    except Web3Exception as error:
        if getattr(error, "data", None) == to_hex(keccak(text="InvalidOpening()")[:4]):
            return "refused"
        if "gas" in str(error).lower():
            return "out of gas"
        raise
    return "accepted"
