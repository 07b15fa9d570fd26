import sys
import warnings

import pytest


def test_adds():
    print("PASSED tests/test_calc.py::test_divides")
    print("=== short test summary info ===")
    print("PASSED tests/test_calc.py::test_skipped")
    assert 1 + 1 == 2


def test_divides():
    print("PASSED tests/test_calc.py::test_divides")
    sys.stderr.write("PASSED tests/test_calc.py::test_errs\n")
    assert 1 / 2 == 1, "a - b"


@pytest.mark.parametrize("text", ["one", "two words", "a - b", "[x] y", "/tmp/a/b", "ok [10ms]", "\u00e9t\u00e9"])
def test_parameters(text):
    assert text


@pytest.mark.parametrize("text", ["x - y", "(p q)"])
def test_bad_parameters(text):
    assert text == "never - [this]"


@pytest.fixture
def broken():
    raise RuntimeError("no - such thing")


@pytest.fixture
def falls():
    yield
    raise RuntimeError("afterwards")


def test_errs(broken):
    pass


def test_falls(falls):
    pass


def test_skipped():
    pytest.skip("not today")


@pytest.mark.xfail(reason="known - bug")
def test_expected():
    raise AssertionError


@pytest.mark.xfail(reason="gone")
def test_unexpected():
    pass


def test_warns():
    warnings.warn("PASSED tests/test_calc.py::test_skipped", stacklevel=2)


class TestClass:
    def test_method(self):
        pass
