"""A failing file system for the tests of what lies on a shared one."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_fs import Faults, FaultyMount


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyMount]:
    if not (os.access("/dev/fuse", os.W_OK) and shutil.which("fusermount3")):
        missing = "FUSE is not installed\nhint: make slurm-packages"
        (pytest.fail if os.environ.get("REGROW_REQUIRE_SLURM") else pytest.skip)(missing)
    folder = tmp_path_factory.mktemp("faulty")
    found = FaultyMount(folder / "shared", folder / "backing")
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def shared(mount: FaultyMount, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A new folder on the mount; the faults end with the test."""
    folder = mount.path / str(abs(hash(request.node.name)))
    folder.mkdir()
    yield folder
    mount.set(Faults())
