"""HTML pages that are one file: a template, its own style and script inside, data as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any


def render(template: str, data: Any, *, inside: Mapping[str, Sequence[str]], **values: Any) -> str:
    """Fill a template of `fusekit/study/templates`; what values hold is escaped unless it is `Markup`.

    Args:
        data: JSON-able; the template gets it as `data`, safe inside a script element.
        inside: `{name: template files}`, put in unescaped, one after another: style and scripts.
        values: whatever else the template names; a name that is missing is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("fusekit.study", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def own(name: str) -> str:
        assert environment.loader is not None
        return environment.loader.get_source(environment, name)[0]

    parts = {name: Markup("\n".join(map(own, files))) for name, files in inside.items()}
    # In a script element "</" could end it early, and "<!--" with "<script" keep it from ending at all.
    # JSON may write either escaped.
    text = re.sub("<(?!/)", r"\\u003c", json.dumps(data, allow_nan=False)).replace("</", "<\\/")
    packed = Markup(text)
    return environment.get_template(template).render(data=packed, **parts, **values)
