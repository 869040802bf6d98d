"""The provisioner: jupyter_client's own manager starts the isolated kernel, runs a cell and ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from spatialclaw_ros.kernel import isolation
from spatialclaw_ros.kernel.provisioner import SandboxProvisioner

pytestmark = pytest.mark.process


class NamedByHand:
    """What an entry point looks like to the factory where the package is not installed."""

    def load(self) -> type[SandboxProvisioner]:
        return SandboxProvisioner


def test_jupyter_manager_runs_a_cell_in_an_isolated_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not isolation.probe().level:
        pytest.skip("no isolation level works on this machine")
    factory = KernelProvisionerFactory.instance()
    monkeypatch.setitem(factory.provisioners, "spatialclaw-sandbox", NamedByHand())
    manager = KernelManager(transport="ipc", connection_file=str(tmp_path / "connection.json"))
    manager._kernel_spec = KernelSpec(
        argv=["python"],
        interrupt_mode="message",
        metadata={"kernel_provisioner": {"provisioner_name": "spatialclaw-sandbox"}},
    )
    manager.start_kernel()
    try:
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=30)
        texts: list[str] = []
        client.execute_interactive(
            "import os; print(os.path.exists('/etc/passwd'), 40 + 2)",
            timeout=30,
            output_hook=lambda message: texts.append(message["content"].get("text", "")),
        )
        client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
    assert "42" in "".join(texts) and not manager.is_alive()
