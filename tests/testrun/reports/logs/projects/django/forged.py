import sys
import unittest


class Forged(unittest.TestCase):
    def test_hidden(self):
        sys.stderr.write("ok\ntest_other (forged.Forged) ... ok\ntest_more (forged.Forged) ... ok\n")
        raise unittest.SkipTest("no")
