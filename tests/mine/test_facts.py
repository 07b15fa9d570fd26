"""What mining knows by heart: languages, the paths of tests, licences."""

from __future__ import annotations

import pytest

from katcore.mine.languages import MAIN, facts, language, main_language
from katcore.mine.license import of_text, spdx
from katcore.mine.testfiles import is_test
from katcore.source.quoting import quoted, unquoted

TESTS = """
tests/test_a.py test_a.py pkg/a_test.py conftest.py app/tests.py pkg/tests/data/x.bin
pkg/cart_test.go internal/testdata/golden.json
src/cart.spec.ts src/__tests__/cart.tsx src/__snapshots__/a.snap cypress/e2e/login.cy.js a.test.mjs e2e/login.ts
src/test/java/org/shop/CartTest.java src/it/CartIT.java app/src/androidTest/java/Cart.kt src/CartSpec.kt
Shop.Tests/Cart.cs ShopTests/CartTests.swift ShopUITests/Login.m src/CartTests.cs
spec/models/cart_spec.rb test/cart_test.rb spec/support/helper.rb spec/rails_helper.rb
tests/cart.rs src/cart/tests.rs crates/a/tests/it.rs
tests/CartTest.php tests/basic.phpt src/CartTest.php
unittest/cart_test.cc src/cart_unittest.cpp test/CartTests.cpp
src/test/scala/CartSuite.scala tests/testthat/test-cart.R t/01-basic.t test/cart.bats tests/testCart.m
test/cart_test.dart spec/cart_spec.lua test/cart_test.exs test/CartSpec.hs test/cart_test.clj features/login.feature
testing/test_x.py db/test_cart.sql fixtures/users.json
""".split()  # noqa: SIM905 - a list of paths
SOURCES = """
setup.py src/contest.py latest.py attestation.go src/testify.go numpy/testing/utils.py src/flask/testing.py
src/main/java/org/spring/test/TestContext.java src/cart.rs spec/openapi.yaml docs/testing.md pytest.ini tox.ini
src/protest.ts greatest.rb jest.config.js lib/spectrum.rb src/Latest.java src/cart/inspect.lua
.github/workflows/test.yml
""".split()  # noqa: SIM905 - a list of paths


@pytest.mark.parametrize("path", TESTS)
def test_paths_of_tests(path: str) -> None:
    assert is_test(path)


@pytest.mark.parametrize("path", SOURCES)
def test_paths_of_sources(path: str) -> None:
    assert not is_test(path)


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.py", b"", "Python"), ("a.TSX", b"", "TypeScript"), ("a.d.ts", b"", "TypeScript"),
        ("a/Makefile", b"", "Makefile"),
        ("Dockerfile.dev", b"", "Dockerfile"), ("go.mod", b"", "Go Module"), ("Cargo.lock", b"", "TOML"),
        ("a.rs", b"", "Rust"), ("a.hs", b"", "Haskell"), ("CMakeLists.txt", b"", "CMake"), ("notes.txt", b"", "Text"),
        ("a.m", b"@implementation Cart\n", "Objective-C"), ("a.m", b"function y = f(x)\n% doc\n", "MATLAB"),
        ("a.pl", b"use strict;\n", "Perl"), ("a.pl", b"parent(X, Y) :- child(Y, X).\n", "Prolog"),
        ("a.h", b"int f(void);\n", "C"), ("a.h", b"namespace shop {\n", "C++"),
        ("a.h", b"@interface Cart\n", "Objective-C"),
        ("a.v", b"module cart;\n", "Verilog"), ("a.v", b"Theorem t : True.\n", "Rocq Prover"),
        ("a.ts", b"<!DOCTYPE TS>\n", "XML"), ("run", b"#!/usr/bin/env python3\n", "Python"),
        ("run", b"#!/bin/sh\n", "Shell"),
        ("run", b"#!/usr/bin/env -S node --flag\n", "JavaScript"), ("run", b"text\n", ""),
        ("a.unknown", b"#!/bin/sh\n", ""),
    ],
)  # fmt: skip
def test_languages(path: str, text: bytes, expected: str) -> None:
    assert language(path, text) == expected


def test_headers_follow_their_neighbours() -> None:
    assert language("a.h", b"int f(void);\n", {".h", ".cpp"}) == "C++"
    assert language("a.h", b"class A;\nusing x = int;\n", {".h", ".c"}) == "C"
    assert language("a.h", b"@interface A\n", {".h", ".c"}) == "Objective-C"
    assert language("a.m", b"x = 1;\n", {".m", ".h"}) == "Objective-C"


def test_every_main_language_is_in_the_table() -> None:
    assert set(facts().kinds) >= MAIN
    assert len(MAIN) == 24


def test_the_main_language_is_a_programming_language() -> None:
    assert main_language({"JSON": 9000, "Python": 10, "Go": 5}) == "Python"
    assert main_language({"Makefile": 90, "SQL": 5}) == "SQL"
    assert main_language({"Makefile": 90, "Zig": 100}) == "Zig"
    assert main_language({"Markdown": 10}) == ""


MIT = """MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files.

The above copyright notice and this permission notice shall be included in all
copies."""
BSD = "Redistributions of source code must retain x. * Redistributions in binary form must reproduce y."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MIT, "MIT"), (BSD, "BSD-2-Clause"), (BSD + " Neither the name of", "BSD-3-Clause"),
        ("   Apache License\n  Version 2.0, January 2004", "Apache-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "GPL-3.0"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 3\n uses GNU General Public License version 3", "LGPL-3.0"),
        ("This is free and unencumbered software released into the public domain.", "Unlicense"),
        ("All rights reserved.", None),
    ],
)  # fmt: skip
def test_licence_texts(text: str, expected: str | None) -> None:
    assert of_text(text) == expected


def test_where_a_licence_is_looked_for() -> None:
    assert (
        spdx({"pyproject.toml": b'[project]\nlicense = "apache-2.0 or mit"', "LICENSE": MIT.encode()})
        == "Apache-2.0 OR MIT"
    )
    assert spdx({"package.json": b'{"license": "ISC"}'}) == "ISC"
    assert spdx({"Cargo.toml": b'[package]\nlicense = "MIT/Apache-2.0"'}) == "MIT OR Apache-2.0"
    assert spdx({"LICENSE-MIT": MIT.encode(), "LICENSE-APACHE": b"Apache License Version 2.0"}) == "Apache-2.0 OR MIT"
    assert spdx({"PKG-INFO": b"Name: a\nLicense: BSD\nClassifier: License :: OSI Approved :: MIT License\n"}) == "MIT"
    assert spdx({"pyproject.toml": b"[broken", "package.json": b"[1]", "LICENSE": b"\xff"}) is None
    assert spdx({}) is None


@pytest.mark.parametrize("path", [b"a", b'a "b"\\c\n\t\x01', b"caf\xe9", "grüße".encode(), b"\\101"])
def test_quoting_of_paths_goes_both_ways(path: bytes) -> None:
    assert unquoted(quoted(path)) == path
