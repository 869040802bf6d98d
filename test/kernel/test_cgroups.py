"""Control groups: where one may be made, what is written into it, and that kernels do without where there is no place.

The tree here is made of plain files; a test at the end uses the machine's own where it hands memory and pids on.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from spatialclaw_ros.kernel import cgroups
from spatialclaw_ros.kernel.config import KernelConfig

CONFIG = KernelConfig(memory_bytes=512 << 20, max_threads=100)


class Tree:
    """A cgroup v2 mount, and a process in /user/app/node of it."""

    def __init__(self, folder: Path) -> None:
        self.mount = folder / "cgroup"
        self.own = folder / "self"
        self.own.write_text("0::/user/app/node\n")
        (self.mount / "user/app/node").mkdir(parents=True)
        (self.mount / "cgroup.controllers").write_text("cpu memory pids\n")
        for path in ("user/app/node", "user/app", "user", ""):
            self.hand_on(path, "")
            (self.mount / path / "cgroup.procs").write_text("")

    def hand_on(self, path: str, controllers: str) -> None:
        (self.mount / path / "cgroup.subtree_control").write_text(controllers)

    def make(self) -> cgroups.ControlGroup | None:
        return cgroups.make_group(1234, "kernel-1", CONFIG, (self.mount,), self.own)

    def groups(self) -> list[Path]:
        return sorted(path for path in self.mount.rglob("spatialclaw-*") if path.is_dir())


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_group_is_made_in_the_nearest_one_that_hands_memory_and_pids_on(tree: Tree) -> None:
    tree.hand_on("", "memory pids")
    tree.hand_on("user", "cpu memory")
    tree.hand_on("user/app", "cpu memory pids")
    group = tree.make()
    assert group is not None
    (folder,) = tree.groups()
    assert folder.parent == tree.mount / "user/app"
    assert (folder / "memory.max").read_text() == str(512 << 20)
    assert (folder / "memory.oom.group").read_text() == "1"
    assert int((folder / "pids.max").read_text()) > 100
    assert (folder / "cgroup.procs").read_text() == "1234"


def test_no_group_where_nothing_hands_memory_on(tree: Tree) -> None:
    tree.hand_on("user/app", "cpu pids")
    assert tree.make() is None and not tree.groups()


def test_no_group_on_a_machine_without_cgroup_v2(tree: Tree, tmp_path: Path) -> None:
    tree.hand_on("user/app", "memory pids")
    assert cgroups.make_group(1234, "kernel-1", CONFIG, (tmp_path / "nowhere",), tree.own) is None
    tree.own.write_text("4:memory:/user\n")
    assert tree.make() is None


def test_kernel_starts_without_a_group_that_refuses_it_and_the_log_says_so(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(group: cgroups.ControlGroup, pid: int) -> None:
        raise PermissionError(13, "Permission denied")

    tree.hand_on("user/app", "memory pids")
    monkeypatch.setattr(cgroups.ControlGroup, "take", refuse)
    assert tree.make() is None
    assert "Permission denied" in caplog.text and "watchdog" in caplog.text


def test_kernel_that_linux_ended_for_its_memory_is_told_so(tree: Tree) -> None:
    tree.hand_on("user/app", "memory pids")
    group = tree.make()
    assert group is not None and group.what_ended_it() == ""
    events = tree.groups()[0] / "memory.events"
    events.write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\n")
    assert group.what_ended_it() == ""
    events.write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\n")
    assert "512 MiB" in group.what_ended_it()


def test_group_of_a_killed_process_is_removed_by_the_next(tree: Tree) -> None:
    tree.hand_on("user/app", "memory pids")
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tree.mount / "user/app" / f"spatialclaw-{ended.pid}-kernel-7").mkdir()
    living = tree.mount / "user/app" / f"spatialclaw-{os.getppid()}-kernel-7"
    living.mkdir()
    assert tree.make() is not None
    assert len(tree.groups()) == 2 and living in tree.groups()


def test_real_group_bounds_a_real_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            group = cgroups.make_group(child.pid, "test", CONFIG)
            if group is None:
                pytest.skip("this machine offers no writable cgroup v2 with memory and pids")
            assert "spatialclaw-" in Path(f"/proc/{child.pid}/cgroup").read_text()
        finally:
            child.kill()
    group.remove()
    assert not group._folder.exists()
