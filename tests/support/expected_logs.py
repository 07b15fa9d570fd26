"""What logs say: those of `tests/testrun/reports/logs`, by real runners, and short ones in the form that others have.

The short ones follow the published output of runners that cannot be installed here, one test of each outcome.
"""

from __future__ import annotations

from katcore.testrun.reports.outcome import Status

Outcome = dict[str, Status]


def _calc(file: str = "tests/test_calc.py") -> Outcome:
    texts = ("one", "two words", "a - b", "[x] y", "/tmp/a/b", "ok [10ms]", "\\xe9t\\xe9")
    return {
        f"{file}::test_adds": "PASSED",
        f"{file}::test_divides": "FAILED",
        **{f"{file}::test_parameters[{text}]": "PASSED" for text in texts},
        f"{file}::test_bad_parameters[x - y]": "FAILED",
        f"{file}::test_bad_parameters[(p q)]": "FAILED",
        f"{file}::test_errs": "ERROR",
        f"{file}::test_falls": "ERROR",
        f"{file}::test_expected": "XFAIL",
        f"{file}::test_unexpected": "XPASS",
        f"{file}::test_warns": "PASSED",
        f"{file}::TestClass::test_method": "PASSED",
    }


def _pytest_6() -> Outcome:
    """The reason of an unexpected pass stands behind its id like a part of it."""
    outcomes = _calc()
    outcomes["tests/test_calc.py::test_unexpected gone"] = outcomes.pop("tests/test_calc.py::test_unexpected")
    return outcomes


def _pytest_3() -> Outcome:
    """Ids of methods were spelt with the instance, and the summary came before the warnings."""
    outcomes = _pytest_6()
    outcomes["tests/test_calc.py::TestClass::()::test_method"] = outcomes.pop(
        "tests/test_calc.py::TestClass::test_method"
    )
    return outcomes


def _verbose() -> Outcome:
    return {**_calc(), "tests/test_calc.py::test_skipped": "SKIPPED"}


def _pytest_3_verbose() -> Outcome:
    """Expected failures were in small letters, which no parser reads."""
    return {test: status for test, status in _verbose().items() if status != "XFAIL"}


_ITEMS = "shop.tests.ItemTests"
_NOISY = "shop.tests.NoisyTests"
_GO: Outcome = {
    "TestPasses": "PASSED", "TestFails": "FAILED", "TestSkipped": "SKIPPED", "TestEach": "PASSED",
    "TestEach/one_two": "PASSED", "TestEach/a/b": "PASSED",
}  # fmt: skip
_MOCHA_HOOK = '"before each" hook for "never runs"'

