"""What every test shares."""

from hypothesis import settings

# No test asserts a time. Repeatable, so that a failure in CI is one here.
settings.register_profile("layer2", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("layer2")
