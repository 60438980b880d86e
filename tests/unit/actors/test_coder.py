"""Answers and inputs of contracts that are not what their ABI says: one error, whatever eth-abi makes of them."""

import pytest
from eth_abi.abi import encode

from layer2.chain.coder import coder
from layer2.chain.errors import DataMissingError


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        encode(["uint256"], [32]),
        encode(["bytes"], [b"\xff\xfe"]),
        encode(["uint256", "uint256"], [2**256 - 1, 1]),
        encode(["uint256", "uint256"], [32, 2**256 - 1]),
    ],
    ids=["nothing", "cut off", "no UTF-8", "offset", "length"],
)
def test_attack_a_symbol_that_is_no_text(answer: bytes) -> None:
    with pytest.raises(DataMissingError, match="check the contract's address"):
        coder("TestUSDC").decode_result("symbol", answer)


def test_attack_an_input_beyond_all_bounds() -> None:
    hub = coder("PaymentChannelHub")
    call = hub.encode("claimMany", [])[:4]
    for arguments in (b"", encode(["uint256"], [2**256 - 1])):
        with pytest.raises(DataMissingError, match="is malformed"):
            hub.decode_input("claimMany", call + arguments)
