// The client library's part in changing a corpus, against real gateways.
#include "clients/cpp/corpus.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "tests/clients/cpp/quick_client.hpp"
#include "tests/gateway/memory_front.hpp"

namespace troupe::clients {
namespace {

policy::Document document(const std::string& name, std::size_t sections = 1, std::size_t text_bytes = 10) {
  policy::Document made{name, "hash of " + name, {}};
  for (std::size_t i = 1; i <= sections; ++i) {
    const std::string number = std::to_string(i);
    made.sections.push_back({name + "#" + number, name + " §" + number, std::string(text_bytes, 'x') + number, "Heading"});
  }
  return made;
}

TEST(ClientCorpus, SendsALargeChangeInPiecesAndListsItInPages) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  policy::CorpusChange change;
  change.documents.push_back(document("large", 40, 60000));  // more than a frame
  for (int i = 0; i < 3000; ++i) change.documents.push_back(document("small" + std::to_string(10000 + i)));
  std::vector<double> sent;
  const auto view = client.change_corpus(change, [&](double share) { sent.push_back(share); });
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->node, "a");
  EXPECT_EQ(view->documents, 3001U);
  EXPECT_EQ(front.stored_documents(), change.documents) << "to the last byte";
  EXPECT_TRUE(std::is_sorted(sent.begin(), sent.end()));
  const auto listed = client.documents();
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 3001U);
  EXPECT_EQ(listed->front(), (policy::DocumentEntry{"large", "hash of large", 40}));
  EXPECT_EQ(listed->back().name, "small12999");
}

TEST(ClientCorpus, RemovesAndSearches) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  ASSERT_TRUE(client.change_corpus({{document("a"), document("b")}, {}}));
  const auto hits = client.search_corpus("xxx1", 8);
  ASSERT_TRUE(hits);
  ASSERT_EQ(hits->hits.size(), 2U);
  EXPECT_EQ(hits->hits[0].section, document("a").sections[0]);
  EXPECT_EQ(hits->evidence.covered, 0.5);
  EXPECT_EQ(client.search_corpus("xxx1", 1)->hits.size(), 1U);
  EXPECT_EQ(client.search_corpus(std::string(1 << 20, 'x'), 1).error().code, ErrorCode::too_large);
  EXPECT_EQ(client.change_corpus({{}, {"a"}})->documents, 1U);
  const auto refused = client.change_corpus({{document("c")}, {"a"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::not_found);
  EXPECT_EQ(client.documents()->size(), 1U);
}

TEST(ClientCorpus, SaysWhetherAnInterruptedChangeMayHaveHappened) {
  MemoryFront front;
  front.fall_silent();
  const ServedGateway gateway(front);
  std::atomic<bool> interrupt{false};
  const Client client = connected({gateway.address()}, quick_until(interrupt));
  const auto interrupted = client.change_corpus({{document("a")}, {}}, [&](double share) { interrupt = share == 1; });
  ASSERT_FALSE(interrupted);
  EXPECT_EQ(interrupted.error().code, ErrorCode::cancelled);
  EXPECT_NE(interrupted.error().message.find("is not known"), std::string::npos) << interrupted.error().message;
}

TEST(ClientCorpus, WaitsForANodeThatIndexesAndGivesUpOneThatIsLost) {
  MemoryFront front;
  front.fall_silent();
  auto gateway = std::make_unique<ServedGateway>(front);
  const Client client = connected({gateway->address()});
  int glances = 0;
  // It says nothing for longer than a reply may take, but it is there; then it is gone.
  const auto lost = client.change_corpus({{document("a")}, {}}, [&](double /*share*/) {
    if (++glances == 30) gateway.reset();
  });
  ASSERT_FALSE(lost);
  EXPECT_GE(glances, 30);
  EXPECT_EQ(lost.error().code, ErrorCode::unavailable);
  EXPECT_NE(lost.error().message.find("is not known"), std::string::npos) << lost.error().message;
}

}  // namespace
}  // namespace troupe::clients
