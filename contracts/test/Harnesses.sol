// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Custody} from "../bridge/Custody.sol";
import {ITokenRegistry} from "../interfaces/ITokenRegistry.sol";
import {BabyJubJub} from "../libraries/BabyJubJub.sol";
import {BatchData} from "../libraries/BatchData.sol";
import {GenesisRoot} from "../libraries/GenesisRoot.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {Slot} from "../libraries/Slot.sol";

/// @notice The libraries, callable.
contract LibraryHarness {
    function isOnCurve(uint256 x, uint256 y) external pure returns (bool) {
        return BabyJubJub.isOnCurve(x, y);
    }

    function genesisRoot(uint256 levels) external pure returns (bytes32) {
        return GenesisRoot.ofLevels(levels);
    }

    function chain(
        bytes32 previous,
        uint8 kind,
        uint32 account,
        uint16 token,
        uint128 amount,
        address owner,
        uint256[2] calldata key
    ) external pure returns (bytes32) {
        return Slot.chain(previous, kind, account, token, amount, owner, key);
    }

    function chainCalldata(bytes32 previous, bytes calldata slot) external pure returns (bytes32) {
        return Slot.chainCalldata(previous, BatchData.place(slot, 0), Slot.kindOf(BatchData.place(slot, 0)));
    }

    function kinds() external pure returns (uint8[7] memory) {
        return [
            Slot.PADDING,
            Slot.DEPOSIT,
            Slot.FORCED_WITHDRAWAL,
            Slot.TRANSFER,
            Slot.TRANSFER_TO_NEW,
            Slot.WITHDRAWAL,
            Slot.KEY_CHANGE
        ];
    }

    /// @return slot bytes, fee entry bytes, timestamp bytes, field order, BabyJubJub's a and d.
    function constants() external pure returns (uint256[6] memory) {
        return [Slot.SIZE, BatchData.FEE_SIZE, BatchData.TIMESTAMP_SIZE, BatchData.R, BabyJubJub.A, BabyJubJub.D];
    }

    /// @notice Reads the first segment of data and binds it to D and d₀ … d₃.
    function bindFirst(bytes calldata data, BatchData.Format calldata format, uint256[5] calldata head)
        external
        pure
        returns (BatchData.Segment memory segment, uint256 z, uint256 y)
    {
        BatchData.Format memory sizes = format;
        uint256 start = BatchData.place(data, BatchData.TIMESTAMP_SIZE);
        BatchData.read(data, start, sizes, segment);
        uint256[] memory vector = BatchData.newVector(sizes);
        for (uint256 i; i < 5; ++i) vector[i] = head[i];
        (z, y) = BatchData.bind(segment, sizes, vector);
    }
}

/// @notice Signatures, callable.
contract SignaturesHarness {
    function isValid(address signer, bytes32 hash, bytes calldata signature) external view returns (bool) {
        return Signatures.isValid(signer, hash, signature);
    }
}

/// @notice Custody without a rollup: whoever calls may do what a rollup does.
contract CustodyHarness is Custody {
    uint64 private _cursor;

    constructor(ITokenRegistry registry_, uint256 inclusionDeadline_, uint256 queueQuota_, uint256 freezeDeadline_)
        Custody(registry_, inclusionDeadline_, queueQuota_, freezeDeadline_)
    {}

    function freeze(bytes32 root, uint64 cursor, uint256 tipTime) external {
        _freeze(root, cursor, tipTime);
    }

    function markEscaped(uint256 index) external {
        _checkFrozen();
        _markEscaped(index);
    }

    function setCursor(uint64 cursor) external {
        _cursor = cursor;
    }

    /// @notice Puts ETH or a token's surplus into an owner's payout, as if Layer 2 had given it up.
    function credit(address owner, uint16 token, uint256 amount) external {
        _credit(owner, token, amount);
    }

    function isQueueNeglected(uint256 cursor, uint256 newCursor) external view returns (bool) {
        return _isQueueNeglected(cursor, newCursor);
    }

    function queueCursor() public view override returns (uint64) {
        return _cursor;
    }

    function _isValidKey(uint256[2] calldata key) internal pure override returns (bool) {
        return BabyJubJub.isOnCurve(key[0], key[1]);
    }

    function _accountCapacity() internal pure override returns (uint256) {
        return 256;
    }
}
