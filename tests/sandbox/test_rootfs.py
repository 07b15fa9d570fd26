"""What a box does not see of the machine's programs: installed packages, and bundles of other people's."""

from __future__ import annotations

from pathlib import Path

from katcore.sandbox.rootfs import _package_folders


def test_packages_and_bundles_are_hidden_wherever_they_lie(tmp_path: Path) -> None:
    hidden = ["lib/python3/dist-packages", "lib/tool/third_party", "lib/google-cloud-sdk", "share/x/site-packages"]
    for name in [*hidden, "lib/tool/own", "lib/tool/third_party/inner/site-packages", "local/lib/site-packages"]:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lib/link").symlink_to(tmp_path / "lib/tool")
    found = sorted(str(folder.relative_to(tmp_path)) for folder in _package_folders(tmp_path, skip="local"))
    assert found == sorted(hidden)
