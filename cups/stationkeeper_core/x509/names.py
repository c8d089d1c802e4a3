"""Names of subjects and issuers, fit to be compared."""

import re

_PART = re.compile(r"(?:[^\\,]|\\.)+", re.DOTALL)
_VALUE = re.compile(r"(?:[^\\+]|\\.)+", re.DOTALL)


def folded_name(name: str) -> str:
    """`name` without case, white space and order within a part: equal for all names that are equal to OpenSSL.

    A few more are equal too, among them those that differ in backslashes, some of which only escape white space.

    Args:
        name: as RFC 4514 writes it: parts that commas separate, and pluses the values of a part.
    """
    if "+" not in name:
        return _folded(name)
    return ",".join("+".join(sorted(map(_folded, _VALUE.findall(part)))) for part in _PART.findall(name))


def _folded(value: str) -> str:
    return "".join(value.replace("\\", "").split()).casefold()
