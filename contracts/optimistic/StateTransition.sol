// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IStateTransition} from "../interfaces/IStateTransition.sol";
import {CalldataNumber} from "../libraries/CalldataNumber.sol";
import {Float} from "../libraries/Float.sol";
import {OperationHash} from "../libraries/OperationHash.sol";
import {Records} from "../libraries/Records.sol";
import {Slot} from "../libraries/Slot.sol";
import {StateTree} from "../libraries/StateTree.sol";

/// @title StateTransition
/// @notice Executes one chunk of an optimistic batch from a witness: `docs/optimistic.md` §1 to §3 in Solidity.
/// @dev The function of each operation returns whether it is valid; if not, `_executeOperation` undoes what it has put.
/// What operations do, and in which order they read leaves, follows the specification step by step. Nothing here can
/// fail but for the witness, the queue entries and lack of gas: see `IStateTransition`.
contract StateTransition is IStateTransition {
    /// @dev The execution of a chunk. Places are positions in calldata.
    /// @param state The state so far.
    /// @param domainSeparator See `Context`.
    /// @param executedAt See `Context`.
    /// @param queueEnd See `Context`.
    /// @param levels See `Context`.
    /// @param capacity How many leaves the state tree has: 2^levels.
    /// @param entry Place of the next queue entry.
    /// @param entriesEnd Place after the last queue entry.
    /// @param witness Place of the first byte of the witness that is not yet used.
    /// @param witnessEnd Place after the witness.
    /// @param isOpen Whether the leaf that was read last has yet to be checked: see `_close`.
    /// @param index That leaf's index.
    /// @param leaf Its value.
    /// @param newLeaf The value that was put there; the same if nothing was put.
    /// @param record Place of its record.
    /// @param siblings Place of its siblings.
    /// @param fee Fee of the operation.
    /// @param expiry Expiry of the operation.
    /// @param signature Place of the operation's signature.
    /// @param feeToken Token of the fee.
    /// @param feeWord Which fee word takes the fee.
    struct Run {
        State state;
        bytes32 domainSeparator;
        uint256 executedAt;
        uint256 queueEnd;
        uint256 levels;
        uint256 capacity;
        uint256 entry;
        uint256 entriesEnd;
        uint256 witness;
        uint256 witnessEnd;
        bool isOpen;
        uint256 index;
        bytes32 leaf;
        bytes32 newLeaf;
        uint256 record;
        uint256 siblings;
        uint256 fee;
        uint256 expiry;
        uint256 signature;
        uint256 feeToken;
        uint256 feeWord;
    }

    /// @dev Most operations in a chunk.
    uint256 private constant _MAX_OPERATIONS = 16;

    /// @dev Kinds of operations.
    uint256 private constant _NOTHING = 0;
    uint256 private constant _QUEUE_ENTRY = 1;
    uint256 private constant _TRANSFER = 2;
    uint256 private constant _TRANSFER_TO_NEW = 3;
    uint256 private constant _WITHDRAWAL = 4;
    uint256 private constant _SWAP = 5;
    uint256 private constant _CREATE_POOL = 6;
    uint256 private constant _ADD_LIQUIDITY = 7;
    uint256 private constant _REMOVE_LIQUIDITY = 8;
    uint256 private constant _MINT_NFT = 9;
    uint256 private constant _TRANSFER_NFT = 10;
    uint256 private constant _PURCHASE_NFT = 11;

    /// @dev Bytes of an operation of each kind, one byte a kind.
    bytes12 private constant _SIZES = hex"0101_5363_5a5c_5865_6c6a_6297";

    /// @dev Bytes of the fields that signed operations end with: fee, expiry, signature.
    uint256 private constant _TAIL = 1 + 4 + _SIGNATURE;

    /// @dev Bytes of a signature.
    uint256 private constant _SIGNATURE = 64;

    /// @dev Shares of a pool that nobody owns.
    uint256 private constant _LOCKED_SHARES = 1000;

    /// @inheritdoc IStateTransition
    function execute(
        State calldata state,
        Context calldata context,
        bytes calldata operations,
        bytes calldata queueEntries,
        bytes calldata witness
    ) external pure returns (State memory after_) {
        after_ = state;
        Run memory run;
        run.state = after_;
        run.domainSeparator = context.domainSeparator;
        run.executedAt = context.executedAt;
        run.queueEnd = context.queueEnd;
        run.levels = context.levels;
        run.capacity = 2 ** context.levels;
        (run.entry, run.entriesEnd) = _span(queueEntries);
        (run.witness, run.witnessEnd) = _span(witness);

        (uint256 place, uint256 end) = _span(operations);
        for (uint256 i; i < _MAX_OPERATIONS && place < end; ++i) {
            uint256 kind = CalldataNumber.read(place, 0, 1);
            if (kind > _PURCHASE_NFT) break;
            uint256 size = uint8(_SIZES[kind]);
            if (size > end - place) break;
            _executeOperation(run, kind, place, place + size);
            place += size;
        }
    }

    /* OPERATIONS IN GENERAL */

    /// @dev Executes the operation between two places. If it is not valid, undoes what it has put.
    function _executeOperation(Run memory run, uint256 kind, uint256 place, uint256 end) private pure {
        if (kind == _NOTHING) return;
        if (kind == _QUEUE_ENTRY) {
            if (run.state.queueCursor >= run.queueEnd) return;
            place = _takeEntry(run);
            run.fee = 0;
        } else {
            uint256 tail = end - (kind == _PURCHASE_NFT ? _TAIL + _SIGNATURE : _TAIL);
            run.fee = Float.decode8(CalldataNumber.read(tail, 0, 1));
            run.expiry = CalldataNumber.read(tail, 1, 4);
            run.signature = tail + 5;
            if (run.expiry < run.executedAt) return;
        }

        State memory state = run.state;
        (bytes32 stateRoot, bytes32 withdrawalRoot) = (state.stateRoot, state.withdrawalRoot);
        (uint64 nextIndex, uint64 withdrawalCount) = (state.nextIndex, state.withdrawalCount);
        bool isValid = _isValid(run, kind, place);
        _close(run);
        if (isValid) {
            if (run.fee != 0) _addFee(run);
        } else {
            (state.stateRoot, state.withdrawalRoot) = (stateRoot, withdrawalRoot);
            (state.nextIndex, state.withdrawalCount) = (nextIndex, withdrawalCount);
        }
    }

    /// @dev Executes all of an operation but its fee, as far as it is valid.
    function _isValid(Run memory run, uint256 kind, uint256 place) private pure returns (bool) {
        if (kind == _TRANSFER) return _transfer(run, place);
        if (kind == _QUEUE_ENTRY) return _queueEntry(run, place);
        if (kind == _TRANSFER_TO_NEW) return _transferToNew(run, place);
        if (kind == _WITHDRAWAL) return _withdrawal(run, place);
        if (kind == _SWAP) return _swap(run, place);
        if (kind == _CREATE_POOL) return _createPool(run, place);
        if (kind == _ADD_LIQUIDITY) return _addLiquidity(run, place);
        if (kind == _REMOVE_LIQUIDITY) return _removeLiquidity(run, place);
        if (kind == _MINT_NFT) return _mintNFT(run, place);
        if (kind == _TRANSFER_NFT) return _transferNFT(run, place);
        return _purchaseNFT(run, place);
    }

    /* OPERATIONS */

    function _transfer(Run memory run, uint256 place) private pure returns (bool) {
        uint256 account = CalldataNumber.read(place, 1, 4);
        uint256 to = CalldataNumber.read(place, 5, 4);
        uint256 amount = _amount(place, 9);

        Records.Account memory sender;
        Records.Account memory recipient;
        if (!_spend(run, account, amount, sender)) return false;
        if (!_receive(run, to, sender.token, amount, recipient)) return false;
        bytes32 structHash = OperationHash.transfer(
            account, to, recipient.owner, sender.token, amount, run.fee, sender.nonce, run.expiry
        );
        return _isSigned(run, run.signature, structHash, sender.owner);
    }

    function _transferToNew(Run memory run, uint256 place) private pure returns (bool) {
        uint256 account = CalldataNumber.read(place, 1, 4);
        address owner = address(uint160(CalldataNumber.read(place, 5, 20)));
        uint256 amount = _amount(place, 25);

        Records.Account memory sender;
        if (owner == address(0) || !_hasRoom(run, 1)) return false;
        if (!_spend(run, account, amount, sender)) return false;
        bytes32 structHash =
            OperationHash.transferToNew(account, owner, sender.token, amount, run.fee, sender.nonce, run.expiry);
        if (!_isSigned(run, run.signature, structHash, sender.owner)) return false;
        // The amount is no more than a balance.
        _new(run, Records.hashAccount(owner, sender.token, 0, amount));
        return true;
    }

    function _withdrawal(Run memory run, uint256 place) private pure returns (bool) {
        uint256 account = CalldataNumber.read(place, 1, 4);
        uint256 amount = CalldataNumber.read(place, 5, 16);

        Records.Account memory sender;
        if (!_spend(run, account, amount, sender)) return false;
        bytes32 structHash =
            OperationHash.withdraw(account, sender.token, amount, run.fee, sender.nonce, run.expiry);
        if (!_isSigned(run, run.signature, structHash, sender.owner)) return false;
        return _withdraw(run, sender.owner, sender.token, amount);
    }

    function _swap(Run memory run, uint256 place) private pure returns (bool) {
        uint256 account = CalldataNumber.read(place, 1, 4);
        uint256 to = CalldataNumber.read(place, 5, 4);
        uint256 poolIndex = CalldataNumber.read(place, 9, 4);
        uint256 amount = _amount(place, 13);
        uint256 minimum = _amount(place, 18);

        if (account == to || amount == 0) return false;
        Records.Account memory sender;
        Records.Account memory recipient;
        if (!_spend(run, account, amount, sender)) return false;
        (bool isSwapped, uint256 toToken, uint256 out) = _swapInPool(run, poolIndex, sender.token, amount);
        if (!isSwapped || out < minimum) return false;
        if (!_receive(run, to, toToken, out, recipient) || recipient.owner != sender.owner) return false;
        bytes32 structHash = OperationHash.swap(
            account, to, poolIndex, sender.token, toToken, amount, minimum, run.fee, sender.nonce, run.expiry
        );
        return _isSigned(run, run.signature, structHash, sender.owner);
    }

    /// @dev The pool's side of a swap.
    /// @param amount What comes in, above 0 and below 2¹²⁸.
    function _swapInPool(Run memory run, uint256 index, uint256 token, uint256 amount)
        private
        pure
        returns (bool, uint256 toToken, uint256 out)
    {
        Records.Pool memory pool;
        if (!_readPool(run, index, pool)) return (false, 0, 0);
        bool isA = token == pool.tokenA;
        if (!isA && token != pool.tokenB) return (false, 0, 0);

        (uint256 x, uint256 y) = isA ? (pool.reserveA, pool.reserveB) : (pool.reserveB, pool.reserveA);
        // amount·997 is below 2¹³⁸, and with y up to 2²⁶⁶: too much for a word, hence mulDiv. The divisor is above 0, and
        // the result below y: mulDiv does not fail.
        uint256 weighted = amount * 997;
        out = Math.mulDiv(weighted, y, x * 1000 + weighted);
        if (out == 0 || x + amount > type(uint128).max) return (false, 0, 0);
        toToken = isA ? pool.tokenB : pool.tokenA;
        (uint256 reserveA, uint256 reserveB) = isA ? (x + amount, y - out) : (y - out, x + amount);
        _put(run, Records.hashPool(pool.tokenA, pool.tokenB, reserveA, reserveB, pool.shares));
        return (true, toToken, out);
    }

    function _createPool(Run memory run, uint256 place) private pure returns (bool) {
        uint256 accountA = CalldataNumber.read(place, 1, 4);
        uint256 accountB = CalldataNumber.read(place, 5, 4);
        uint256 amountA = _amount(place, 9);
        uint256 amountB = _amount(place, 14);

        if (accountA == accountB || amountA == 0 || amountB == 0 || !_hasRoom(run, 2)) return false;
        Records.Account memory a;
        Records.Account memory b;
        if (!_spend(run, accountA, amountA, a)) return false;
        if (!_pay(run, accountB, amountB, a.owner, b) || a.token == b.token) return false;
        // Both amounts are no more than a balance, so below 2¹²⁸: the product fits in a word.
        uint256 shares = Math.sqrt(amountA * amountB);
        if (shares <= _LOCKED_SHARES) return false;
        bytes32 structHash = OperationHash.createPool(
            accountA, accountB, a.token, b.token, amountA, amountB, run.fee, a.nonce, run.expiry
        );
        if (!_isSigned(run, run.signature, structHash, a.owner)) return false;
        uint256 pool = run.state.nextIndex;
        _new(run, Records.hashPool(a.token, b.token, amountA, amountB, shares));
        _new(run, Records.hashPosition(a.owner, pool, shares - _LOCKED_SHARES));
        return true;
    }

    function _addLiquidity(Run memory run, uint256 place) private pure returns (bool) {
        uint256 accountA = CalldataNumber.read(place, 1, 4);
        uint256 accountB = CalldataNumber.read(place, 5, 4);
        uint256 poolIndex = CalldataNumber.read(place, 9, 4);
        uint256 positionIndex = CalldataNumber.read(place, 13, 4);
        uint256 amountA = _amount(place, 17);
        uint256 minimumB = _amount(place, 22);
        uint256 maximumB = _amount(place, 27);

        if (accountA == accountB || amountA == 0 || (positionIndex == 0 && !_hasRoom(run, 1))) return false;
        Records.Pool memory pool;
        if (!_readPool(run, poolIndex, pool)) return false;
        (uint256 amountB, uint256 minted) = _addToPool(run, pool, amountA, maximumB);
        if (minted == 0 || amountB < minimumB) return false;
        Records.Account memory a;
        Records.Account memory b;
        if (!_spend(run, accountA, amountA, a) || a.token != pool.tokenA) return false;
        if (!_pay(run, accountB, amountB, a.owner, b) || b.token != pool.tokenB) return false;
        bytes32 structHash = OperationHash.addLiquidity(
            accountA,
            accountB,
            poolIndex,
            positionIndex,
            a.token,
            b.token,
            amountA,
            minimumB,
            maximumB,
            run.fee,
            a.nonce,
            run.expiry
        );
        if (!_isSigned(run, run.signature, structHash, a.owner)) return false;
        if (positionIndex == 0) {
            _new(run, Records.hashPosition(a.owner, poolIndex, minted));
            return true;
        }
        Records.Position memory position;
        if (!_readPosition(run, positionIndex, position)) return false;
        if (position.owner != a.owner || position.pool != poolIndex) return false;
        // A position's shares are part of the pool's, and these stay below 2¹²⁸.
        _put(run, Records.hashPosition(a.owner, position.pool, position.shares + minted));
        return true;
    }

    /// @dev The pool's side of adding liquidity.
    /// @return amountB What has to be added of token B.
    /// @return minted The shares for it; 0 if it is not possible.
    function _addToPool(Run memory run, Records.Pool memory pool, uint256 amountA, uint256 maximumB)
        private
        pure
        returns (uint256 amountB, uint256 minted)
    {
        (uint256 reserveA, uint256 reserveB, uint256 shares) = (pool.reserveA, pool.reserveB, pool.shares);
        // This comes first, so that the products below are of two numbers below 2¹²⁸ and fit in a word.
        if (reserveA + amountA > type(uint128).max || reserveA == 0 || reserveB == 0) return (0, 0);
        amountB = Math.ceilDiv(amountA * reserveB, reserveA);
        minted = amountA * shares / reserveA;
        if (amountB > maximumB || reserveB + amountB > type(uint128).max || shares + minted > type(uint128).max) {
            return (0, 0);
        }
        _put(
            run,
            Records.hashPool(
                pool.tokenA,
                pool.tokenB,
                reserveA + amountA,
                reserveB + amountB,
                shares + minted
            )
        );
    }

    function _removeLiquidity(Run memory run, uint256 place) private pure returns (bool) {
        uint256 positionIndex = CalldataNumber.read(place, 1, 4);
        uint256 accountA = CalldataNumber.read(place, 5, 4);
        uint256 accountB = CalldataNumber.read(place, 9, 4);
        uint256 shares = CalldataNumber.read(place, 13, 16);
        uint256 minimumA = _amount(place, 29);
        uint256 minimumB = _amount(place, 34);

        if (accountA == accountB || shares == 0) return false;
        Records.Position memory position;
        if (!_readPosition(run, positionIndex, position) || shares > position.shares) return false;
        _put(run, Records.hashPosition(position.owner, position.pool, position.shares - shares));
        Records.Pool memory pool;
        (bool isRemoved, uint256 amountA, uint256 amountB) = _removeFromPool(run, position.pool, shares, pool);
        if (!isRemoved || amountA < minimumA || amountB < minimumB) return false;
        (bool isReceived, uint256 nonce) = _receiveLessFee(run, accountA, pool.tokenA, amountA, position.owner);
        if (!isReceived) return false;
        Records.Account memory b;
        if (!_receive(run, accountB, pool.tokenB, amountB, b) || b.owner != position.owner) return false;
        bytes32 structHash = OperationHash.removeLiquidity(
            positionIndex,
            accountA,
            accountB,
            pool.tokenA,
            pool.tokenB,
            shares,
            minimumA,
            minimumB,
            run.fee,
            nonce,
            run.expiry
        );
        return _isSigned(run, run.signature, structHash, position.owner);
    }

    /// @dev The pool's side of removing liquidity.
    /// @param shares Above 0 and below 2¹²⁸.
    /// @param pool Where the pool as it was goes.
    function _removeFromPool(Run memory run, uint256 index, uint256 shares, Records.Pool memory pool)
        private
        pure
        returns (bool, uint256 amountA, uint256 amountB)
    {
        // A position's shares are always part of its pool's.
        if (!_readPool(run, index, pool) || shares > pool.shares) return (false, 0, 0);
        // Factors are below 2¹²⁸: products fit in a word. The quotients are no more than the reserves.
        amountA = shares * pool.reserveA / pool.shares;
        amountB = shares * pool.reserveB / pool.shares;
        _put(
            run,
            Records.hashPool(
                pool.tokenA,
                pool.tokenB,
                pool.reserveA - amountA,
                pool.reserveB - amountB,
                pool.shares - shares
            )
        );
        return (true, amountA, amountB);
    }

    /// @dev What account A of "remove liquidity" gets: the amount, less the fee, which it may pay from the amount.
    function _receiveLessFee(Run memory run, uint256 index, uint256 token, uint256 amount, address owner)
        private
        pure
        returns (bool, uint256 nonce)
    {
        Records.Account memory account;
        if (!_readAccount(run, index, account)) return (false, 0);
        uint256 balance = account.balance + amount;
        if (
            account.owner != owner || account.token != token || account.nonce == type(uint32).max
                || !_hasRoomForFee(run, token) || balance > type(uint128).max || run.fee > balance
        ) return (false, 0);
        _put(run, Records.hashAccount(owner, token, account.nonce + 1, balance - run.fee));
        return (true, account.nonce);
    }

    function _mintNFT(Run memory run, uint256 place) private pure returns (bool) {
        uint256 account = CalldataNumber.read(place, 1, 4);
        bytes32 content = bytes32(CalldataNumber.read(place, 5, 32));

        if (!_hasRoom(run, 1)) return false;
        Records.Account memory minter;
        if (!_spend(run, account, 0, minter)) return false;
        bytes32 structHash =
            OperationHash.mintNFT(account, content, minter.token, run.fee, minter.nonce, run.expiry);
        if (!_isSigned(run, run.signature, structHash, minter.owner)) return false;
        _new(run, Records.hashNFT(minter.owner, minter.owner, 0, content));
        return true;
    }

    function _transferNFT(Run memory run, uint256 place) private pure returns (bool) {
        uint256 nftIndex = CalldataNumber.read(place, 1, 4);
        address to = address(uint160(CalldataNumber.read(place, 5, 20)));
        uint256 accountIndex = CalldataNumber.read(place, 25, 4);

        if (to == address(0)) return false;
        Records.NFT memory nft;
        if (!_passOn(run, nftIndex, to, nft)) return false;
        Records.Account memory account;
        if (!_readAccount(run, accountIndex, account)) return false;
        if (account.owner != nft.owner || run.fee > account.balance || !_hasRoomForFee(run, account.token)) {
            return false;
        }
        _put(run, Records.hashAccount(account.owner, account.token, account.nonce, account.balance - run.fee));
        bytes32 structHash = OperationHash.transferNFT(
            nftIndex, to, nft.content, nft.creator, accountIndex, account.token, run.fee, nft.nonce, run.expiry
        );
        return _isSigned(run, run.signature, structHash, nft.owner);
    }

    function _purchaseNFT(Run memory run, uint256 place) private pure returns (bool) {
        uint256 nftIndex = CalldataNumber.read(place, 1, 4);
        uint256 account = CalldataNumber.read(place, 5, 4);
        uint256 sellerAccount = CalldataNumber.read(place, 9, 4);
        uint256 price = _amount(place, 13);

        if (account == sellerAccount) return false;
        Records.Account memory buyer;
        Records.Account memory seller;
        Records.NFT memory nft;
        if (!_spend(run, account, price, buyer)) return false;
        if (!_passOn(run, nftIndex, buyer.owner, nft)) return false;
        if (!_receive(run, sellerAccount, buyer.token, price, seller) || seller.owner != nft.owner) return false;
        bytes32 structHash = OperationHash.purchaseNFT(
            nftIndex,
            nft.content,
            nft.creator,
            nft.owner,
            account,
            sellerAccount,
            buyer.token,
            price,
            run.fee,
            buyer.nonce,
            run.expiry
        );
        if (!_isSigned(run, run.signature, structHash, buyer.owner)) return false;
        structHash = OperationHash.sellNFT(
            nftIndex, nft.content, nft.creator, sellerAccount, buyer.token, price, nft.nonce, run.expiry
        );
        return _isSigned(run, run.signature + _SIGNATURE, structHash, nft.owner);
    }

    /* QUEUE ENTRIES */

    /// @dev Takes the next entry of the queue.
    /// @return place Where it is.
    function _takeEntry(Run memory run) private pure returns (uint256 place) {
        place = run.entry;
        if (run.entriesEnd - place < Slot.SIZE) revert InvalidWitness();
        run.entry = place + Slot.SIZE;
        ++run.state.queueCursor;
    }

    /// @param place Where the entry is.
    function _queueEntry(Run memory run, uint256 place) private pure returns (bool) {
        uint256 kind = Slot.kindOf(place);
        uint256 account = CalldataNumber.read(place, 1, 4);
        (uint256 token, uint256 amount, address owner) = Slot.payoutOf(place);
        if (kind == Slot.DEPOSIT) return _deposit(run, account, token, amount, owner);
        return kind == Slot.FORCED_WITHDRAWAL && _forcedWithdrawal(run, account, owner);
    }

    function _deposit(Run memory run, uint256 index, uint256 token, uint256 amount, address owner)
        private
        pure
        returns (bool)
    {
        Records.Account memory account;
        if (index != 0 && _readAccount(run, index, account)) {
            uint256 balance = account.balance + amount;
            if (account.owner == owner && account.token == token && balance <= type(uint128).max) {
                _put(run, Records.hashAccount(owner, token, account.nonce, balance));
                return true;
            }
        }
        if (!_hasRoom(run, 1)) return _withdraw(run, owner, token, amount);
        _new(run, Records.hashAccount(owner, token, 0, amount));
        return true;
    }

    function _forcedWithdrawal(Run memory run, uint256 index, address owner) private pure returns (bool) {
        uint256 kind = _read(run, index);
        if (kind == Records.KIND_ACCOUNT) {
            Records.Account memory account;
            Records.readAccount(run.record, account);
            if (account.owner != owner) return false;
            _put(run, Records.hashAccount(owner, account.token, account.nonce, 0));
            return _withdraw(run, owner, account.token, account.balance);
        }
        if (kind == Records.KIND_POSITION) {
            Records.Position memory position;
            Records.readPosition(run.record, position);
            if (position.owner != owner || position.shares == 0) return false;
            _put(run, Records.hashPosition(owner, position.pool, 0));
            Records.Pool memory pool;
            (bool isRemoved, uint256 amountA, uint256 amountB) =
                _removeFromPool(run, position.pool, position.shares, pool);
            return isRemoved && _withdraw(run, owner, pool.tokenA, amountA)
                && _withdraw(run, owner, pool.tokenB, amountB);
        }
        return false;
    }

    /* STEPS OF OPERATIONS: the shorthand of §2 */

    /// @dev Takes an amount and the fee from an account, which signs.
    /// @param account Where the account as it was goes.
    function _spend(Run memory run, uint256 index, uint256 amount, Records.Account memory account)
        private
        pure
        returns (bool)
    {
        if (!_readAccount(run, index, account)) return false;
        uint256 total = amount + run.fee;
        if (account.nonce == type(uint32).max || total > account.balance || !_hasRoomForFee(run, account.token)) {
            return false;
        }
        _put(run, Records.hashAccount(account.owner, account.token, account.nonce + 1, account.balance - total));
        return true;
    }

    /// @dev Takes an amount from another account of the owner who signs.
    /// @param account Where the account as it was goes.
    function _pay(Run memory run, uint256 index, uint256 amount, address owner, Records.Account memory account)
        private
        pure
        returns (bool)
    {
        if (!_readAccount(run, index, account)) return false;
        if (account.owner != owner || amount > account.balance) return false;
        _put(run, Records.hashAccount(owner, account.token, account.nonce, account.balance - amount));
        return true;
    }

    /// @dev Gives an amount to an account of a token.
    /// @param account Where the account as it was goes.
    function _receive(Run memory run, uint256 index, uint256 token, uint256 amount, Records.Account memory account)
        private
        pure
        returns (bool)
    {
        if (!_readAccount(run, index, account)) return false;
        uint256 balance = account.balance + amount;
        if (account.token != token || balance > type(uint128).max) return false;
        _put(run, Records.hashAccount(account.owner, token, account.nonce, balance));
        return true;
    }

    /// @dev Gives an NFT to another owner.
    /// @param nft Where the NFT as it was goes.
    function _passOn(Run memory run, uint256 index, address to, Records.NFT memory nft) private pure returns (bool) {
        if (_read(run, index) != Records.KIND_NFT) return false;
        Records.readNFT(run.record, nft);
        if (nft.nonce == type(uint32).max) return false;
        _put(run, Records.hashNFT(to, nft.creator, nft.nonce + 1, nft.content));
        return true;
    }

    /// @dev Makes a withdrawal, unless it is of nothing.
    function _withdraw(Run memory run, address owner, uint256 token, uint256 amount) private pure returns (bool) {
        if (amount == 0) return true;
        State memory state = run.state;
        uint256 index = state.withdrawalCount;
        // Never so in practice; but a withdrawal for which there can be no witness could not be disputed.
        if (index >= 2 ** StateTree.WITHDRAWAL_LEVELS) return false;
        uint256 siblings = run.witness;
        run.witness = siblings + StateTree.WITHDRAWAL_LEVELS * 32;
        if (run.witness > run.witnessEnd) revert InvalidWitness();
        bytes32 leaf = Records.hashWithdrawal(owner, token, amount);
        (bytes32 root, bytes32 newRoot) = StateTree.roots(0, leaf, index, siblings, StateTree.WITHDRAWAL_LEVELS);
        if (root != state.withdrawalRoot) revert InvalidWitness();
        state.withdrawalRoot = newRoot;
        ++state.withdrawalCount;
        return true;
    }

    /// @dev Whether the state tree has `count` unused leaves.
    function _hasRoom(Run memory run, uint256 count) private pure returns (bool) {
        return run.state.nextIndex + count <= run.capacity;
    }

    /// @dev Whether the fee can be added to a fee word: there is none, or one of this token or an unused one. Notes which.
    function _hasRoomForFee(Run memory run, uint256 token) private pure returns (bool) {
        if (run.fee == 0) return true;
        uint256[4] memory fees = run.state.fees;
        for (uint256 i; i < fees.length; ++i) {
            if (fees[i] == 0 || fees[i] >> 128 == token) {
                (run.feeWord, run.feeToken) = (i, token);
                return true;
            }
        }
        return false;
    }

    /// @dev Adds the fee, above 0, to the word that `_hasRoomForFee` has found.
    function _addFee(Run memory run) private pure {
        uint256[4] memory fees = run.state.fees;
        uint256 word = fees[run.feeWord];
        fees[run.feeWord] = (word == 0 ? run.feeToken << 128 : word) + run.fee;
    }

    /// @dev Whether the owner has signed. Too little gas cannot make a signature invalid: then `ecrecover` reverts.
    /// @param signature Place of the signature.
    function _isSigned(Run memory run, uint256 signature, bytes32 structHash, address owner)
        private
        pure
        returns (bool)
    {
        bytes32 digest = MessageHashUtils.toTypedDataHash(run.domainSeparator, structHash);
        bytes32 r = bytes32(CalldataNumber.read(signature, 0, 32));
        bytes32 yParityAndS = bytes32(CalldataNumber.read(signature, 32, 32));
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, r, yParityAndS);
        return problem == ECDSA.RecoverError.NoError && signer == owner;
    }

    /* LEAVES */

    function _readAccount(Run memory run, uint256 index, Records.Account memory account) private pure returns (bool) {
        if (_read(run, index) != Records.KIND_ACCOUNT) return false;
        Records.readAccount(run.record, account);
        return true;
    }

    function _readPool(Run memory run, uint256 index, Records.Pool memory pool) private pure returns (bool) {
        if (_read(run, index) != Records.KIND_POOL) return false;
        Records.readPool(run.record, pool);
        return true;
    }

    function _readPosition(Run memory run, uint256 index, Records.Position memory position)
        private
        pure
        returns (bool)
    {
        if (_read(run, index) != Records.KIND_POSITION) return false;
        Records.readPosition(run.record, position);
        return true;
    }

    /// @dev Puts a new record at `nextIndex`. The caller has checked that there is room.
    function _new(Run memory run, bytes32 leaf) private pure {
        if (_readLeaf(run, run.state.nextIndex) != Records.KIND_NONE) revert InvalidWitness();
        _put(run, leaf);
        ++run.state.nextIndex;
    }

    /// @dev Reads the leaf with an index that operation or queue gave.
    /// @return The record's kind; none as well if there cannot be a leaf with this index.
    function _read(Run memory run, uint256 index) private pure returns (uint256) {
        if (index == 0 || index >= run.capacity) return Records.KIND_NONE;
        return _readLeaf(run, index);
    }

    /// @dev Takes the next leaf from the witness and opens it. It is closed when the next one is read, or at the
    /// operation's end.
    /// @return kind The kind of its record, which is at `run.record`.
    function _readLeaf(Run memory run, uint256 index) private pure returns (uint256 kind) {
        _close(run);
        uint256 place = run.witness;
        uint256 end = run.witnessEnd;
        if (place >= end) revert InvalidWitness();
        uint256 length = CalldataNumber.read(place, 0, 1);
        // Unchecked: places in calldata are far below 2²⁵⁶, and there are at most 32 siblings.
        unchecked {
            run.record = place + 1;
            run.siblings = place + 1 + length;
            run.witness = place + 1 + length + run.levels * 32;
        }
        if (run.witness > end) revert InvalidWitness();

        bytes32 leaf;
        if (length != 0) {
            kind = CalldataNumber.read(place, 1, 1);
            if (kind == Records.KIND_NONE || kind > Records.KIND_NFT || length != Records.sizeOf(kind)) {
                revert InvalidWitness();
            }
            leaf = Records.hash(run.record, length);
        }
        (run.isOpen, run.index, run.leaf, run.newLeaf) = (true, index, leaf, leaf);
    }

    /// @dev Puts another record, or the first, where the leaf is that was read last.
    function _put(Run memory run, bytes32 leaf) private pure {
        run.newLeaf = leaf;
    }

    /// @dev Checks that the leaf that was read last is in the tree, and replaces it by what was put, in one pass over the
    /// path, which is most of the gas. Until then the record is the caller's word only. That does no harm: if it is not
    /// true, execution ends here, whatever was made of it.
    function _close(Run memory run) private pure {
        if (!run.isOpen) return;
        run.isOpen = false;
        (bytes32 root, bytes32 newRoot) =
            StateTree.roots(run.leaf, run.newLeaf, run.index, run.siblings, run.levels);
        if (root != run.state.stateRoot) revert InvalidWitness();
        run.state.stateRoot = newRoot;
    }

    /* CALLDATA */

    /// @dev The value of the float40 at an offset from a place.
    function _amount(uint256 place, uint256 offset) private pure returns (uint256) {
        return Float.decode40(CalldataNumber.read(place, offset, 5));
    }

    /// @dev Where bytes begin and end.
    function _span(bytes calldata data) private pure returns (uint256 start, uint256 end) {
        assembly ("memory-safe") {
            start := data.offset
        }
        end = start + data.length;
    }
}
