"""What all unit tests share."""

import gc


def pytest_collection_finish() -> None:
    """What the imports made stays: looking through it again and again would be a third of the tests' time."""
    gc.collect()
    gc.freeze()
