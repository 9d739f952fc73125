// What a retriever answers: from the search of a corpus, or from what was said to belong to a question.
#include "actors/retriever_actor.hpp"

#include <gtest/gtest.h>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <memory>

namespace troupe::actors {
namespace {

class Retrieval : public testing::Test {
 protected:
  Retrieval() {
    config_.add_message_types<caf::id_block::troupe>();
    config_.set("scheduler.policy", caf::atom("testing"));
    config_.set("logger.verbosity", caf::atom("quiet"));
    system_ = std::make_unique<caf::actor_system>(config_);
    system_->await_actors_before_shutdown(false);
  }
  ~Retrieval() override {
    stop(retriever_);
    run();
  }
  void run() { dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler()).run(); }
  void start(FindSections find = {}) {
    auto corpus = storage::make_corpus({{"rules#1", "Rules §1", "The clerk locks the doors."},
                                        {"rules#2", "Rules §2", "Lamps are switched off by the porter."}});
    ASSERT_TRUE(corpus);
    auto context = std::make_shared<NodeContext>();
    context->corpus.store(std::make_shared<const IndexedCorpus>(*std::move(corpus), std::move(find)));
    retriever_ = caf::actor_cast<RetrieverActor>(system_->spawn(retriever_actor, std::move(context)));
  }
  SearchResult search(const std::string& text, std::int32_t passages_max = 8) {
    auto found = std::make_shared<SearchResult>();
    system_->spawn([retriever = retriever_, found, query = SearchQuery{text, passages_max}](caf::event_based_actor* self) {
      self->request(retriever, caf::infinite, query)
          .then([found](const SearchResult& result) { *found = result; }, [](const caf::error&) { ADD_FAILURE(); });
    });
    run();
    return *found;
  }
  static std::string keys(const SearchResult& result) {
    std::string all;
    for (const FoundPassage& found : result.passages) all += found.passage.section + " ";
    return all;
  }

  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  RetrieverActor retriever_;
};

TEST_F(Retrieval, SearchesTheCorpusAndSaysHowFarToTrustIt) {
  start();
  const SearchResult found = search("Who locks the doors?", 1);
  EXPECT_EQ(keys(found), "rules#1 ");
  EXPECT_EQ(found.passages.at(0).text, "The clerk locks the doors.");
  EXPECT_TRUE(found.confidence.has_value());
  EXPECT_FALSE(found.corpus_version.empty());
  EXPECT_FALSE(search("Xylophones?").confidence.has_value());
}

TEST_F(Retrieval, TakesWhatBelongsToAQuestionWithoutASearch) {
  start([](const std::string& question) {
    return question == "Who?" ? std::vector<std::string>{"rules#2", "none#1", "rules#1"} : std::vector<std::string>{};
  });
  const SearchResult found = search("Who?");
  EXPECT_EQ(keys(found), "rules#2 rules#1 ");
  EXPECT_FALSE(found.confidence.has_value());
  EXPECT_EQ(keys(search("Who?", 1)), "rules#2 ");
  EXPECT_EQ(keys(search("Who locks the doors?")), "");
}

}  // namespace
}  // namespace troupe::actors
