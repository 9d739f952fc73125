#include "kernels/targets.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

TEST(Targets, HaveNamesThatFindThemAgain) {
  for (const kernels::InstructionSet set : kernels::instruction_sets) {
    EXPECT_EQ(kernels::instruction_set_named(kernels::to_string(set)), set);
  }
  EXPECT_FALSE(kernels::instruction_set_named("sse9").has_value());
  EXPECT_FALSE(kernels::instruction_set_named("").has_value());
}

TEST(Targets, PlainRunsEverywhereAndTheBestIsSupported) {
  EXPECT_TRUE(kernels::is_supported(kernels::InstructionSet::plain));
  EXPECT_TRUE(kernels::is_supported(kernels::best_instruction_set()));
}

TEST(TargetsDeathTest, RefuseOperationsThatTheProcessorLacks) {
  for (const kernels::InstructionSet set : kernels::instruction_sets) {
    if (!kernels::is_supported(set)) {
      EXPECT_DEATH(kernels::operations(set), "only where it is supported");
    } else {
      EXPECT_NE(kernels::operations(set).attention, nullptr);
    }
  }
}

class TargetTables : public tests::AcrossInstructionSets {};

TEST_P(TargetTables, AreCompiledApart) {
  const kernels::CpuOps& plain = kernels::operations(kernels::InstructionSet::plain);
  const kernels::CpuOps& own = kernels::operations(GetParam());
  EXPECT_NE(own.matmul, plain.matmul);
  EXPECT_NE(own.attention, plain.attention);
  EXPECT_NE(own.exp, plain.exp);
}

TROUPE_ACROSS_INSTRUCTION_SETS(TargetTables);

std::string output_of(const std::string& command) {
  std::string output;
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof(buffer), pipe)) output.append(buffer, count);
  pclose(pipe);
  return output;
}

std::filesystem::path object_of(const std::string& target) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(TROUPE_BINARY_DIR "/CMakeFiles/troupe_kernels.dir")) {
    if (entry.path().filename() == target + ".cpp.o") return entry.path();
  }
  return {};
}

/// Whether a linker may give the symbol's one copy to the whole program.
bool is_shared(const std::string& type) { return type == "W" || type == "V" || type == "u" || type == "w" || type == "v"; }

// A linker keeps one copy of an inline function, of whichever object it likes. A copy that avx2.cpp compiled would crash
// processors without AVX2 wherever the function is called. So these objects may define such functions only under their own
// name.
TEST(Targets, EmitNoFunctionThatOthersMightShare) {
#if defined(__x86_64__)
  for (const std::string target : {"avx2", "avx512"}) {
    const std::filesystem::path object = object_of(target);
    ASSERT_FALSE(object.empty()) << "no " << target << ".cpp.o below " << TROUPE_BINARY_DIR;
    std::istringstream symbols(output_of("nm --demangle --defined-only --format=posix '" + object.string() + "'"));
    int found = 0;
    for (std::string line; std::getline(symbols, line);) {
      // "name type value size": the name may hold spaces, the rest does not.
      std::istringstream fields(line);
      std::vector<std::string> words;
      for (std::string word; fields >> word;) words.push_back(word);
      if (words.size() < 2) continue;
      ++found;
      bool shared = false;
      for (std::size_t i = 1; i < words.size() && i < 5; ++i) shared = shared || is_shared(words[words.size() - i]);
      const bool own = line.find("troupe::kernels::" + target + "::") != std::string::npos;
      const bool debug_only = line.starts_with("DW.ref.") || line.starts_with("__odr_asan");
      EXPECT_TRUE(!shared || own || debug_only) << target << ".cpp emits " << line;
    }
    EXPECT_GT(found, 10) << "nm says nothing about " << object;
  }
#else
  GTEST_SKIP() << "NOT TESTED HERE: only x86 builds have more than plain C++";
#endif
}

}  // namespace
}  // namespace troupe
