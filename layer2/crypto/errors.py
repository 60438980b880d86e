"""Errors of `layer2.crypto`: each names the value it refuses and what to do instead."""


class CryptoError(ValueError):
    """A value that the cryptography cannot work with."""


class FieldError(CryptoError):
    """An input of a hash is not an integer in [0, r)."""


class AddressError(CryptoError):
    """What was given is not an Ethereum address."""


class KeyDerivationError(CryptoError):
    """A wallet signature, address or seed from which no key can be derived."""


class SignatureError(CryptoError):
    """A signature or message that cannot be encoded or signed."""


class SigningError(CryptoError):
    """A message of EIP-712 that cannot be made or signed."""
