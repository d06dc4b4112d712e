// Why a test can't run: in words, behind a kind that ./check counts by. A bare GTEST_SKIP says no kind: lint/skips.
#pragma once

#include <gtest/gtest.h>

// This machine can't, whatever is installed: its architecture, the rights of the user.
#define SKIP_MACHINE(why) GTEST_SKIP() << "[machine] " << why
// A program or library is missing that setup/packages.txt names. ./check --strict fails on these.
#define SKIP_PACKAGE(why) GTEST_SKIP() << "[package] " << why
// What the test is about isn't supported yet, by us or by a library that we use.
#define SKIP_UNSUPPORTED(why) GTEST_SKIP() << "[unsupported] " << why
// Asked for by a variable or a file that isn't there by default.
#define SKIP_OPTIONAL(why) GTEST_SKIP() << "[optional] " << why
