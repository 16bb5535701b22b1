"""What Prefect need not look through."""

from typing import TypeVar, cast

from prefect.utilities.annotations import opaque

T = TypeVar("T")


def sealed(value: T) -> T:
    """For a task's argument that holds no futures: Prefect would walk all through it, 2.4 s of CPU for 10,000 takes."""
    return cast("T", opaque(value))
