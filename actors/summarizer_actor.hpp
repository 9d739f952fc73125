// Writes summaries for a node's conversations, a few at a time: what was said before and some exchanges become the next
// summary, by the smallest tier of the portfolio, greedily, so that the summary is a function of what it is made from.
#pragma once

#include <deque>
#include <list>
#include <memory>

#include "actors/context.hpp"
#include "actors/model_call.hpp"
#include "actors/services.hpp"

namespace troupe::actors {

using SummarizerActorImpl = SummarizerActor::extend<takes<Continuation>>;

class SummarizerState {
 public:
  explicit SummarizerState(SummarizerActorImpl::pointer self) : self_(self) {}
  static inline const char* name = "summarizer";
  static constexpr std::size_t running_max = 8;
  static constexpr std::size_t waiting_max = 1024;

  SummarizerActorImpl::behavior_type start(NodeContextPtr context);

 private:
  struct Job {
    SummaryWork work;
    caf::typed_response_promise<SummaryText> promise;
    std::shared_ptr<ModelCall> call;  ///< empty while it waits
  };

  caf::result<SummaryText> on_work(const SummaryWork& work);
  void begin(Job& job);
  void on_reply(const schemas::AttemptKey& key, Result<ModelCall::Reply> reply);
  void drive();

  SummarizerActorImpl::pointer self_;
  NodeContextPtr context_;
  std::list<Job> jobs_;  ///< the first `running_max` run
  bool driving_ = false;
};

SummarizerActorImpl::behavior_type summarizer_actor(SummarizerActorImpl::stateful_pointer<SummarizerState> self,
                                                    NodeContextPtr context);

}  // namespace troupe::actors
