"""For pytest without a test file: `pytest -p fusekit.testing.pytest_plugin --conformance my_package.plugin`.

It is not registered as an entry point of pytest: then every test run of an environment with fusekit would
import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fusekit.testing.suite import Trial


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("fusekit").addoption(
        "--conformance",
        action="append",
        default=[],
        metavar="TARGET",
        help="check a plugin's components: a package, an entry point, a module or a Python file",
    )


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose among the tests
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    targets = session.config.getoption("--conformance")
    if not targets:
        return
    from fusekit.errors import FusekitError
    from fusekit.testing.suite import trials
    from fusekit.testing.targets import resolve

    try:
        found = [trial for name in targets for target in resolve(name) for trial in trials(target)]
    except FusekitError as error:
        raise pytest.UsageError(str(error)) from error
    items += [ConformanceItem.from_parent(session, name=trial.id, trial=trial) for trial in found]


class ConformanceItem(pytest.Item):
    """One component and one rule."""

    def __init__(self, *, trial: Trial, **rest: Any) -> None:
        super().__init__(**rest)
        self.trial = trial
        if trial.excuse:
            self.add_marker(pytest.mark.skip(reason=trial.excuse))

    def runtest(self) -> None:
        self.trial.run()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Findings are sentences; where the kit stood when it found them says nothing."""
        if isinstance(excinfo.value, AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, f"conformance: {self.name}"
