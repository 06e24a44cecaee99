"""Names of records in sentences, set apart so that they can be left out where nobody's name is to be."""

import re

# What only names of records stand in. Keys may hold parentheses, one within another.
_NAMED = re.compile(r"“[^”]*” \(((?:[^()]|\([^()]*\))*)\)")
_NAME = re.compile(r"“[^”]*” ?")


def named(label: str, key: str) -> str:
    """A record in a sentence: `“Ana Rojas” (pacientes 15)`; where nothing names it, by its key alone."""
    if not label:
        return key
    plain = label.translate({ord("“"): '"', ord("”"): '"'})
    return f"“{plain}” ({key})"


def without_names(sentence: str) -> str:
    """The same sentence with the keys of records alone, for what leaves the service."""
    return _NAME.sub("", _NAMED.sub(r"\1", sentence))
