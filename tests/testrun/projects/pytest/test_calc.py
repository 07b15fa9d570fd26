import pytest


@pytest.fixture
def broken():
    raise RuntimeError("no such thing")


def test_passes():
    assert 1 + 1 == 2


def test_fails():
    assert 1 + 1 == 3


def test_errors(broken):
    pass


@pytest.mark.skip(reason="on purpose")
def test_skipped():
    pass


@pytest.mark.parametrize("text", ["one two", "a::b"])
def test_each(text):
    assert text
