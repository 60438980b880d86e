// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IStateChannel
/// @notice Channels of two parties that pay each other both ways, with conditional payments. Money changes hands by
/// states that both sign; this contract holds the deposits and pays what the last of the states says.
/// @dev docs/channels.md has the rules for parties, and why a party that keeps them loses nothing. In short:
/// - sign one state per version, and version n only when you hold version n − 1 with both signatures;
/// - sign only what this contract would take: balanced, at most `MAX_LOCKS` locks, known ones, deposits that are final;
/// - sign nothing after a `Final`, and nothing once you have signed a transaction that starts closing;
/// - when somebody starts closing, look, and answer with your last state within the challenge period.
/// @dev Warning: a *contract* as a party can disown what it signed (ERC-1271), and so take a version away from you but
/// keep the next, which makes you the one who closes with an old state. Prefer parties that are accounts of keys.
interface IStateChannel {
    /// @notice What a channel is. Its EIP-712 struct hash is the channel's id.
    /// @param partyA One party.
    /// @param partyB The other.
    /// @param token What is paid; 0 is ETH.
    /// @param challengePeriod Seconds from the start of a closing to the last second in which it can be challenged,
    /// `MIN_CHALLENGE_PERIOD` to `MAX_CHALLENGE_PERIOD`.
    /// @param salt Anything: tells channels of the same parties apart. An id is good for one life only.
    struct ChannelConfig {
        address partyA;
        address partyB;
        address token;
        uint40 challengePeriod;
        bytes32 salt;
    }

    /// @notice A conditional payment.
    /// @param amount What it is worth.
    /// @param deadline The last second in which the secret can be revealed.
    /// @param toA Whether A is paid, by B, or B by A.
    /// @param hash keccak256 of the secret, which is 32 bytes.
    struct Lock {
        uint128 amount;
        uint40 deadline;
        bool toA;
        bytes32 hash;
    }

    /// @notice What both parties sign, again and again. Balanced: the balances and the locks make up the deposits.
    /// @param channelId The channel.
    /// @param version Later states have higher ones. 0 is the state that nobody signs: all else is 0 as well.
    /// @param depositsA What the channel had received for A. What it receives later is A's in addition.
    /// @param depositsB What the channel had received for B. What it receives later is B's in addition.
    /// @param balanceA A's share of these deposits.
    /// @param balanceB B's share of these deposits.
    /// @param locks 0 without locks, else keccak256 of the ABI-encoded `Lock[]`.
    struct State {
        bytes32 channelId;
        uint64 version;
        uint128 depositsA;
        uint128 depositsB;
        uint128 balanceA;
        uint128 balanceB;
        bytes32 locks;
    }

    /// @notice What both parties sign to close at once: a state without locks, of another type, so that no state can be
    /// used as one.
    /// @param version The last state's, or any: the contract only tells it to others.
    struct Final {
        bytes32 channelId;
        uint64 version;
        uint128 depositsA;
        uint128 depositsB;
        uint128 balanceA;
        uint128 balanceB;
    }

    /// @notice Where a channel is in its life. It never goes back.
    enum Status {
        NONE,
        OPEN,
        CLOSING,
        CLOSED
    }

    /// @notice A channel received its first deposit.
    event ChannelOpened(
        bytes32 indexed channelId,
        address indexed partyA,
        address indexed partyB,
        address token,
        uint40 challengePeriod,
        bytes32 salt
    );

    /// @notice Money arrived.
    /// @param from Who paid.
    /// @param toA Whether it was for A, or for B.
    /// @param amount What arrived.
    /// @param depositsA All that the channel has received for A.
    /// @param depositsB All that the channel has received for B.
    event Deposited(
        bytes32 indexed channelId,
        address indexed from,
        bool toA,
        uint128 amount,
        uint128 depositsA,
        uint128 depositsB
    );

    /// @notice A party wants its money, and says what the last state is.
    /// @param closer The party.
    /// @param deadline The last second in which a later state can be brought.
    event CloseStarted(
        bytes32 indexed channelId, address indexed closer, uint40 deadline, State state, Lock[] locks
    );

    /// @notice There is a later state.
    /// @param challenger Who brought it.
    event Challenged(bytes32 indexed channelId, address indexed challenger, State state, Lock[] locks);

    /// @notice A secret is public; locks with this hash are paid if this is in time for them.
    event SecretRevealed(bytes32 indexed hash, bytes32 secret);

    /// @notice The channel's money was credited to its parties, and the channel is no more.
    /// @param version The state's that decided.
    /// @param amountA What A got.
    /// @param amountB What B got.
    /// @param penalised The party that lost everything because it had started closing with an old state; 0 for none.
    event ChannelClosed(
        bytes32 indexed channelId, uint64 version, uint128 amountA, uint128 amountB, address penalised
    );

    /// @notice The parties have to be two, and neither zero nor this contract.
    error InvalidParties(address partyA, address partyB);

    /// @notice A challenge period is `min` to `max` seconds.
    error InvalidChallengePeriod(uint256 challengePeriod, uint256 min, uint256 max);

    /// @notice The channel has not received anything.
    error ChannelNotOpen(bytes32 channelId);

    /// @notice The channel was closed, for ever. Take another salt for a new one.
    error ChannelIsClosed(bytes32 channelId);

    /// @notice Closing has started; a later state can be brought until the deadline, and then it can be finished.
    error ChannelIsClosing(bytes32 channelId, uint256 deadline);

    /// @notice Nobody has started closing.
    error ChannelNotClosing(bytes32 channelId);

