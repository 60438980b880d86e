"""What can go wrong in an actor. Each message names the value and the remedy."""


class ActorError(Exception):
    """The base of everything that an actor raises on its own."""


class StoreError(ActorError):
    """The database is damaged, in use, or of another rollup or version."""


class FollowError(ActorError):
    """What L1 says contradicts this node's state: the node or its database has a bug."""


class RefusedError(ActorError):
    """A transaction that the relayer does not take; the message is for its sender. `code` is a short stable name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RelayerError(ActorError):
    """The relayer cannot go on without a person."""


class SequencerError(ActorError):
    """The sequencer cannot go on without a person."""


class ChallengerError(ActorError):
    """The challenger cannot go on without a person."""
