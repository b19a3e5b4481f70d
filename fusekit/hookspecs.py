"""The one hook of fusekit. Plugin authors import `hookimpl` from here; nothing else is needed to register."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

Register = Callable[[str, str, str, str], None]

hookspec = pluggy.HookspecMarker("fusekit")
hookimpl = pluggy.HookimplMarker("fusekit")


@hookspec
def register_components(register: Register) -> None:
    """Offer components for recipes to name.

    Called once per command that needs components, before a recipe is checked; never for `--help`. Raising
    here disables your plugin alone.

    Args:
        register: `register(kind, name, ref, summary)`. `ref` is "package.module:Attribute", imported only
            when a recipe names it, so keep this module free of torch. `summary` is one line, shown by
            `fusekit list`. In a single file given with `--plugin`, write the reference as
            `f"{__name__}:MyClass"`.
    """