    /// @notice The caller is neither of the channel's parties.
    error NotAParty(address caller, address partyA, address partyB);

    /// @notice What was signed is of another channel.
    error WrongChannel(bytes32 channelId, bytes32 expected);

    /// @notice The party did not sign this.
    error InvalidSignature(address signer);

    /// @notice A state of version 0 has nothing in it but the channel's id.
    error InitialStateNotEmpty();

    /// @notice The state counts on deposits that the channel has not received.
    error DepositsMissing(address party, uint256 stated, uint256 received);

    /// @notice Balances and locks are not what the deposits in the state are.
    error UnbalancedState(uint256 total, uint256 deposits);

    /// @notice A state has at most `max` locks.
    error TooManyLocks(uint256 count, uint256 max);

    /// @notice These are not the locks of the state.
    /// @param hash That of what was given.
    /// @param expected The state's.
    error LocksMismatch(bytes32 hash, bytes32 expected);

    /// @notice A later state than `current` is needed.
    error VersionNotLater(uint64 version, uint64 current);

    /// @notice No state can be brought any more.
    error ChallengePeriodOver(uint256 deadline);

    /// @notice Later states can still be brought.
    error ChallengePeriodRunning(uint256 deadline);

    /// @notice This is not the state that decides.
    /// @param hash The EIP-712 struct hash of what was given.
    /// @param expected That of the state that decides.
    error StateMismatch(bytes32 hash, bytes32 expected);

    /// @notice The lock's secret is not public, and can still become so.
    error LockUndecided(uint256 index, uint256 deadline);

    /// @notice The secret is public, since this time.
    error SecretAlreadyRevealed(bytes32 hash, uint256 revealedAt);

    /// @notice Takes ETH or tokens of the caller for a party, and opens the channel if this is the first time.
    /// @param toA Whether for A, or for B.
    /// @param amount What to take from the caller; for ETH the value sent along. What arrives counts.
    function deposit(ChannelConfig calldata config, bool toA, uint256 amount) external payable;

    /// @notice As `deposit`, with an ERC-2612 permit of the caller instead of an approval.
    /// @dev A permit that fails is passed over: someone may have sent it before, and then the allowance is there.
    function depositWithPermit(
        ChannelConfig calldata config,
        bool toA,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Credits both parties at once, as both want it. Also while the channel is closing.
    /// @param outcome Who gets what.
    /// @param signatureA A's signature of it.
    /// @param signatureB B's signature of it.
    function closeCooperatively(
        ChannelConfig calldata config,
        Final calldata outcome,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) external;

    /// @notice Says what the last state is, so that the channel can be closed after the challenge period. For parties.
    /// @dev Warning: the caller loses everything to the other party if a state turns up that is later by two versions
    /// or more. Who has lost its states should ask the other party to close.
    /// @param locks The state's locks.
    /// @param signatureA A's signature of the state; not looked at with version 0.
    /// @param signatureB B's signature of the state; not looked at with version 0.
    function startClose(
        ChannelConfig calldata config,
        State calldata state,
        Lock[] calldata locks,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) external;

    /// @notice Brings a later state. Anyone may, so that a party can have it done.
    function challenge(
        ChannelConfig calldata config,
        State calldata state,
        Lock[] calldata locks,
        bytes calldata signatureA,
        bytes calldata signatureB
    ) external;

    /// @notice Makes a secret public. It counts for all locks with its hash, in all channels, whether closing or not.
    function revealSecret(bytes32 secret) external;

    /// @notice Credits both parties, after the challenge period and when all locks are decided. Anyone may call. A
    /// closer that is to lose everything loses it whatever becomes of the locks, so these are not waited for.
    /// @param state The last of those in `CloseStarted` and `Challenged`.
    /// @param locks Its locks.
    function finishClose(ChannelConfig calldata config, State calldata state, Lock[] calldata locks) external;

    /// @notice The shortest challenge period, in seconds.
    function MIN_CHALLENGE_PERIOD() external view returns (uint256);

    /// @notice The longest challenge period, in seconds.
    function MAX_CHALLENGE_PERIOD() external view returns (uint256);

    /// @notice How many locks a state can have.
    function MAX_LOCKS() external view returns (uint256);

    /// @notice A channel's id: the EIP-712 struct hash of its settings, the same in any contract and on any chain.
    function channelIdOf(ChannelConfig calldata config) external view returns (bytes32);

    /// @notice The EIP-712 hash of a state, which both parties sign.
    function stateDigest(State calldata state) external view returns (bytes32);

    /// @notice The EIP-712 hash of a final state, which both parties sign.
    function finalDigest(Final calldata outcome) external view returns (bytes32);

    /// @notice Where a channel is in its life.
    function statusOf(bytes32 channelId) external view returns (Status);

    /// @notice What an open or closing channel has received for its parties; 0 of others.
    function depositsOf(bytes32 channelId) external view returns (uint128 depositsA, uint128 depositsB);

    /// @notice The state on the table; zeros if nobody has started closing, or it is over.
    /// @return stateHash The EIP-712 struct hash of the state.
    /// @return version The state's.
    /// @return closerVersion The version of the state that the closer brought.
    /// @return deadline The last second in which a later state can be brought.
    /// @return isCloserA Whether A started closing, or B.
    function closings(bytes32 channelId)
        external
        view
        returns (bytes32 stateHash, uint64 version, uint64 closerVersion, uint40 deadline, bool isCloserA);

    /// @notice When the secret with this hash became public; 0 if it has not.
    function revealedAt(bytes32 hash) external view returns (uint256);
}
