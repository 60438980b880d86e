"""Groth16 keys whose trapdoor is known, for tests of the verifier alone.

Whoever knows the trapdoor can make a valid proof of any public inputs without a circuit: choose a and b, then
c = (a·b − α·β − vkx·γ) / δ. The verifier under test is the real one and cannot tell. Where a test is about what a
batch *says*, it uses real proofs of the real circuits instead.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from py_ecc.optimized_bn128 import FQ, FQ2, G1, G2, add, b2, is_inf, multiply, neg, normalize

R = 21888242871839275222246405745257275088548364400416034343698204186575808495617
Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583

G1Point = tuple[int, int]
G2Point = tuple[tuple[int, int], tuple[int, int]]  # ((x₁, x₀), (y₁, y₀)): imaginary part first, as the EVM takes it


@cache
def g1(scalar: int) -> G1Point:
    """scalar·G₁; the point at infinity is (0, 0)."""
    if scalar % R == 0:
        return (0, 0)
    x, y = normalize(multiply(G1, scalar % R))
    return (int(x), int(y))


@cache
def g2(scalar: int) -> G2Point:
    """scalar·G₂; the point at infinity is zeros."""
    if scalar % R == 0:
        return ((0, 0), (0, 0))
    return _g2_coordinates(multiply(G2, scalar % R))


def _g2_coordinates(point: object) -> G2Point:
    x, y = normalize(point)
    return ((int(x.coeffs[1]), int(x.coeffs[0])), (int(y.coeffs[1]), int(y.coeffs[0])))


def add_g1(p: G1Point, q: G1Point) -> G1Point:
    """p + q, for finite points with a finite sum."""
    x, y = normalize(add((FQ(p[0]), FQ(p[1]), FQ(1)), (FQ(q[0]), FQ(q[1]), FQ(1))))
    return (int(x), int(y))


def negate_g1(p: G1Point) -> G1Point:
    """−p."""
    return (p[0], (Q - p[1]) % Q)


def negate_g2(p: G2Point) -> G2Point:
    """−p."""
    (x1, x0), (y1, y0) = p
    return _g2_coordinates(neg((FQ2([x0, x1]), FQ2([y0, y1]), FQ2([1, 0]))))


def twist_point_outside_subgroup() -> G2Point:
    """A point on the twist's curve y² = x³ + 3/(9 + i) that is not of order r."""
    for x0 in range(1, 50):
        x = FQ2([x0, 0])
        right = x * x * x + b2
        # Square root in F_q²: candidate by the norm.
        a, b = (int(c) for c in right.coeffs)
        norm = pow(a * a + b * b, (Q + 1) // 4, Q)
        for sign in (norm, Q - norm):
            half = (a + sign) * pow(2, -1, Q) % Q
            y0 = pow(half, (Q + 1) // 4, Q)
            if y0 == 0 or y0 * y0 % Q != half:
                continue
            y = FQ2([y0, b * pow(2 * y0, -1, Q) % Q])
            if y * y == right and not is_inf(multiply((x, y, FQ2.one()), R)):
                normal_x, normal_y = normalize((x, y, FQ2.one()))
                return (
                    (int(normal_x.coeffs[1]), int(normal_x.coeffs[0])),
                    (int(normal_y.coeffs[1]), int(normal_y.coeffs[0])),
                )
    raise AssertionError("no point found")


def scalar(name: str) -> int:
    """A number below R that depends on the name only."""
    return int.from_bytes(sha256(name.encode()).digest()) % R


@dataclass(frozen=True)
class Proof:
    """The points of a proof, in the EVM's order."""

    a: G1Point
    b: G2Point
    c: G1Point

    def words(self) -> list[int]:
        """The eight coordinates as the contracts take them."""
        return [*self.a, *self.b[0], *self.b[1], *self.c]


@dataclass(frozen=True)
class Statement:
    """A proof with what it proves."""

    circuit: int
    z: int
    digest: int
    y: int
    proof: Proof

    def words(self) -> list[int]:
        """Twelve numbers, in the order of `IBatchVerifier`."""
        return [self.circuit, self.z, self.digest, self.y, *self.proof.words()]

    def encode(self) -> bytes:
        """384 bytes."""
        return encode(self.words())


def encode(words: list[int]) -> bytes:
    """Numbers as 32-byte words."""
    return b"".join(word.to_bytes(32) for word in words)


class Trapdoor:
    """Keys of the two circuits (0 transfers, 1 operations) and the secret behind them."""

    def __init__(self, name: str = "toy") -> None:
        self.alpha, self.beta, self.gamma = (scalar(f"{name} {part}") for part in ("alpha", "beta", "gamma"))
        self.delta = [scalar(f"{name} delta {circuit}") for circuit in range(2)]
        self.ic = [[scalar(f"{name} ic {circuit} {i}") for i in range(4)] for circuit in range(2)]

    def key(self) -> tuple:
        """The argument `key` of `BatchVerifier`'s constructor."""
        circuits = [(g2(self.delta[c]), [g1(i) for i in self.ic[c]]) for c in range(2)]
        return (g1(self.alpha), g2(self.beta), g2(self.gamma), *circuits)

    def prove(self, circuit: int, z: int, digest: int, y: int, salt: str = "") -> Statement:
        """A valid proof of any public inputs; another salt gives another proof."""
        a, b = scalar(f"a {salt} {circuit} {z} {digest} {y}"), scalar(f"b {salt}")
        return Statement(circuit, z, digest, y, Proof(g1(a), g2(b), g1(self.scalar_of_c(circuit, z, digest, y, a * b))))

    def prove_without_c(self, circuit: int, z: int, digest: int, y: int) -> Statement:
        """A valid proof whose C is the point at infinity."""
        a = scalar(f"a {circuit} {z} {digest} {y}")
        b = -self.scalar_of_c(circuit, z, digest, y, 0) * self.delta[circuit] * pow(a, -1, R) % R
        return Statement(circuit, z, digest, y, Proof(g1(a), g2(b), (0, 0)))

    def scalar_of_c(self, circuit: int, z: int, digest: int, y: int, ab: int) -> int:
        """The c that completes a proof with a·b = ab."""
        ic = self.ic[circuit]
        vkx = ic[0] + z * ic[1] + digest * ic[2] + y * ic[3]
        return (ab - self.alpha * self.beta - vkx * self.gamma) * pow(self.delta[circuit], -1, R) % R
