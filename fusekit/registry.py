"""Names of components and where to find them; a component is imported only when a recipe names it.

A registry is a value: `fusekit.plugins.load` makes a fresh one. There is no global registry.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from fusekit.errors import FusekitError, UnknownComponentError


class Kind(StrEnum):
    """The kinds of component that a recipe can name (house words)."""

    CORPUS = "corpus"
    READER = "reader"
    DETECTOR = "detector"
    DEGRADATION = "degradation"
    ENCODER = "encoder"
    QUADRANT = "quadrant"
    PROJECTOR = "projector"
    FUSION = "fusion"
    TEMPORAL = "temporal"
    HEAD = "head"
    LOSS = "loss"


_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REF = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Entry:
    """One registered component.

    Attributes:
        ref: "package.module:Attribute", imported on use.
        summary: one line, shown by `fusekit list`.
        source: who offers it: "fusekit", a plugin's distribution, or a plugin file.
    """

    kind: Kind
    name: str
    ref: str
    summary: str
    source: str


@dataclass(frozen=True)
class PluginStatus:
    """What became of one plugin.

    Attributes:
        name: entry point name, or the file's name.
        source: distribution and version, or the file's path.
        state: "loaded", "disabled" (it is broken, `reason` says how) or "skipped" (not selected).
        offers: (kind, name) of every component it offers.
        distribution, version: of the package that brings it; empty for a file.
        module: where the hook is, as the entry point says; empty for a file.
    """

    name: str
    source: str
    state: Literal["loaded", "disabled", "skipped"]
    reason: str = ""
    offers: tuple[tuple[str, str], ...] = ()
    distribution: str = ""
    version: str = ""
    module: str = ""

    @property
    def components(self) -> int:
        """How many components it offers."""
        return len(self.offers)


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` if something known is close to `word`, else an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


class Registry:
    """Entries by kind and name.

    Attributes:
        plugins: what became of every plugin that was to offer some of them.
    """

    def __init__(self) -> None:
        self.plugins: list[PluginStatus] = []
        self._entries: dict[tuple[Kind, str], Entry] = {}

    def add(self, kind: str, name: str, ref: str, summary: str, source: str = "fusekit") -> None:
        """Register a reference; doing it again with the same reference changes nothing.

        Raises:
            ValueError: unknown kind, ill-formed name or reference, or the name is taken by another reference.
                It is the plugin author's fault: `fusekit.plugins` reports it and disables the plugin.
        """
        kinds = [k.value for k in Kind]
        if kind not in kinds:
            raise ValueError(f"unknown kind {kind!r}.{nearest(kind, kinds)} Kinds: {', '.join(kinds)}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{kind} name {name!r} must be lower-case words joined by hyphens")
        if not _REF.fullmatch(ref):
            raise ValueError(f"{kind} '{name}': reference {ref!r} must read 'package.module:Attribute'")
        entry = Entry(Kind(kind), name, ref, summary, source)
        owner = self._entries.setdefault((entry.kind, name), entry)
        if owner.ref != ref:
            raise ValueError(
                f"{kind} '{name}' is offered twice: by {owner.source} ({owner.ref}) and by {source} ({ref})"
            )

    def add_all(self, rows: Iterable[tuple[str, str, str, str]], source: str) -> None:
        """`add` every (kind, name, ref, summary), or none of them if one is refused."""
        before = dict(self._entries)
        try:
            for kind, name, ref, summary in rows:
                self.add(kind, name, ref, summary, source)
        except Exception:
            self._entries = before
            raise

    def get(self, kind: str, name: str, where: str = "") -> Entry:
        """The entry of that name.

        Args:
            where: what to blame in the message, e.g. "recipes/av.yaml:12: fusion.name".

        Raises:
            UnknownComponentError: nobody offers it; names the nearest, all known, and the next step.
        """
        entry = self._entries.get((Kind(kind), name))
        if entry is None:
            known = self.names(kind)
            raise UnknownComponentError(
                f"{where}{': ' if where else ''}no {kind} named '{name}'.{nearest(name, known)}\n"
                f"  known: {', '.join(known) or 'none'}\n"
                f"  `fusekit list --kind {kind}` shows what is installed, `fusekit doctor` what failed."
            )
        return entry

    def names(self, kind: str) -> list[str]:
        """Names of one kind, sorted."""
        return sorted(name for k, name in self._entries if k == kind)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """All entries, or those of one kind: kinds in their own order, names sorted."""
        order = list(Kind)
        chosen = [e for e in self._entries.values() if kind is None or e.kind == kind]
        return sorted(chosen, key=lambda e: (order.index(e.kind), e.name))

    def load(self, entry: Entry) -> type:
        """Import the class that an entry refers to.

        Raises:
            FusekitError: its module or attribute cannot be imported, e.g. for want of a dependency.
        """
        module, _, attribute = entry.ref.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:  # a plugin's module may raise anything
            what = "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
            raise FusekitError(
                f"{entry.kind} '{entry.name}' of {entry.source}: cannot import {entry.ref}: {what}{error}\n"
                f"  Install what is missing, or name another: `fusekit list --kind {entry.kind}`."
            ) from error
        if not isinstance(found, type):
            raise FusekitError(
                f"{entry.kind} '{entry.name}' of {entry.source}: {entry.ref} is not a class but {found!r}."
            )
        return found
