// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title OperationHash
/// @notice What owners sign: EIP-712 struct hashes of the optimistic rollup's operations (`docs/optimistic.md` §3).
/// @dev All numbers are below the bound of their type: they come from fields of its size. Amounts and fees are decoded.
library OperationHash {
    bytes32 private constant _TRANSFER = keccak256(
        "Transfer(uint32 account,uint32 to,address toOwner,uint16 token,uint256 amount,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _TRANSFER_TO_NEW = keccak256(
        "TransferToNew(uint32 account,address owner,uint16 token,uint256 amount,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _WITHDRAW =
        keccak256("Withdraw(uint32 account,uint16 token,uint256 amount,uint256 fee,uint32 nonce,uint32 expiry)");
    bytes32 private constant _SWAP = keccak256(
        "Swap(uint32 account,uint32 to,uint32 pool,uint16 token,uint16 toToken,uint256 amount,uint256 minimum,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _CREATE_POOL = keccak256(
        "CreatePool(uint32 accountA,uint32 accountB,uint16 tokenA,uint16 tokenB,uint256 amountA,uint256 amountB,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _ADD_LIQUIDITY = keccak256(
        "AddLiquidity(uint32 accountA,uint32 accountB,uint32 pool,uint32 position,uint16 tokenA,uint16 tokenB,uint256 amountA,uint256 minimumB,uint256 maximumB,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _REMOVE_LIQUIDITY = keccak256(
        "RemoveLiquidity(uint32 position,uint32 accountA,uint32 accountB,uint16 tokenA,uint16 tokenB,uint256 shares,uint256 minimumA,uint256 minimumB,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _MINT_NFT = keccak256(
        "MintNFT(uint32 account,bytes32 content,uint16 token,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _TRANSFER_NFT = keccak256(
        "TransferNFT(uint32 nft,address to,bytes32 content,address creator,uint32 account,uint16 token,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _PURCHASE_NFT = keccak256(
        "PurchaseNFT(uint32 nft,bytes32 content,address creator,address seller,uint32 account,uint32 sellerAccount,uint16 token,uint256 price,uint256 fee,uint32 nonce,uint32 expiry)"
    );
    bytes32 private constant _SELL_NFT = keccak256(
        "SellNFT(uint32 nft,bytes32 content,address creator,uint32 sellerAccount,uint16 token,uint256 price,uint32 nonce,uint32 expiry)"
    );

    function transfer(
        uint256 account,
        uint256 to,
        address toOwner,
        uint256 token,
        uint256 amount,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(_TRANSFER, account, to, toOwner, token, amount, fee, nonce, expiry));
    }

    function transferToNew(
        uint256 account,
        address owner,
        uint256 token,
        uint256 amount,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(_TRANSFER_TO_NEW, account, owner, token, amount, fee, nonce, expiry));
    }

    function withdraw(
        uint256 account,
        uint256 token,
        uint256 amount,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(_WITHDRAW, account, token, amount, fee, nonce, expiry));
    }

    function swap(
        uint256 account,
        uint256 to,
        uint256 pool,
        uint256 token,
        uint256 toToken,
        uint256 amount,
        uint256 minimum,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(_SWAP, account, to, pool, token, toToken, amount, minimum, fee, nonce, expiry));
    }

    function createPool(
        uint256 accountA,
        uint256 accountB,
        uint256 tokenA,
        uint256 tokenB,
        uint256 amountA,
        uint256 amountB,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(_CREATE_POOL, accountA, accountB, tokenA, tokenB, amountA, amountB, fee, nonce, expiry)
        );
    }

    function addLiquidity(
        uint256 accountA,
        uint256 accountB,
        uint256 pool,
        uint256 position,
        uint256 tokenA,
        uint256 tokenB,
        uint256 amountA,
        uint256 minimumB,
        uint256 maximumB,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                _ADD_LIQUIDITY,
                accountA,
                accountB,
                pool,
                position,
                tokenA,
                tokenB,
                amountA,
                minimumB,
                maximumB,
                fee,
                nonce,
                expiry
            )
        );
    }

    function removeLiquidity(
        uint256 position,
        uint256 accountA,
        uint256 accountB,
        uint256 tokenA,
        uint256 tokenB,
        uint256 shares,
        uint256 minimumA,
        uint256 minimumB,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                _REMOVE_LIQUIDITY,
                position,
                accountA,
                accountB,
                tokenA,
                tokenB,
                shares,
                minimumA,
                minimumB,
                fee,
                nonce,
                expiry
            )
        );
    }

    function mintNFT(
        uint256 account,
        bytes32 content,
        uint256 token,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(_MINT_NFT, account, content, token, fee, nonce, expiry));
    }

    function transferNFT(
        uint256 nft,
        address to,
        bytes32 content,
        address creator,
        uint256 account,
        uint256 token,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(_TRANSFER_NFT, nft, to, content, creator, account, token, fee, nonce, expiry));
    }

    function purchaseNFT(
        uint256 nft,
        bytes32 content,
        address creator,
        address seller,
        uint256 account,
        uint256 sellerAccount,
        uint256 token,
        uint256 price,
        uint256 fee,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                _PURCHASE_NFT,
                nft,
                content,
                creator,
                seller,
                account,
                sellerAccount,
                token,
                price,
                fee,
                nonce,
                expiry
            )
        );
    }

    function sellNFT(
        uint256 nft,
        bytes32 content,
        address creator,
        uint256 sellerAccount,
        uint256 token,
        uint256 price,
        uint256 nonce,
        uint256 expiry
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(_SELL_NFT, nft, content, creator, sellerAccount, token, price, nonce, expiry));
    }
}
