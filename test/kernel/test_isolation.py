"""Choosing the isolation level: by trying, strongest first, and never silently none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from spatialclaw_ros.errors import ErrorCode, SandboxUnavailable
from spatialclaw_ros.kernel import bubblewrap, guest, isolation, landlock, seccomp, unshare
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.python_tree import python_tree


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_cache", {})


def no_bubblewrap() -> str:
    raise SandboxUnavailable(f"bubblewrap is not installed; {bubblewrap.INSTALL}")


def test_nothing_works_is_an_error_that_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "find", no_bubblewrap)
    monkeypatch.setattr(landlock, "version", lambda most=0: 0)
    with pytest.raises(SandboxUnavailable, match="apt install bubblewrap") as caught:
        isolation.choose_level(KernelConfig())
    assert caught.value.code is ErrorCode.SANDBOX_UNAVAILABLE and "5.13" in str(caught.value)


def test_missing_seccomp_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyseccomp", None)
    with pytest.raises(SandboxUnavailable, match="libseccomp2"):
        isolation.choose_level(KernelConfig())


def test_no_isolation_only_when_asked_for_by_name() -> None:
    assert isolation.choose_level(KernelConfig(sandbox="none")) == "none"


def test_level_that_lets_one_attempt_through_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = {"files": "", "network": "connected to the host's TCP port 1"}
    monkeypatch.setattr(isolation, "_run_self_test", lambda level, config: dict(outcome))
    with pytest.raises(SandboxUnavailable, match="connected to the host"):
        isolation.choose_level(KernelConfig())


def no_unshare() -> str:
    raise SandboxUnavailable(f"unshare is not installed; {unshare.INSTALL}")


def test_weaker_level_is_taken_when_the_stronger_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_run_self_test", lambda level, config: {"files": ""})
    monkeypatch.setattr(isolation, "_require_guest", lambda level, config: None)
    monkeypatch.setattr(landlock, "version", lambda most=0: 7)
    monkeypatch.setattr(bubblewrap, "find", no_bubblewrap)
    assert isolation.choose_level(KernelConfig()) == "unshare"
    monkeypatch.setattr(unshare, "find", no_unshare)
    isolation._cache.clear()  # a level that worked is not tried again
    assert isolation.choose_level(KernelConfig()) == "landlock"


def test_root_without_the_right_to_change_user_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "guest_of", lambda level, config: 65534)
    monkeypatch.setattr(guest, "has_capability", lambda number: number != guest.CAP_SETUID)
    report = isolation.probe(levels=("landlock",)).levels[0]
    assert "root without CAP_SETUID" in report.reason and "ordinary user" in report.fix


def test_folder_closed_to_the_kernels_user_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    package = tmp_path / "package"
    package.mkdir()
    tree = dataclasses.replace(python_tree(), package=str(package))
    assert guest.closed_to_others(tree) in (str(tmp_path), *map(str, tmp_path.parents))


def test_level_asked_for_by_name_is_not_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "find", no_bubblewrap)
    with pytest.raises(SandboxUnavailable, match="bwrap"):
        isolation.choose_level(KernelConfig(sandbox="bwrap"))


def test_many_processes_need_the_level_that_can_end_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_require_guest", lambda level, config: None)
    with pytest.raises(SandboxUnavailable, match="max_processes"):
        isolation.choose_level(KernelConfig(sandbox="landlock", max_processes=4))


@pytest.mark.process
def test_report_tells_level_guarantees_and_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "find", no_bubblewrap)
    text = "\n".join(isolation.probe().lines())
    assert "bwrap: bubblewrap is not installed" in text and "to fix: apt install bubblewrap" in text


@pytest.mark.process
def test_self_test_notices_a_sandbox_that_shows_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    report = isolation.probe(levels=("bwrap",))
    if not report.level:
        pytest.skip(f"bwrap does not work here: {report.levels[0].reason}")
    leaky = dataclasses.replace(python_tree(), roots=(*python_tree().roots, "/etc"))
    monkeypatch.setattr(isolation.process, "python_tree", lambda extra=(): leaky)
    broken = isolation.probe(levels=("bwrap",)).levels[0]
    assert not broken.works and "files" in broken.reason


def test_only_allowed_packages_are_part_of_the_tree() -> None:
    names = {Path(entry).name.split(".")[0] for entry in python_tree().entries}
    assert {"numpy", "cv2", "ipykernel"} <= names
    assert not names & {"rclpy", "httpx", "pip", "ros_wheels_bootstrapper"}


def test_old_bubblewrap_gets_only_options_that_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "find", lambda: "/usr/bin/bwrap")
    monkeypatch.setattr(bubblewrap, "options_of", lambda path: frozenset({"--unshare-user", "--clearenv"}))
    words = bubblewrap.command(python_tree(), {}, (), ("/a", "/ipc"), "/scratch", 1 << 20)
    assert "--disable-userns" not in words and "--size" not in words
    assert words[words.index("/scratch") - 1 : words.index("/scratch") + 2] == ["--bind", "/scratch", "/tmp"]


def test_filters_for_both_levels_are_made() -> None:
    assert len(seccomp.build_filter(False)) > len(seccomp.build_filter(True)) // 2 > 0
    assert len(seccomp.build_filter(False, own_pid=1234)) > len(seccomp.build_filter(False))