REAL: dict[str, tuple[str, Outcome]] = {
    "pytest": ("parse_log_pytest", _calc()),
    "pytest_6": ("parse_log_astropy", _pytest_6()),
    "pytest_xdist": ("parse_log_pytest_v2", _calc()),
    "pytest_3": ("parse_log_pytest", _pytest_3()),
    "pytest_3_verbose": ("parse_log_astropy", _pytest_3_verbose()),
    "pytest_verbose": ("parse_log_seaborn", _verbose()),
    "pytest_import_error": ("", {**_calc(), "tests/test_broken.py": "ERROR"}),
    "pytest_no_tests": ("parse_log_flask", {}),
    "django": (
        "parse_log_django",
        {
            "setUpClass (shop.tests.BrokenTests)": "ERROR",
            "An item has a name: this first line": "PASSED",
            "A description of what fails ... and why": "FAILED",
            f"test_described_and_wrong ({_ITEMS}.test_described_and_wrong)": "FAILED",
            f"test_errs ({_ITEMS}.test_errs)": "ERROR",
            f"test_expected ({_ITEMS}.test_expected)": "XFAIL",
            f"test_unexpected ({_ITEMS}.test_unexpected)": "XPASS",
            f"test_fails ({_ITEMS}.test_fails)": "FAILED",
            f"test_saves ({_ITEMS}.test_saves)": "PASSED",
            f"test_several ({_ITEMS}.test_several) (number=1)": "FAILED",
            f"test_several ({_ITEMS}.test_several)": "FAILED",
            f"test_skipped ({_ITEMS}.test_skipped)": "SKIPPED",
            f"test_forges ({_NOISY}.test_forges)": "SKIPPED",
            f"test_speaks ({_NOISY}.test_speaks)": "PASSED",
            f"test_speaks_and_fails ({_NOISY}.test_speaks_and_fails)": "FAILED",
        },
    ),
    "go": ("parse_log_gotest", {**_GO, "TestBefore": "PASSED", "TestErrors": "FAILED"}),
    "go_json": ("parse_log_gotest", _GO),
    "sympy": (
        "parse_log_sympy",
        {
            "test_adds": "PASSED", "test_cuts": "FAILED", "test_errs": "ERROR", "test_hidden": "SKIPPED",
            "test_later": "XFAIL", "test_gone": "XPASS", "test_last": "PASSED", "test_one": "PASSED",
            "test_two": "PASSED", "test_calc.py:test_cuts": "FAILED", "test_calc.py:test_errs": "FAILED",
        },
    ),
    "minitest": (
        "parse_log_ruby_v2",
        {
            "TestCalc#test_adds": "PASSED", "TestCalc#test_cuts": "FAILED", "TestCalc#test_errs": "ERROR",
            "TestCalc#test_waits": "SKIPPED",
        },
    ),
    "ruby_unit": (
        "parse_log_ruby_unit",
        {"one and one": "PASSED", "test_cuts": "FAILED", "test_errs": "ERROR", "test_waits": "SKIPPED"},
    ),
    "maven": (
        "parse_log_java_mvn",
        {"calc.CalcTest": "FAILED", "CalcTest.fails": "FAILED", "CalcTest.errors": "FAILED"},
    ),
    "cargo": (
        "parse_log_cargo",
        {
            "tests::fails": "FAILED", "tests::passes": "PASSED", "tests::skipped": "SKIPPED",
            "each::one": "PASSED", "each::two": "PASSED", "errors": "FAILED",
        },
    ),
    "ctest": (
        "parse_log_cpp_v4",
        {
            "passes": "PASSED", "fails": "FAILED", "errors": "ERROR", "skipped": "SKIPPED", "disabled": "SKIPPED",
            "crashes": "FAILED", "each one two": "PASSED", "each a.b": "PASSED",
        },
    ),
    "phpunit": (
        "parse_log_phpunit",
        {
            "None > Passes": "PASSED", "None > Fails": "FAILED", "None > Errors": "FAILED",
            "None > Skipped": "SKIPPED", 'None > Each with data set "one two"': "PASSED",
            "None > Each with data set #0": "PASSED",
        },
    ),
    "mocha": (
        "parse_log_highlightjs",
        {
            "calc.passes": "PASSED", "calc.fails": "FAILED", "calc.errors": "FAILED",
            "- skipped.each one two": "PASSED", "- skipped.each a::b": "PASSED",
            f"with a hook.{_MOCHA_HOOK}": "FAILED",
        },
    ),
    "mocha_tap": (
        "parse_log_tap",
        {
            "calc passes": "PASSED", "calc fails": "FAILED", "calc errors": "FAILED", "calc skipped # SKIP -": "PASSED",
            "calc each one two": "PASSED", "calc each a::b": "PASSED", f"with a hook {_MOCHA_HOOK}": "FAILED",
        },
    ),
    "jest": (
        "parse_log_jest",
        {
            "passes": "PASSED", "fails": "FAILED", "errors": "FAILED", "each one two": "PASSED",
            "each a::b": "PASSED", "skipped skipped": "SKIPPED",
        },
    ),
    "vitest": (
        "parse_log_vitest",
        {
            "calc.test.js > calc > passes": "PASSED", "calc.test.js > calc > fails": "FAILED",
            "calc.test.js > calc > errors": "FAILED", "calc.test.js > calc > each one two": "PASSED",
            "calc.test.js > calc > each a::b": "PASSED",
        },
    ),
}  # fmt: skip
"""A log of `reports/logs/` -> its parser, and what it says."""

FORGED = {"pytest_forged_reason": "parse_log_pytest", "unittest_forged": "parse_log_django"}
"""Real logs in which code under test has printed results of its own."""

