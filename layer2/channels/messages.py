"""What the two parties of a channel say to each other; JSON over whatever connects them.

May import what is signed.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from layer2.channels.errors import MalformedError
from layer2.channels.signing import SIGNATURE_BYTES, check_bytes, parse_bytes
from layer2.channels.states import FinalState, State

MAX_SECRETS: Final = 16

MAX_MESSAGE: Final = 16 * 1024
"""Characters of a message; sixteen locks and secrets take a third of it."""


@dataclass(frozen=True)
class Proposal:
    """What the sender would sign next, not signed yet; with secrets that make locks in it due."""

    outcome: State | FinalState
    secrets: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.secrets) > MAX_SECRETS:
            raise MalformedError(f"{len(self.secrets)} secrets are too many: at most {MAX_SECRETS}")
        for secret in self.secrets:
            check_bytes("secret", secret)


@dataclass(frozen=True)
class Signature:
    """The sender's signature of a state."""

    outcome: State | FinalState
    signature: bytes

    def __post_init__(self) -> None:
        check_bytes("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True)
class Refusal:
    """What was proposed is not signed, and why; `code` is a short stable name. digest: of what was proposed."""

    channel_id: bytes
    digest: bytes
    code: str
    reason: str


Message = Proposal | Signature | Refusal


def message_to_json(message: Message) -> str:
    """One line of text."""
    body: dict[str, Any]
    match message:
        case Proposal():
            body = {"kind": "proposal", **_outcome(message.outcome), "secrets": [_hex(one) for one in message.secrets]}
        case Signature():
            body = {"kind": "signature", **_outcome(message.outcome), "signature": _hex(message.signature)}
        case Refusal():
            body = {
                "kind": "refusal",
                "channel": _hex(message.channel_id),
                "digest": _hex(message.digest),
                "code": message.code,
                "reason": message.reason,
            }
    return json.dumps(body)


def message_from_json(text: str) -> Message:
    """The inverse of `message_to_json`. Raises MalformedError for anything else."""
    if len(text) > MAX_MESSAGE:
        raise MalformedError(f"the message has {len(text)} characters: at most {MAX_MESSAGE} are read")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the message is not JSON: {error}") from error
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if kind == "proposal":
        _check_fields(raw, {"secrets"})
        if not isinstance(raw["secrets"], list):
            raise MalformedError("secrets are a list")
        secrets = tuple(parse_bytes("secret", one) for one in raw["secrets"][: MAX_SECRETS + 1])
        return Proposal(_read_outcome(raw), secrets)
    if kind == "signature":
        _check_fields(raw, {"signature"})
        return Signature(_read_outcome(raw), parse_bytes("signature", raw["signature"], SIGNATURE_BYTES))
    if kind == "refusal" and set(raw) == {"kind", "channel", "digest", "code", "reason"}:
        code, reason = raw["code"], raw["reason"]
        if isinstance(code, str) and isinstance(reason, str):
            channel, digest = parse_bytes("channel id", raw["channel"]), parse_bytes("digest", raw["digest"])
            return Refusal(channel, digest, code[:100], reason[:1000])
    raise MalformedError(f"{text[:100]!r} is no proposal, signature or refusal")


def _outcome(outcome: State | FinalState) -> dict[str, Any]:
    return {"state" if isinstance(outcome, State) else "final": outcome.to_json()}


def _read_outcome(raw: dict[str, Any]) -> State | FinalState:
    return State.from_json(raw["state"]) if "state" in raw else FinalState.from_json(raw["final"])


def _check_fields(raw: dict[str, Any], names: set[str]) -> None:
    if set(raw) - {"kind"} not in (names | {"state"}, names | {"final"}):
        raise MalformedError(f"a {raw['kind']} has a state or a final state, and {', '.join(sorted(names))}")


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"
