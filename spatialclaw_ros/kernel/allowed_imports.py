"""Inside the kernel: packages are found by name from the allowlist, so that what is not on it is simply not installed.

The folders of installed packages are not put on sys.path: Landlock hides a file's content but not that it exists, and
an import that ends in PermissionError would mislead whoever reads it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from types import ModuleType


class AllowedPackages(DistributionFinder):
    """A meta path finder. folders: where packages are installed; entries: the allowed modules and metadata in them."""

    def __init__(self, folders: Sequence[str], entries: Iterable[str]) -> None:
        self._folders = list(folders)
        self._names = {os.path.basename(entry).split(".")[0] for entry in entries}
        self._metadata = {os.path.basename(entry) for entry in entries}

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is not None or name not in self._names:
            return None  # a submodule is found by its package's own path
        return PathFinder.find_spec(name, self._folders, target)

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        """Metadata of the allowed distributions, for packages that ask for their own version."""
        wanted = DistributionFinder.Context(name=context.name if context else None, path=self._folders)
        for found in MetadataPathFinder.find_distributions(wanted):
            folder = getattr(found, "_path", None)
            if folder is not None and os.path.basename(str(folder)) in self._metadata:
                yield found


def allow(folders: Sequence[str], entries: Sequence[str]) -> None:
    """Look for packages there too. A folder without entries is the system package manager's: taken whole."""
    whole = [folder for folder in folders if not any(os.path.dirname(entry) == folder for entry in entries)]
    sys.path.extend(whole)
    sys.meta_path.append(AllowedPackages([folder for folder in folders if folder not in whole], entries))
