"""`fusekit plugin new`: writes a plugin's package from the template beside this file."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from string import Template

from fusekit import __version__
from fusekit.distribution import NAME
from fusekit.errors import FusekitError
from fusekit.registry import Kind, Registry

TEMPLATE = Path(__file__).parent / "templates" / "plugin"
"""Files end in `.in`; `$word` in them, and `__module__` in their names, is filled in."""

TAKEN = {"clip", "subject", "session", "split", "labels", "label_min", "label_max"}
"""Columns of a manifest that are no modality's."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def words(name: str) -> dict[str, str]:
    """What the template's placeholders stand for.

    Raises:
        FusekitError: the name cannot name a distribution, a module and a modality alike.
    """
    if not _NAME.fullmatch(name):
        close = (
            re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").removeprefix("fusekit-").lstrip("0123456789-")
        )
        hint = f" Did you mean '{close}'?" if close else ""
        raise FusekitError(
            f"'{name}' cannot name a plugin: write lower-case letters and digits, words joined by hyphens, "
            f"a letter first.{hint}"
        )
    if name.startswith("fusekit-"):
        raise FusekitError(f"the package is called fusekit-NAME as it is: `fusekit plugin new {name[8:]}`.")
    if f"fusekit-{name}" == NAME:
        raise FusekitError(f"{NAME} is fusekit itself; a kind of recording needs another word.")
    if name.replace("-", "_") in TAKEN:
        raise FusekitError(f"'{name}' is a manifest's own column; a kind of recording needs another word.")
    if name in ("null", "true", "false"):
        raise FusekitError(f"'{name}' is no word in YAML; a kind of recording needs another.")
    if name in ("video", "audio"):
        raise FusekitError(
            f"'{name}' is what fusekit calls a track of a media file; a kind of recording needs another word."
        )
    return {
        "name": name,
        "distribution": f"fusekit-{name}",
        "module": f"fusekit_{name.replace('-', '_')}",
        "modality": name.replace("-", "_"),
        "Class": "".join(word.capitalize() for word in name.split("-")),
        "fusekit": __version__,
    }


def write_plugin(name: str, into: Path, registry: Registry) -> list[Path]:
    """Write the package `fusekit-NAME/` into a folder; the files that it holds.

    Raises:
        FusekitError: the name is no name or taken, or the package's folder exists or cannot be written.
    """
    filled = words(name)
    for kind, offered in ((Kind.READER, name), (Kind.ENCODER, f"{name}-conv")):
        taken = [entry for entry in registry.entries(kind) if entry.name == offered]
        if taken:
            raise FusekitError(
                f"{kind} '{offered}' is offered by {taken[0].source} already; choose another name. "
                "`fusekit list` shows those that are taken."
            )
    folder = into / filled["distribution"]
    if folder.exists():
        raise FusekitError(
            f"{folder} exists, and nothing is overwritten. Move it away, or choose another name."
        )
    try:
        # Made aside and renamed: the package is there whole or not at all.
        with tempfile.TemporaryDirectory(dir=into) as aside:
            made = Path(aside) / "package"
            for source in sorted(TEMPLATE.rglob("*.in")):
                inner = str(source.relative_to(TEMPLATE)).removesuffix(".in")
                file = made / inner.replace("__module__", filled["module"])
                file.parent.mkdir(parents=True, exist_ok=True)
                text = source.read_text(encoding="utf-8")
                file.write_text(Template(text).substitute(filled), encoding="utf-8")
            made.rename(folder)
    except OSError as error:
        raise FusekitError(f"cannot write into {into}: {error.strerror or error}.") from error
    return sorted(path for path in folder.rglob("*") if path.is_file())
