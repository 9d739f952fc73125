#include "tests/sim/faulty_search.hpp"

#include <chrono>
#include <utility>
#include <vector>

#include "base/check.hpp"

namespace troupe::sim {

namespace {

using actors::SearchQuery;
using actors::SearchResult;
using FaultySearch = actors::RetrieverActor::extend<actors::takes<actors::Continuation>>;

struct FaultySearchState {
  static inline const char* name = "faulty search";
  std::uint64_t searches = 0;
  std::vector<caf::typed_response_promise<SearchResult>> unanswered;
};

caf::result<SearchResult> search(FaultySearch::stateful_pointer<FaultySearchState> self,
                                 const actors::RetrieverActor& retriever, const policy::Fault& fault,
                                 const SearchQuery& query) {
  using Kind = policy::Fault::Kind;
  if (++self->state.searches <= fault.after) return self->delegate(retriever, query);
  if (fault.kind == Kind::dead) return actors::to_caf({ErrorCode::unavailable, "the search is dead, on purpose"});
  auto promise = self->make_response_promise<SearchResult>();
  if (fault.kind == Kind::stuck) {
    self->state.unanswered.push_back(promise);
    return promise;
  }
  const Duration delay = std::chrono::milliseconds(fault.delay_ms);
  self->request(retriever, caf::infinite, query)
      .then(
          [self, delay, promise](const SearchResult& found) mutable {
            actors::after(self, delay, [promise, found]() mutable { promise.deliver(found); });
          },
          [promise](caf::error& error) mutable { promise.deliver(std::move(error)); });
  return promise;
}

}  // namespace

actors::RetrieverActor faulty_search(caf::actor_system& system, const actors::RetrieverActor& retriever,
                                     const policy::Fault& fault) {
  TROUPE_CHECK(fault.kind != policy::Fault::Kind::rubbish, "a search says nothing that could be rubbish");
  const auto behave = [retriever,
                       fault](FaultySearch::stateful_pointer<FaultySearchState> self) -> FaultySearch::behavior_type {
    actors::install_defaults(self);
    self->link_to(retriever);
    return {
        [self, retriever, fault](const SearchQuery& query) { return search(self, retriever, fault, query); },
        [self, retriever](const actors::SourceQuery& query) { return self->delegate(retriever, query); },
        [self, retriever](const actors::FrontSearchCorpus& search) { self->send(retriever, search); },
        [](const actors::Continuation& work) { work.run(); },
    };
  };
  return caf::actor_cast<actors::RetrieverActor>(system.spawn(behave));
}

}  // namespace troupe::sim
