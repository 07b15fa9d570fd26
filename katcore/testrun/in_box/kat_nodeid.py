"""A plugin of pytest: the report of each test has its node id as a property.

Python 2.7 or later: it is imported by the interpreter that runs the tests, of whatever age.
"""


def pytest_collection_modifyitems(items):  # type: ignore[no-untyped-def]
    """Give each test its node id as a property of the report; pytest calls this hook by its name."""
    for item in items:
        item.user_properties.append(("kat.nodeid", item.nodeid))
