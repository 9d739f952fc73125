// A node's life in a data folder: what it keeps from one start to the next, and that it ends when it is told to.
#include "actors/node.hpp"

#include <gtest/gtest.h>

#include "storage/corpus_documents.hpp"
#include "storage/rocks_store.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::actors {
namespace {

storage::Section section(const std::string& text) { return {"manual#1", "Manual §1", text}; }

/// Starts a node in `folder`, says how many sections it has, and ends it.
Result<std::size_t> sections_of_a_life(const std::filesystem::path& folder, std::optional<std::vector<storage::Section>> corpus,
                                       Log log = {}) {
  NodeOptions options;
  options.name = "one";
  options.data = folder;
  options.cluster_address = "127.0.0.1:0";
  options.routing = policy::default_policy();
  options.corpus = std::move(corpus);
  options.first_corpus = {section("The handbook.")};
  options.log = std::move(log);
  TROUPE_TRY(const auto node, Node::start(std::move(options)));
  return node->corpus_sections();
}

TEST(Node, KeepsItsCorpusUntilItIsGivenAnother) {
  const tests::TemporaryFolder folder;
  EXPECT_EQ(sections_of_a_life(folder.path(), std::nullopt).value(), 1U) << "something to ask about at the first start";
  const std::vector<storage::Section> two{section("Feed the cat."), {"manual#2", "Manual §2", "At seven."}};
  EXPECT_EQ(sections_of_a_life(folder.path(), two).value(), 2U);
  EXPECT_EQ(sections_of_a_life(folder.path(), std::nullopt).value(), 2U) << "not the first one again";
  EXPECT_EQ(sections_of_a_life(folder.path(), std::vector<storage::Section>{}).value(), 0U);
  EXPECT_EQ(sections_of_a_life(folder.path(), std::nullopt).value(), 0U) << "that there shall be none is kept, too";
}

TEST(Node, SaysWhichAddedDocumentsAnotherCorpusReplaces) {
  const tests::TemporaryFolder folder;
  ASSERT_TRUE(sections_of_a_life(folder.path(), std::nullopt));
  {
    const auto store = storage::RocksStore::open(folder.path());
    ASSERT_TRUE(store) << store.error().message;
    const auto added = storage::catalogued({{"zebra", "0123", {{"zebra#1", "Zebra §1", "Zebras are striped."}}}});
    ASSERT_TRUE(added) << added.error().message;
    for (const auto& written : (*store)->write(storage::put_catalogued(*added))) ASSERT_TRUE(written);
  }
  std::string warnings;
  const Log log([&](LogLevel level, const std::string& line) { warnings += level == LogLevel::warning ? line : ""; });
  EXPECT_EQ(sections_of_a_life(folder.path(), std::nullopt, log).value(), 1U);
  EXPECT_EQ(warnings, "");
  EXPECT_EQ(sections_of_a_life(folder.path(), std::vector<storage::Section>{section("Feed the cat.")}, log).value(), 1U);
  EXPECT_NE(warnings.find("replaces documents that were added"), std::string::npos) << warnings;
  EXPECT_NE(warnings.find("zebra"), std::string::npos) << warnings;
}

TEST(Node, HasItsCorpusPutAgainWhereTheStoredOneIsDamaged) {
  const tests::TemporaryFolder folder;
  EXPECT_EQ(sections_of_a_life(folder.path(), std::nullopt).value(), 1U);
  {
    const auto store = storage::RocksStore::open(folder.path());
    ASSERT_TRUE(store) << store.error().message;
    const auto records = (*store)->scan(storage::Column::corpus, "", "", 100);
    ASSERT_TRUE(records);
    storage::WriteBatch batch;
    for (const auto& [key, value] : *records)
      batch.puts.push_back({storage::Column::corpus, key, value.substr(0, value.size() / 2)});
    for (const auto& written : (*store)->write({batch})) ASSERT_TRUE(written);
  }
  const auto damaged = sections_of_a_life(folder.path(), std::nullopt);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::corrupt);
  EXPECT_NE(damaged.error().message.find("--corpus"), std::string::npos) << damaged.error().message;
  EXPECT_EQ(sections_of_a_life(folder.path(), std::vector<storage::Section>{section("Feed the cat.")}).value(), 1U);
  EXPECT_EQ(sections_of_a_life(folder.path(), std::nullopt).value(), 1U) << "and is whole from then on";
}

TEST(Node, ListensOnThisMachineOnly) {
  const tests::TemporaryFolder folder;
  NodeOptions options;
  options.name = "one";
  options.data = folder.path();
  options.routing = policy::default_policy();
  for (const char* address : {"0.0.0.0:7500", "example.org:7500"}) {
    options.cluster_address = address;
    const auto node = Node::start(options);
    ASSERT_FALSE(node);
    EXPECT_EQ(node.error().code, ErrorCode::unsupported);
    EXPECT_NE(node.error().message.find(address), std::string::npos) << node.error().message;
  }
  options.cluster_address = "nowhere";
  EXPECT_EQ(Node::start(options).error().code, ErrorCode::invalid_argument);
  for (const char* address : {"[::1]:7500", "::1:7500"}) {
    options.cluster_address = address;
    const auto node = Node::start(options);
    ASSERT_FALSE(node);
    EXPECT_NE(node.error().message.find("is an IPv6 address"), std::string::npos) << node.error().message;
    EXPECT_NE(node.error().message.find("127.0.0.1:7500"), std::string::npos) << node.error().message;
  }
}

TEST(Node, DoesNotWaitForItself) {
  NodeOptions options;
  options.name = "one";
  options.cluster_address = "127.0.0.1:7500";
  for (const auto& [other, words] : {std::pair("localhost:7500", "own --cluster"), {"[::1]:7501", "[::1]:7501"}}) {
    const tests::TemporaryFolder folder;
    options.data = folder.path();
    options.join = {"127.0.0.1:7500", other};
    const auto node = Node::start(options);
    ASSERT_FALSE(node);
    EXPECT_NE(node.error().message.find(words), std::string::npos) << node.error().message;
  }
}

}  // namespace
}  // namespace troupe::actors
