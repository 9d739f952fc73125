// Changes of a corpus over real sockets: pieces that fit together or not, and changes that nobody finishes.
#include <capnp/rpc-twoparty.h>
#include <gtest/gtest.h>
#include <kj/async-io.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/rpc_server.hpp"
#include "tests/gateway/memory_front.hpp"

namespace troupe::gateway {
namespace {

namespace client = schemas::client;

/// An operator as bare as they come.
struct Dialled {
  Dialled(kj::AsyncIoContext& io, const std::string& address)
      : scope(io.waitScope),
        stream(io.provider->getNetwork().parseAddress(address.c_str()).wait(io.waitScope)->connect().wait(io.waitScope)),
        rpc(*stream),
        operating(enter()) {}

  client::Operator::Client enter() {
    auto request = rpc.bootstrap().castAs<client::Door>().operateRequest();
    request.setProtocol(client::PROTOCOL_VERSION);
    return request.send().wait(scope).getOutcome().getValue().getOperator();
  }
  client::CorpusChange::Client begin() {
    return operating.changeCorpusRequest().send().wait(scope).getOutcome().getValue().getChange();
  }

  kj::WaitScope& scope;
  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyClient rpc;
  client::Operator::Client operating;
};

struct Piece {
  std::string name;
  int first = 1;
  int sections = 1;
  bool continues = false;
  std::size_t text_bytes = 4;
};

std::string code_of(const auto& response) {
  const auto outcome = response.getOutcome();
  return outcome.isFailure() ? std::string(outcome.getFailure().getCode().cStr()) : "none";
}

std::string put(Dialled& peer, client::CorpusChange::Client change, const std::vector<Piece>& pieces) {
  auto request = change.putRequest();
  auto documents = request.initDocuments(static_cast<unsigned>(pieces.size()));
  for (unsigned i = 0; i < pieces.size(); ++i) {
    documents[i].setName(pieces[i].name.c_str());
    documents[i].setContinues(pieces[i].continues);
    auto sections = documents[i].initSections(static_cast<unsigned>(pieces[i].sections));
    for (unsigned j = 0; j < sections.size(); ++j) {
      const std::string number = std::to_string(pieces[i].first + static_cast<int>(j));
      schemas::write(sections[j],
                     policy::Section{pieces[i].name + "#" + number, number, std::string(pieces[i].text_bytes, 'x')});
    }
  }
  return code_of(request.send().wait(peer.scope));
}

std::string apply(Dialled& peer, client::CorpusChange::Client change) {
  return code_of(change.applyRequest().send().wait(peer.scope));
}

TEST(CorpusChanges, AreAppliedWholeWhenTheyAreToldTo) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto change = peer.begin();
  EXPECT_EQ(put(peer, change, {{"a", 1, 2}, {"b", 1, 3}}), "none");
  EXPECT_EQ(put(peer, change, {{"b", 4, 2, true}, {"c"}}), "none");
  EXPECT_TRUE(front.stored_documents().empty());
  const auto applied = change.applyRequest().send().wait(io.waitScope);
  EXPECT_EQ(applied.getOutcome().getValue().getDocuments(), 3U);
  EXPECT_EQ(applied.getOutcome().getValue().getSections(), 8U);
  const auto documents = front.stored_documents();
  ASSERT_EQ(documents.size(), 3U);
  EXPECT_EQ(documents[1].sections.size(), 5U) << "a document may come in pieces";
  EXPECT_EQ(documents[1].sections[4].key, "b#5");
  EXPECT_EQ(apply(peer, change), "invalid_argument") << "it is over";
  EXPECT_EQ(put(peer, change, {{"d"}}), "invalid_argument");
}

TEST(CorpusChanges, ThatNobodyAppliesChangeNothingAndMakeRoom) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  const std::uint32_t limit = GatewayLimits().corpus_changes;
  {
    auto lost = std::make_unique<Dialled>(io, gateway.address());
    std::vector<client::CorpusChange::Client> held;
    for (std::uint32_t i = 0; i < limit; ++i) {
      held.push_back(lost->begin());
      EXPECT_EQ(put(*lost, held.back(), {{"a"}}), "none");
    }
    Dialled other(io, gateway.address());
    const auto refused = other.operating.changeCorpusRequest().send().wait(io.waitScope);
    EXPECT_EQ(code_of(refused), "overloaded") << "those of all connections count";
    held.pop_back();
    while (code_of(other.operating.changeCorpusRequest().send().wait(io.waitScope)) != "none") {
    }
  }
  Dialled peer(io, gateway.address());
  // The connection that held the others is gone, and the node hears of it.
  while (code_of(peer.operating.changeCorpusRequest().send().wait(io.waitScope)) != "none") {
  }
  EXPECT_TRUE(front.stored_documents().empty());
}

TEST(CorpusChanges, AreOverWithACallThatIsRefused) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto change = peer.begin();
  EXPECT_EQ(put(peer, change, {{"a"}}), "none");
  EXPECT_EQ(put(peer, change, {{"b", 2, 1, true}}), "invalid_argument") << "what goes on must have begun";
  EXPECT_EQ(apply(peer, change), "invalid_argument") << "half of it is not applied";
  EXPECT_TRUE(front.stored_documents().empty());

  auto larger = peer.begin();
  std::string code = "none";
  int calls = 0;
  for (; code == "none" && calls < 200; ++calls) {
    code = put(peer, larger, {{"d" + std::to_string(calls), 1, 10, false, 60000}});
  }
  EXPECT_EQ(code, "too_large");
  EXPECT_EQ(calls, (64 << 20) / 600000 + 1) << "what no corpus may have is not collected";
  EXPECT_EQ(apply(peer, larger), "invalid_argument");

  auto removing = peer.begin();
  auto request = removing.removeRequest();
  request.initNames(schemas::ClientLimits::documents + 1);
  EXPECT_EQ(code_of(request.send().wait(io.waitScope)), "too_large");
}

TEST(CorpusChanges, AreRefusedByTheNodeWithItsReason) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto change = peer.begin();
  auto request = change.removeRequest();
  request.initNames(1).set(0, "nothing");
  EXPECT_EQ(code_of(request.send().wait(io.waitScope)), "none");
  EXPECT_EQ(apply(peer, change), "not_found");
}

TEST(CorpusChanges, AndSearchesAreTheOperatorsAndHaveBounds) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  const auto search = [&](std::uint32_t limit, const std::string& question) {
    auto request = peer.operating.searchCorpusRequest();
    request.setQuestion(question.c_str());
    request.setLimit(limit);
    return code_of(request.send().wait(io.waitScope));
  };
  EXPECT_EQ(search(8, "x"), "none");
  EXPECT_EQ(search(0, "x"), "out_of_range");
  EXPECT_EQ(search(65, "x"), "out_of_range");
  EXPECT_EQ(search(8, std::string(policy::SearchHits::question_bytes_max + 1, 'x')), "out_of_range");
}

}  // namespace
}  // namespace troupe::gateway
