"""The faults that a user can mend: one clear paragraph, exit code 2, no traceback.

Anything else that is raised is a bug of ours and keeps its traceback. The command line catches
`FusekitError` in one place (`fusekit.cli`); libraries that embed fusekit catch it like any exception.
"""


class FusekitError(Exception):
    """Base of every fault the user can mend: says what is wrong, where, and what to do next."""


class RecipeError(FusekitError):
    """A recipe, an override or a component's argument is wrong; lists every fault found."""


class UnknownComponentError(RecipeError):
    """A recipe names a component that no installed package offers."""


class DataError(FusekitError):
    """A corpus, manifest, label file or medium cannot be used."""


class DeviceError(FusekitError):
    """The device that was asked for is not there."""


class RunError(FusekitError):
    """A run directory is missing, damaged, or does not fit the request."""


class MissingExtraError(FusekitError):
    """An optional dependency is needed; the message names the extra that installs it."""
