"""SandboxProvisioner: the same isolated kernel for any Jupyter client, by the provisioner name `spatialclaw-sandbox`.

A kernelspec names it under metadata.kernel_provisioner.provisioner_name; jupyter_client's KernelManager then starts and
ends it. There is no broker and there are no frames: cells have the workbench's names and their own data.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerBase

from spatialclaw_ros.kernel import isolation
from spatialclaw_ros.kernel.channels import Connection
from spatialclaw_ros.kernel.config import KernelConfig
from spatialclaw_ros.kernel.folders import KernelFolders
from spatialclaw_ros.kernel.guest import guest_of
from spatialclaw_ros.kernel.janitor import Janitor
from spatialclaw_ros.kernel.process import SandboxedProcess
from spatialclaw_ros.limits import CancelToken

POLL_SECONDS = 0.05


class SandboxProvisioner(KernelProvisionerBase):
    """Starts a kernel at the strongest isolation level that works here; interrupts go by message."""

    _process: SandboxedProcess | None = None
    _folders: KernelFolders | None = None
    _janitor: Janitor | None = None

    @property
    def has_process(self) -> bool:
        return self._process is not None

    async def poll(self) -> int | None:
        if self._process is None:
            return 0
        return None if self._process.alive else 1

    async def wait(self) -> int | None:
        while await self.poll() is None:
            await asyncio.sleep(POLL_SECONDS)
        result = await self.poll()
        self._let_go()
        return result

    async def send_signal(self, signum: int) -> None:
        """Only the signals that end a kernel; an interrupt is a message, since a signal would end bubblewrap."""
        if signum in (signal.SIGTERM, signal.SIGKILL):
            await self.kill()

    async def kill(self, restart: bool = False) -> None:
        if self._process is not None:
            await asyncio.to_thread(self._process.kill, "ended by its Jupyter client")

    async def terminate(self, restart: bool = False) -> None:
        await self.kill(restart)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Raises: SandboxUnavailable, KernelError."""
        self.connection_info = await asyncio.to_thread(self._launch)
        return self.connection_info

    async def cleanup(self, restart: bool = False) -> None:
        self._let_go()

    def _launch(self) -> KernelConnectionInfo:
        config = KernelConfig()
        level = isolation.choose_level(config)
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        root = Path(tempfile.mkdtemp(prefix="spatialclaw-jupyter-", dir=memory))
        self._folders = folders = KernelFolders.make(root, guest_of(level, config))
        self._janitor = Janitor(root)
        connection = Connection(str(folders.sockets / "k"))
        inside = connection.described(f"{folders.sockets_inside(level)}/k")
        try:
            self._process = SandboxedProcess(level, config, folders, inside, None)
            self._process.wait_ready(config.start_timeout, CancelToken())
        except BaseException:
            self._let_go()
            raise
        outside = connection.described(connection.base)
        outside["key"] = connection.key.encode()
        return cast(KernelConnectionInfo, outside)

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()
        if self._folders is not None:
            self._folders.remove()
            self._folders = None
        if self._janitor is not None:
            self._janitor.close()
            self._janitor = None
