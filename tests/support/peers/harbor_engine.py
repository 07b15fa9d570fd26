"""An environment for the real `harbor` where `docker compose` is missing: one container of a Docker engine.

    harbor run -p FOLDER -a oracle -e harbor_engine:EngineEnvironment

In: a task's `environment/` with a Dockerfile. The image is built by the engine's classic builder, the container has no
network. It is Harbor's class to the letter of its abstract methods; it knows no services, volumes or GPUs.
"""

from __future__ import annotations

import asyncio
import io
import shlex
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import docker
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities


class EngineEnvironment(BaseEnvironment):
    """One container that sleeps; commands are run in it."""

    _container: Any = None

    @staticmethod
    def type() -> str:
        """What results call it."""
        return "engine"

    @classmethod
    def preflight(cls) -> None:
        """Nothing to look for ahead of the run."""

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        """No network is the only policy that it enforces."""
        return EnvironmentCapabilities(disable_internet=True)

    def _validate_definition(self) -> None:
        if not (self.environment_dir / "Dockerfile").is_file():
            raise FileNotFoundError(self.environment_dir / "Dockerfile")

    async def start(self, force_build: bool) -> None:
        """Build the image, start the container, make Harbor's folders."""
        await asyncio.to_thread(self._start)
        await self.exec("mkdir -p /logs/agent /logs/verifier /logs/artifacts /tests /solution && chmod 777 /logs/*")

    def _start(self) -> None:
        client = docker.from_env(timeout=600)
        image, _ = client.images.build(path=str(self.environment_dir), network_mode="none", rm=True)
        self._container = client.containers.run(
            image.id, ["sleep", "infinity"], detach=True, init=True, network_mode="none", labels={"kat.peer": "harbor"}
        )

    async def stop(self, delete: bool) -> None:
        """End the container."""
        if self._container is not None:
            await asyncio.to_thread(self._container.remove, force=True)

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """Run a command with bash."""
        who = self._resolve_user(user)
        run = ["bash", "-c", command] if timeout_sec is None else ["timeout", str(timeout_sec), "bash", "-c", command]
        code, (out, err) = await asyncio.to_thread(
            self._container.exec_run, run, workdir=cwd or self.task_env_config.workdir, demux=True,
            environment=self._merge_env(env), user="" if who is None else str(who),
        )  # fmt: skip
        return ExecResult(stdout=(out or b"").decode(), stderr=(err or b"").decode(), return_code=code)

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        """Put a file."""
        await asyncio.to_thread(self._put, Path(source_path), PurePosixPath(target_path))

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        """Put what is in a folder."""
        await asyncio.to_thread(self._put, Path(source_dir), PurePosixPath(target_dir))

    def _put(self, source: Path, target: PurePosixPath) -> None:
        folder = target if source.is_dir() else target.parent
        self._container.exec_run(["mkdir", "-p", str(folder)], user="root")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(source, arcname="." if source.is_dir() else target.name)
        self._container.put_archive(str(folder), buffer.getvalue())

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        """Get a file."""
        data = await asyncio.to_thread(self._get, source_path)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            member = tar.extractfile(tar.next())  # type: ignore[arg-type]
            assert member is not None
            Path(target_path).write_bytes(member.read())

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        """Get what is in a folder."""
        Path(target_dir).mkdir(parents=True, exist_ok=True)
        data = await asyncio.to_thread(self._get, f"{source_dir.rstrip('/')}/.")
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(target_dir, filter="data")

    def _get(self, path: str) -> bytes:
        code, _ = self._container.exec_run(f"test -e {shlex.quote(path)}")
        if code != 0:
            raise FileNotFoundError(path)
        chunks, _ = self._container.get_archive(path)
        return b"".join(chunks)
