"""What can go wrong with channels. Each message names the value and the remedy."""

from layer2.actors.errors import ActorError


class ChannelError(ActorError):
    """Something about channels that a person can put right."""


class MalformedError(ChannelError, ValueError):
    """What was given is no record of channels: a field is missing, of the wrong form or out of range."""
