from sympy import Integer
from sympy.testing.pytest import XFAIL, skip


def test_adds():
    assert Integer(1) + 1 == 2


def test_cuts():
    print("some words")
    assert Integer(1) - 1 == 1


def test_errs():
    raise RuntimeError("no such thing")


def test_hidden():
    skip("not today")


@XFAIL
def test_later():
    raise AssertionError


@XFAIL
def test_gone():
    pass


def test_last():
    pass
