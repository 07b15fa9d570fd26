import sys
import unittest

from django.test import SimpleTestCase, TestCase

from shop.models import Item


class ItemTests(TestCase):
    def test_saves(self):
        Item.objects.create(name="a")
        self.assertEqual(Item.objects.count(), 1)

    def test_described(self):
        """
        An item has a name: this first line
        is the one that counts, not this.
        """

    def test_described_and_wrong(self):
        """A description of what fails ... and why"""
        self.fail("no")

    def test_fails(self):
        self.assertEqual(1, 2)

    def test_errs(self):
        raise RuntimeError("test_saves (shop.tests.ItemTests.test_saves) ... ok")

    @unittest.skip("not today")
    def test_skipped(self):
        pass

    @unittest.expectedFailure
    def test_expected(self):
        self.fail()

    @unittest.expectedFailure
    def test_unexpected(self):
        pass

    def test_several(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertEqual(number % 2, 0)


class NoisyTests(SimpleTestCase):
    def test_speaks(self):
        sys.stderr.write("System check identified some issues\n")

    def test_speaks_and_fails(self):
        sys.stderr.write("some words\nok\n")
        self.fail("spoken")

    def test_forges(self):
        raise unittest.SkipTest("no")


class BrokenTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        raise RuntimeError("no data")

    def test_never(self):
        pass
