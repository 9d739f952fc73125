#include "model/fingerprint.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "model/file.hpp"
#include "tests/support/safetensors_writer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::model {
namespace {

namespace fs = std::filesystem;
using tests::write_file;

const fs::path portfolio = fs::path(TROUPE_SOURCE_DIR) / "portfolio";

std::string fingerprint_of(const fs::path& folder) {
  const auto fingerprint = fingerprint_folder(folder);
  EXPECT_TRUE(fingerprint) << fingerprint.error().message;
  return fingerprint ? to_hex(*fingerprint) : "";
}

TEST(Fingerprint, IsTheSameEachTimeAndDiffersBetweenModels) {
  std::set<std::string> seen;
  for (const char* name : {"mini", "medium", "heavy"}) {
    const std::string once = fingerprint_of(portfolio / name);
    EXPECT_EQ(once.size(), 64U);
    EXPECT_EQ(once, fingerprint_of(portfolio / name));
    seen.insert(once);
  }
  EXPECT_EQ(seen.size(), 3U);
}

TEST(Fingerprint, IsTheSameInAnotherFolder) {
  const tests::TemporaryFolder folder;
  fs::copy(portfolio / "mini", folder.path(), fs::copy_options::recursive);
  EXPECT_EQ(fingerprint_of(folder.path()), fingerprint_of(portfolio / "mini"));
}

TEST(Fingerprint, ChangesWithAnyBitOfAnyFile) {
  const tests::TemporaryFolder folder;
  fs::copy(portfolio / "mini", folder.path(), fs::copy_options::recursive);
  std::set<std::string> seen = {fingerprint_of(folder.path())};
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "model.safetensors"}) {
    const auto content = read_file(folder.path() / name, std::size_t{1} << 30);
    ASSERT_TRUE(content);
    for (const std::size_t place : {std::size_t{0}, content->size() / 2, content->size() - 1}) {
      std::string changed = *content;
      changed[place] = static_cast<char>(changed[place] ^ 1);
      write_file(folder.path() / name, changed);
      EXPECT_TRUE(seen.insert(fingerprint_of(folder.path())).second) << name << " at byte " << place;
    }
    write_file(folder.path() / name, *content);
  }
  fs::remove(folder.path() / "tokenizer.json");
  EXPECT_TRUE(seen.insert(fingerprint_of(folder.path())).second);
}

TEST(Fingerprint, CoversEveryShard) {
  const tests::TemporaryFolder folder;
  write_file(folder.path() / "config.json", "{}");
  write_file(folder.path() / "model.safetensors.index.json", R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  write_file(folder.path() / "1.safetensors", "one");
  write_file(folder.path() / "2.safetensors", "two");
  const std::string before = fingerprint_of(folder.path());
  write_file(folder.path() / "2.safetensors", "tow");
  const std::string after = fingerprint_of(folder.path());
  EXPECT_NE(before, after);
  // The same bytes under each other's names are another model.
  write_file(folder.path() / "1.safetensors", "tow");
  write_file(folder.path() / "2.safetensors", "one");
  EXPECT_NE(fingerprint_of(folder.path()), after);
}

TEST(Fingerprint, ReportsProgressUpToTheEnd) {
  std::vector<double> told;
  ASSERT_TRUE(fingerprint_folder(portfolio / "heavy", [&](double fraction) { told.push_back(fraction); }));
  ASSERT_GT(told.size(), 2U);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), 1);
}

TEST(Fingerprint, NamesWhatIsMissing) {
  const tests::TemporaryFolder folder;
  const auto nothing = fingerprint_folder(folder.path());
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::not_found);
  EXPECT_NE(nothing.error().message.find("model.safetensors"), std::string::npos) << nothing.error().message;
  write_file(folder.path() / "model.safetensors", "x");
  const auto no_config = fingerprint_folder(folder.path());
  ASSERT_FALSE(no_config);
  EXPECT_NE(no_config.error().message.find("config.json"), std::string::npos) << no_config.error().message;
}

TEST(Fingerprint, OfRandomWeightsKnowsConfigAndSeed) {
  const auto config = load_config(portfolio / "heavy" / "config.json");
  ASSERT_TRUE(config);
  std::set<std::string> seen = {to_hex(fingerprint_random(*config, 1)), to_hex(fingerprint_random(*config, 2))};
  auto other = *config;
  other.layers += 1;
  seen.insert(to_hex(fingerprint_random(other, 1)));
  other = *config;
  other.moe->dense_layers = {0};
  seen.insert(to_hex(fingerprint_random(other, 1)));
  other = *config;
  other.rope_theta = 10001;
  seen.insert(to_hex(fingerprint_random(other, 1)));
  EXPECT_EQ(seen.size(), 5U);
  EXPECT_EQ(fingerprint_random(*config, 1), fingerprint_random(*config, 1));
}

}  // namespace
}  // namespace troupe::model
