// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ITokenRegistry} from "../interfaces/ITokenRegistry.sol";

/// @title TokenRegistry
/// @notice The permissionless, append-only list of tokens.
contract TokenRegistry is ITokenRegistry {
    /// @inheritdoc ITokenRegistry
    uint16 public count;

    mapping(uint16 id => address token) private _tokens;
    mapping(address token => uint16 id) private _ids;

    /// @inheritdoc ITokenRegistry
    function register(address token) external returns (uint16 id) {
        if (token.code.length == 0) revert NotAContract(token);
        if (_ids[token] != 0) revert TokenAlreadyRegistered(token, _ids[token]);
        if (count == type(uint16).max) revert RegistryFull();

        id = ++count;
        _tokens[id] = token;
        _ids[token] = id;

        emit TokenRegistered(id, token);
    }

    /// @inheritdoc ITokenRegistry
    function tokenOf(uint16 id) external view returns (address token) {
        if (id > count) revert UnknownToken(id);
        token = _tokens[id];
    }

    /// @inheritdoc ITokenRegistry
    function idOf(address token) external view returns (uint16 id) {
        id = _ids[token];
        if (id == 0 && token != address(0)) revert TokenNotRegistered(token);
    }
}
