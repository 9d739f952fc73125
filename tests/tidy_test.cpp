// The rules of the house, checked on the files of this repository. Each rule is first shown a file that breaks it, so that a
// rule that finds nothing cannot pass for a tidy house.
#include <gtest/gtest.h>

#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tidy/repository.hpp"
#include "tests/tidy/rules.hpp"

namespace troupe::tidy {
namespace {

const std::vector<File>& repository() {
  static const std::vector<File> files = read_repository(TROUPE_SOURCE_DIR);
  return files;
}

void expect_none(const Findings& findings) {
  for (const Finding& finding : findings) {
    std::ostringstream text;
    text << finding;
    ADD_FAILURE() << text.str();
  }
}

void expect_all_pass(Findings (*rule)(const File&)) {
  for (const File& file : repository()) expect_none(rule(file));
}

File file(std::string path, std::string text, bool executable = false) {
  const auto bytes = text.size();
  return {std::move(path), std::move(text), bytes, executable};
}

/// The rule finds something on exactly this line.
void expect_found(Findings (*rule)(const File&), const std::string& path, const std::string& text, int line) {
  const Findings found = rule(file(path, text));
  ASSERT_EQ(found.size(), 1U) << path << ":\n" << text;
  EXPECT_EQ(found[0].path, path);
  EXPECT_EQ(found[0].line, line) << text;
}

void expect_passes(Findings (*rule)(const File&), const std::string& path, const std::string& text) {
  for (const Finding& finding : rule(file(path, text))) ADD_FAILURE() << finding.text << "\nin:\n" << text;
}

TEST(Tidy, SeesTheFilesOfThisRepository) {
  std::size_t sources = 0;
  for (const File& file : repository()) {
    sources += file.is_cpp() ? 1 : 0;
    EXPECT_FALSE(file.path.starts_with("build/")) << file.path;
  }
  EXPECT_GE(sources, 100U);
}

TEST(Tidy, KnowsFoldersAndExtensions) {
  EXPECT_EQ(file("kernels/targets/avx2.cpp", "").folder(), "kernels");
  EXPECT_EQ(file("kernels/math.lanes.hpp", "").extension(), ".hpp");
  EXPECT_EQ(file("README.md", "").folder(), "");
  EXPECT_EQ(file(".ci/run", "").extension(), "");
  EXPECT_EQ(file("dev/.hidden", "").extension(), "");
}

TEST(Tidy, IncludesPointOneWay) {
  expect_found(check_layers, "kernels/a.cpp", "#include \"base/result.hpp\"\n#include \"model/weights.hpp\"\n", 2);
  expect_found(check_layers, "policy/a.hpp", "#include \"kernels/device.hpp\"\n", 1);
  expect_found(check_layers, "policy/a.hpp", "#include <vector>\n#  include <tl/expected.hpp>\n", 2);
  expect_found(check_layers, "policy/a.hpp", "#include <unistd.h>\n", 1);
  expect_found(check_layers, "model/a.cpp", "#include \"a.hpp\"\n", 1);
  expect_found(check_layers, "model/a.cpp", "#include \"../base/result.hpp\"\n", 1);
  expect_found(check_layers, "cli/a.cpp", "#include \"tests/support/plain_device.hpp\"\n", 1);
  expect_passes(check_layers, "cli/a.cpp", "#include \"bench/matmul.hpp\"\n#include <CLI/CLI.hpp>\n");
  expect_passes(check_layers, "policy/a.hpp", "#include \"base/clock.hpp\"\n#include \"policy/batch.hpp\"\n#include <span>\n");
  expect_all_pass(check_layers);
}

TEST(Tidy, EachLibraryHasOneDoor) {
  expect_found(check_doors, "engine/a.cpp", "#include <nlohmann/json.hpp>\n", 1);
  expect_found(check_doors, "model/a.hpp", "\n#include <nlohmann/json.hpp>\n", 2);
  expect_found(check_doors, "model/a.cpp", "#define PCRE2_CODE_UNIT_WIDTH 8\n#include <pcre2.h>\n", 2);
  expect_found(check_doors, "engine/block_id.cpp", "#include <openssl/evp.h>\n", 1);
  expect_found(check_doors, "base/a.cpp", "#include <xxhash.h>\n", 1);
  expect_found(check_doors, "bench/a.cpp", "#include <oneapi/dnnl/dnnl.hpp>\n", 1);
  expect_found(check_doors, "bench/a.cpp", "#include <dnnl.h>\n", 1);
  expect_found(check_doors, "engine/a.cpp", "#include <CLI/CLI.hpp>\n", 1);
  expect_found(check_doors, "model/a.cpp", "#include <immintrin.h>\n", 1);
  expect_found(check_doors, "engine/a.cpp", "#include <gtest/gtest.h>\n", 1);
  expect_passes(check_doors, "model/digest.cpp", "#include <openssl/evp.h>\n// #include <xxhash.h>\n");
  expect_all_pass(check_doors);
}

TEST(Tidy, WhatDecidesBitsCallsNoLibm) {
  expect_found(check_mathematics, "model/a.cpp", "int x;\nfloat y = std::exp(z);\n", 2);
  expect_found(check_mathematics, "kernels/a.hpp", "float y = expf(z);\n", 1);
  expect_found(check_mathematics, "engine/a.cpp", "double y = 1 + std::log2l (z);\n", 1);
  expect_found(check_mathematics, "policy/a.cpp", "double y = (::pow(2, z));\n", 1);
  expect_found(check_mathematics, "kernels/a.hpp", "float y = __builtin_sinf(z);\n", 1);
  expect_passes(check_mathematics, "model/a.cpp",
                "double y = kernels::pow(2, z) + kernels::exp(x) + log_sum_exp(x) + std::sqrt(x);\n");
  expect_passes(check_mathematics, "bench/a.cpp", "double y = std::exp(z);\n");
  expect_all_pass(check_mathematics);
}

TEST(Tidy, HeadersAreIncludedOnce) {
  expect_found(check_pragma_once, "base/a.hpp", "// What this is.\nint f();\n", 1);
  expect_passes(check_pragma_once, "base/a.hpp", "// What this is.\n#pragma once\n");
  expect_all_pass(check_pragma_once);
}

TEST(Tidy, TextIsCleanAndShort) {
  expect_found(check_text, "base/a.cpp", "int x;\n\tint y;\n", 2);
  expect_found(check_text, "base/a.cpp", "int x; \n", 1);
  expect_found(check_text, "CMakeLists.txt", "project(x)\r\n", 1);
  expect_found(check_text, "docs/a.md", "no line feed", 0);
  expect_found(check_text, "dev/a", "#\n" + std::string(columns_max + 1, 'x') + "\n", 2);
  std::string lines;
  for (int i = 0; i < lines_max; ++i) lines += "x\n";
  expect_passes(check_text, "base/a.cpp", lines);
  expect_found(check_text, "base/a.cpp", lines + "x\n", lines_max + 1);
  std::string wide;
  for (int i = 0; i < columns_max; ++i) wide += "§";
  expect_passes(check_text, "base/a.cpp", wide + "\n");
  expect_passes(check_text, "portfolio/training/a.py", "\t \r\n");
  expect_all_pass(check_text);
}

TEST(Tidy, NothingIsLeftToDo) {
  expect_found(check_reminders, "base/a.cpp",
               "int x;\n// TO"
               "DO: all the rest\n",
               2);
  expect_found(check_reminders, "docs/a.md",
               "FIX"
               "ME\n",
               1);
  expect_all_pass(check_reminders);
}

TEST(Tidy, NoFlagReordersArithmetic) {
  expect_found(check_arithmetic_flags, "cmake/a.cmake",
               "add_compile_options(\n  -ffast"
               "-math)\n",
               2);
  expect_found(check_arithmetic_flags, "CMakePresets.json",
               "{ \"CMAKE_CXX_FLAGS\": \"-O"
               "fast\" }\n",
               1);
  expect_found(check_arithmetic_flags, "kernels/a.cpp",
               "#pragma GCC optimize(\"fast"
               "-math\")\n",
               1);
  expect_passes(check_arithmetic_flags, "cmake/a.cmake", "add_compile_options(-O3 -ffp-contract=off -fno-math-errno)\n");
  expect_all_pass(check_arithmetic_flags);
}

TEST(Tidy, CommandsCanBeRun) {
  const std::string script = "#!/usr/bin/env bash\nset -euo pipefail\n";
  EXPECT_TRUE(check_commands(file("dev/a", script, true)).empty());
  EXPECT_EQ(check_commands(file("dev/a", script, false)).size(), 1U);
  EXPECT_EQ(check_commands(file(".ci/run", "set -euo pipefail\n", true)).size(), 1U);
  EXPECT_EQ(check_commands(file("dev/a", "#!/usr/bin/env bash\necho\n", true)).size(), 1U);
  EXPECT_TRUE(check_commands(file("dev/lib/a.py", "import os\n", false)).empty());
  expect_all_pass(check_commands);
}

TEST(Tidy, EveryTestIsBuilt) {
  const std::string test = "// Why.\nTEST(A, Works) {}\n";
  expect_found(check_tests_are_built, "tests/model/a.cpp", test, 0);
  expect_found(check_tests_are_built, "tests/nowhere/a_test.cpp", test, 0);
  expect_found(check_tests_are_built, "model/a_test.cpp", "TEST_F(A, Works) {}\n", 0);
  expect_passes(check_tests_are_built, "tests/model/a_test.cpp", test);
  expect_passes(check_tests_are_built, "tests/support/a.cpp", "int x;\n");
  expect_all_pass(check_tests_are_built);
}

TEST(Tidy, TheTopHoldsNoStrangers) {
  expect_found(check_top_level, "notes.txt", "", 0);
  expect_found(check_top_level, "scratch/a.cpp", "", 0);
  expect_passes(check_top_level, ".ci/run", "");
  expect_all_pass(check_top_level);
}

TEST(Tidy, EveryFolderIsDescribed) {
  const std::vector<File> files = {file("docs/architecture.md", "- `docs/`: words\n"), file("base/a.cpp", "")};
  const Findings found = check_folders_are_described(files);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].text.find("`base/`"), std::string::npos) << found[0].text;
  EXPECT_EQ(check_folders_are_described(std::vector{file("base/a.cpp", "")}).size(), 1U);
  expect_none(check_folders_are_described(repository()));
}

TEST(Tidy, LinksLeadSomewhere) {
  const std::vector<File> files = {
      file("README.md", "[good](docs/a.md), [folder](docs/), [far](https://example.org/x)\n[bad](docs/b.md)\n"),
      file("docs/a.md",
           "[up](../README.md#part) `docs/a.md` `engine/nothing.cpp` [self](#part)\n`dev/test -R x` `dev/nothing`\n"),
      file("dev/test", "")};
  const Findings found = check_links(files);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].path + ":" + std::to_string(found[0].line), "README.md:2");
  EXPECT_EQ(found[1].path + ":" + std::to_string(found[1].line), "docs/a.md:1");
  EXPECT_EQ(found[2].path + ":" + std::to_string(found[2].line), "docs/a.md:2");
  expect_none(check_links(repository()));
}

TEST(Tidy, TheTreeIsSmall) {
  File large = file("portfolio/heavy/model.safetensors", "");
  large.bytes = tree_bytes_max;
  EXPECT_TRUE(check_size(std::vector{large}).empty());
  EXPECT_EQ(check_size(std::vector{large, file("a", "x")}).size(), 1U);
  expect_none(check_size(repository()));
}

}  // namespace
}  // namespace troupe::tidy