SHORT: dict[str, tuple[str, Outcome]] = {
    "sympy": (
        "sympy/core/tests/test_basic.py[4]\ntest_equal ok\ntest_bad F\ntest_err E\ntest_later f\n"
        "test_last ok                                        [FAIL]\n"
        "________________________________________\n"
        "____ sympy/core/tests/test_basic.py:test_bad ____\n"
        "==== tests finished: 2 passed, 1 failed, 1 expected to fail, 1 exceptions, in 0.10 seconds ====\n",
        {
            "test_equal": "PASSED", "test_bad": "FAILED", "test_err": "ERROR", "test_later": "XFAIL",
            "test_last": "PASSED",
            "sympy/core/tests/test_basic.py:test_bad": "FAILED",
        },
    ),
    "cpp": (
        "tests/test_json.py::test_a PASSED  [ 50%]\ntests/test_json.py::test_b FAILED  [100%]\n"
        "== 1 passed, 1 failed in 0.1s ==\n",
        {"test_a": "PASSED", "test_b": "FAILED"},
    ),
    "redis": (
        "[ok]: SET and GET (12 ms)\n[err]: EXPIRE in tests/unit/expire.tcl\n[skip]: slow\n[ignore]: large memory\n",
        {"SET and GET": "PASSED", "EXPIRE": "FAILED", "slow": "SKIPPED", "large memory": "SKIPPED"},
    ),
    "jq": ("PASS: tests/jqtest\nFAIL: tests/onigtest\n", {"tests/jqtest": "PASSED", "tests/onigtest": "FAILED"}),
    "doctest": (
        '<?xml version="1.0"?>\n<doctest binary="t">\n<TestCase name="a &amp; b" filename="t.cpp">\n'
        '<SubCase name="x">\n<Expression success="true" type="CHECK">\n</Expression>\n</SubCase>\n'
        '<SubCase name="y">\n<Expression success="false" type="CHECK">\n</Expression>\n</SubCase>\n'
        "</TestCase>\n</doctest>\n",
        {"a & b > x": "PASSED", "a & b > y": "FAILED"},
    ),
    "micropython_test": (
        "pass  basics/a.py\nFAIL  basics/b.py\nskip  basics/c.py\n",
        {"basics/a.py": "PASSED", "basics/b.py": "FAILED", "basics/c.py": "SKIPPED"},
    ),
    "googletest": (
        "[ RUN      ] A.b\n[       OK ] A.b (0 ms)\n2: [  FAILED  ] A.c, where x = (1) (3 ms)\n"
        "[  SKIPPED ] A.d (0 ms)\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.c, where x = (1)\n",
        {"A.b": "PASSED", "A.c, where x = (1)": "FAILED", "A.d": "SKIPPED", "A.c, where x =": "FAILED"},
    ),
    "cpp_v2": ("Test parse   passed\nTest emit   failed\nTest slow  skipped\n",
               {"parse": "PASSED", "emit": "FAILED", "slow": "SKIPPED"}),
    "cpp_v3": (
        "[1/3] File: save and load (form 1)... OK\n[2/3] image::crop... FAILED\n"
        "AES-128 ran 17370 tests in 34.33 msec all ok\nChaCha ran 2 tests in 1 sec 1 tests failed\n",
        {
            "File: save and load (form 1)": "PASSED", "image::crop": "FAILED",
            "AES-128 ran 17370 tests all ok": "PASSED",
            "ChaCha ran 2 tests 1 tests failed": "FAILED",
        },
    ),
    "ant": ("    [junit] [PASS] a.B.c\n    [junit] [FAIL] a.B.d\n    [junit] [ERR]  a.B.e\n",
            {"a.B.c": "PASSED", "a.B.d": "FAILED", "a.B.e": "FAILED"}),
    "maven": (
        "+ mvnd test -B -Dtest=ATest#a\n+ mvnd test -B -Dtest=ATest#b -pl core\n[INFO] BUILD SUCCESS\n"
        "[INFO] BUILD FAILURE\n",
        {"ATest#a": "PASSED", "ATest#b": "FAILED"},
    ),
    "java_mvn": (
        "[INFO] Running a.GoodTest\n[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 s - in "
        "a.GoodTest\n[INFO] Running a.BadTest\n[ERROR] a.BadTest.adds:12 expected 1\n"
        "[ERROR] Tests run: 2, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.1 s <<< FAILURE! - in a.BadTest\n"
        "[INFO] Running a.LaterTest\nTests run: 1, Failures: 0, Errors: 0, Skipped: 1\n",
        {"a.GoodTest": "PASSED", "a.BadTest.adds": "FAILED", "a.BadTest": "FAILED", "a.LaterTest": "SKIPPED"},
    ),
    "java_mvn_v2": (
        "[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 0\n"
        "[INFO] core ........................ SUCCESS [  1.2 s]\n[INFO] web ...... FAILURE [  1.2 s]\n",
        {"__suite__": "PASSED", "core": "PASSED", "web": "FAILED"},
    ),
    "kotlin_junit": (
        "Running a.B\nTests run: 2, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 sec\n"
        "Running a.C\nTests run: 2, Failures: 0, Errors: 1, Skipped: 0, Time elapsed: 0.1 sec\n",
        {"a.B": "PASSED", "a.C": "FAILED"},
    ),
    "gradle_custom": (
        "a.B > c PASSED\na.B > d FAILED (1.2s)\na.B > e\nOpenJDK warning\nPASSED\n> Task :test FAILED\n",
        {"a.B > c": "PASSED", "a.B > d": "FAILED", "a.B > e": "PASSED"},
    ),
    "gradlew_v1": (
        '<?xml version="1.0"?>\n<testsuite name="a.B">\n<testcase name="c()" classname="a.B" time="0"/>\n'
        '<testcase name="d &gt; e" classname="a.B">\n<failure message="x > y">no</failure>\n</testcase>\n'
        '<testcase name="f" classname="a.B"><skipped/></testcase>\n</testsuite>\n',
        {"c() (a.B)": "PASSED", "d > e (a.B)": "FAILED", "f (a.B)": "SKIPPED"},
    ),
    "junit": ('<testcase classname="a.B" name="c"/><testcase name="d" classname="a.B"><error/></testcase>\n',
              {"a.B c": "PASSED", "a.B d": "ERROR"}),
    "r_junit": ('<testcase classname="ctx" name="adds"/><testcase classname="ctx" name="cuts"><failure/></testcase>\n',
                {"ctx::adds": "PASSED", "ctx::cuts": "FAILED"}),
    "scala": (
        "[info] - should add (3 milliseconds)\n[info] - should cut *** FAILED *** (1 millisecond)\n"
        "[info] - should wait !!! CANCELED !!! (1 millisecond)\n[info] - should rest !!! IGNORED !!!\n",
        {"should add": "PASSED", "should cut": "FAILED", "should wait": "SKIPPED", "should rest": "SKIPPED"},
    ),
    "scala_v2": ("  + adds  12ms\n  x cuts  1.5s\n", {"adds": "PASSED", "cuts": "FAILED"}),
    "scala_v3": (
        "[info] CalcSpec:\n[info] - adds (3 milliseconds)\n[info] - cuts *** FAILED *** (1 second, 2 milliseconds)\n"
        "[info] Run completed in 1 second.\n",
        {"CalcSpec:: adds": "PASSED", "CalcSpec:: cuts": "FAILED"},
    ),
    "swift": (
        "Test Case 'ATests.testA' passed (0.1 seconds)\nTest Case 'ATests.testB' failed (0.1 seconds)\n",
        {"ATests.testA": "PASSED", "ATests.testB": "FAILED"},
    ),
    "csharp": (
        "  Passed A.B.C [3 ms]\n  Failed A.B.D [< 1 ms]\n  Skipped A.B.E [1 ms]\n"
        "[xUnit.net 00:00:01.23]     A.B.F [FAIL]\nPassed!  - Failed: 2, Passed: 1\n",
        {"A.B.C": "PASSED", "A.B.D": "FAILED", "A.B.E": "SKIPPED", "A.B.F": "FAILED"},
    ),
    "jest_json": ("[PASSED] a b\n[FAILED] a c\n", {"a b": "PASSED", "a c": "FAILED"}),
    "react_pdf": ("PASS packages/a.test.js (5.2 s)\nFAIL packages/b.test.js\n  PASS no\n",
                  {"packages/a.test.js": "PASSED", "packages/b.test.js": "FAILED"}),
    "karma": (
        "Starting browser Chrome\n  suite a\n    part b\n      ✔ one\n      ✖ two\n\nSUMMARY:\n✔ 1 test completed\n",
        {"suite a > part b > one": "PASSED", "suite a > part b > two": "FAILED"},
    ),
    "calypso": (
        "+ ./node_modules/.bin/jest -c=x a.js\nPASS a.js\n  suite\n    ✓ adds (3ms)\n    part\n      ✕ cuts\n"
        "  ● suite › cuts\n      ✓ forged\nTest Suites: 1 failed\n",
        {"suite - adds": "PASSED", "suite - part - cuts": "FAILED"},
    ),
    "js": ("  ✔ adds (12ms)\n  - waits\n  1) cuts:\n  [W] 2) warns\n",
           {"adds": "PASSED", "waits": "SKIPPED", "cuts": "FAILED", "warns": "FAILED"}),
    "js_2": ("  ✔ adds (12ms)\n  - waits\n  1) cuts\n", {"adds": "PASSED", "waits": "SKIPPED", "cuts": "FAILED"}),
    "js_3": (
        "ok 1 - test/a.js # time=12ms {\n    ok 1 - adds\n    not ok 2 - cuts\n    ok 3 - waits # SKIP\n}\n1..1\n",
        {
            "test/a.js": "PASSED", "test/a.js :: adds": "PASSED", "test/a.js :: cuts": "FAILED",
            "test/a.js :: waits": "SKIPPED",
        },
    ),
    "js_4": ("✔ [chrome]: adds (1.2s)\n  × cuts 5ms\n  ○ waits\nlater [todo]\n",
             {"adds": "PASSED", "cuts": "FAILED", "waits": "SKIPPED", "later": "SKIPPED"}),
    "npx": ("  ✔ adds (3ms)\n  1) cuts (core)\n", {"adds": "PASSED", "cuts": "FAILED"}),
    "php_v1": (
        "   PASS  Tests\\Good\n  ✓ it adds   0.03s\n   FAIL  Tests\\Bad\n  ⨯ it cuts  1.20s\n  - it waits\n",
        {"it adds": "PASSED", "Tests\\Bad": "FAILED", "it cuts": "FAILED", "it waits": "SKIPPED"},
    ),
    "minitest": (
        "TestA#test_: it should add.  = 0.01 s = .\nTestA#test_: it should cut. = 0.01 s = F\n"
        "TestA#test_: it waits. = 0.00 s = S\n"
        "  1) Failure:\nTestA#test_: it should cut. [a.rb:3]:\n3 runs, 2 assertions, 1 failures, 0 errors, 1 skips\n",
        {"TestA#test_: it should add": "PASSED", "TestA#test_: it should cut": "FAILED",
         "TestA#test_: it waits": "SKIPPED"},
    ),
    "cucumber": ("features/a.feature ........\nfeatures/b.feature ..F--\n",
                 {"features/a.feature": "PASSED", "features/b.feature": "FAILED"}),
    "jekyll": ("features/a.feature ........\n", {"features/a.feature": "PASSED"}),
    "ruby_unit": (
        "  test: adds:\t.: (0.01)\n  test_cut:\tF\n  test_err:\tE\n  test_wait:\tO: (0.01)\n",
        {"adds": "PASSED", "test_cut": "FAILED", "test_err": "ERROR", "test_wait": "SKIPPED"},
    ),
    "ruby_v1": (
        "UnitTestA\n  test_adds            PASS (0.02s)\n  test_cuts     FAIL (0.02s)\n"
        "UnitTestB\n  test_waits  SKIP (0.00s)\n",
        {"UnitTestA::test_adds": "PASSED", "UnitTestA::test_cuts": "FAILED", "UnitTestB::test_waits": "SKIPPED"},
    ),
    "ruby_v2": (
        "A#test_a = 5.30 s = .\nA#test_b = 0.30 s = F\n2 tests, 9 assertions, 1 failures, 0 errors, 0 skips\n",
        {"A#test_a": "PASSED", "A#test_b": "FAILED"},
    ),
    "rspec_transformed_json": ("A b c - passed\nA b - d - failed\nA e - pending\n",
                               {"A b c": "PASSED", "A b - d": "FAILED", "A e": "SKIPPED"}),
    "elixir": (
        "  * test adds (12.3ms) [L#4]\n  * test waits (skipped) [L#9]\n  * test cuts [L#12]\n"
        "  1) test cuts (CalcTest)\n",
        {"adds": "PASSED", "waits": "SKIPPED", "cuts": "FAILED"},
    ),
    "lua_nvim": ("Success\t||\ta adds\nFail\t||\ta cuts\nSuccess: \t1\n", {"a adds": "PASSED", "a cuts": "FAILED"}),
    "haskell": ("  adds:  OK (0.01s)\n  cuts: FAIL\n  ✓ lists\n  maps [✔]\n  zips [✗]\n### Error in: 3:folds\n",
                {"adds": "PASSED", "cuts": "FAILED", "lists": "PASSED", "maps": "PASSED", "zips": "FAILED",
                 "3:folds": "ERROR"}),
    "haskell_v2": (
        "Test suite spec: RUNNING...\n\nCalc\n  add\n    adds\n    cuts FAILED [1]\n  waits PENDING\n\nFailures:\n\n"
        "  1) Calc, add, cuts\n\nFinished in 0.0012 seconds\n3 examples, 1 failure\n",
        {"Calc.add.adds": "PASSED", "Calc.add.cuts": "FAILED", "Calc.waits": "SKIPPED"},
    ),
    "r": (
        "✔ | 60 | expansion [0.3s]\n✖ | 2 2 9 | render\nFailure ('test-a.R:8:5'): draws\n"
        "Error ('test-a.R:9:1'): opens\n",
        {"expansion": "PASSED", "render": "FAILED", "draws": "FAILED", "opens": "ERROR"},
    ),
    "r_v2": (
        "* checking package name ... OK\n* checking tests ...\n  Running 'a.R'\n ERROR\n* checking PDF ... WARNING\n",
        {"package name": "PASSED", "tests": "ERROR", "PDF": "FAILED"},
    ),
    "julia": (
        "Test Summary: | Pass  Fail  Error  Broken  Total  Time\n"
        "calc          |    3     1              1      5  1.2s\n"
        "  adds        |    3                           3  0.1s\n"
        "  waits       |                         1      1  0.1s\n"
        "  opens       |                 1              1  0.1s\nERROR: some tests did not pass\n",
        {"calc": "FAILED", "adds": "PASSED", "waits": "XFAIL", "opens": "ERROR"},
    ),
    "lein": ("lein test a.core-test\nlein test b.core-test\n"
             "lein test :only b.core-test/adds\nFAIL in (adds) (b.clj:3)\n",
             {"a.core-test": "PASSED", "b.core-test": "FAILED"}),
    "dart": (
        '{"test":{"id":1,"name":"loading a.dart"},"type":"testStart"}\n'
        '{"test":{"id":2,"name":"adds"},"type":"testStart"}\n'
        '{"testID":2,"result":"success","skipped":false,"hidden":false,"type":"testDone"}\n'
        '{"test":{"id":3,"name":"cuts"},"type":"testStart"}\n{"testID":3,"result":"failure","type":"testDone"}\n',
        {"adds": "PASSED", "cuts": "FAILED"},
    ),
    "dart_v2": (
        "[calc]: 00:01 +0: /a/calc_test.dart: adds\n[calc]: 00:01 +1: /a/calc_test.dart: adds\n"
        "[calc]: 00:01 +1: /a/calc_test.dart: cuts\n",
        {"/a/calc_test.dart: adds": "PASSED", "/a/calc_test.dart: cuts": "ERROR"},
    ),
    "dart_v3": (
        "00:01 +0: /a/calc_test.dart: adds\n00:01 +1: /a/calc_test.dart: cuts\n"
        "00:01 +1 -1: /a/calc_test.dart: cuts [E]\n"
        "00:02 +1 -2: loading /a/bad_test.dart [E]\n",
        {"/a/calc_test.dart: adds": "PASSED", "/a/calc_test.dart: cuts": "FAILED", "/a/bad_test.dart": "ERROR"},
    ),
    "ocaml": ("  [OK]          calc          0   adds.\n> [FAIL]        calc          1   cuts.\n"
              "  [FAIL]        calc          1   cuts.\n",
              {"calc 0 adds.": "PASSED", "calc 1 cuts.": "FAILED"}),
    "ocaml_v2": (
        "Running[1]: (cd _build/default/test && ./calc.exe)\nOutput[1]:\nall is well\n"
        "Running[2]: (cd _build/default/test && ./bad.exe)\nOutput[2]:\nFatal error: exception Not_found\n",
        {"calc.exe": "PASSED", "bad.exe": "FAILED"},
    ),
    "ocaml_v3": ("[OK] adds   one\n[KO] cuts\n[SKIP] waits\n[note] no\n",
                 {"adds one": "PASSED", "cuts": "FAILED", "waits": "SKIPPED"}),
    "ocaml_v4": ("\x1b[32mPASSED\x1b[0m  adds   in tests\nFAILED cuts\n", {"adds": "PASSED", "cuts": "FAILED"}),
}  # fmt: skip
"""The end of a parser's name -> a log, and what it says."""
