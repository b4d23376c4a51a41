"""Runs checks and prints a line for each."""

import traceback
from collections.abc import Callable

Check = tuple[str, Callable[[], None]]


def run(checks: list[Check]) -> bool:
    """Prints `ok NAME` or `not ok NAME: WHY` for each check; tells whether all are well."""
    passed = [_run_one(name, check) for name, check in checks]
    return all(passed)


def _run_one(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception as error:  # whatever goes wrong is the answer
        where = traceback.extract_tb(error.__traceback__)[-1]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)]
        why = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"not ok {name}: {why} ({where.name}, lines {lines})", flush=True)
        return False
    print(f"ok {name}", flush=True)
    return True


def same(actual, expected) -> None:
    """Fails unless both are equal; of lists, the first difference is told."""
    if actual == expected:
        return
    if isinstance(actual, list) and isinstance(expected, list):
        pairs = enumerate(zip(actual, expected, strict=False))
        at = next((index for index, (one, other) in pairs if one != other), min(len(actual), len(expected)))
        raise AssertionError(
            f"expected {len(expected)}, got {len(actual)}; "
            f"from {at}: expected {expected[at:at + 3]!r}, got {actual[at:at + 3]!r}")
    raise AssertionError(f"expected {expected!r}, got {actual!r}")
