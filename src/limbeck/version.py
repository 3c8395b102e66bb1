"""Which limbeck this is: the version that its last tag gave the installed package."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("limbeck")
except PackageNotFoundError:  # sources on the path, not installed
    VERSION = "0+unknown"

RELEASE = VERSION.partition(".dev")[0]
"""The same for all commits that lead to one release."""
