// Answers a node's turns once more, for its experiments: after the client has its answer, when no client waits for the model, a
// few at a time, and from what that answer was made from. What comes of it goes into the node's log of shadows and nowhere
// else. What is in memory here is lost with the node; no client's turn depends on any of it.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/model_call.hpp"
#include "actors/services.hpp"
#include "policy/judgement.hpp"
#include "policy/shadow.hpp"
#include "storage/shadow_log.hpp"

namespace troupe::actors {

using ShadowActorImpl = ShadowActor::extend<takes<Continuation>>;

class ShadowState {
 public:
  explicit ShadowState(ShadowActorImpl::pointer self) : self_(self) {}
  static inline const char* name = "shadow";
  static constexpr policy::ShadowLimits limits{};
  /// Records that wait until it is known where the log goes on.
  static constexpr std::size_t unwritten_max = 256;

  ShadowActorImpl::behavior_type start(NodeContextPtr context);

 private:
  struct Job {
    std::uint64_t number = 0;  ///< unique here
    ShadowWork work;
    std::int64_t asked_ms = 0;
    // From here on once it runs.
    bool running = false;
    policy::RouteDecision route;
    policy::Turn turn;                         ///< the shadow's: its own attempts, with the client's question
    std::vector<policy::PassageText> sources;  ///< that its last attempt read
    std::shared_ptr<ModelCall> call;
  };
  using JobPlace = std::list<Job>::iterator;

  void on_work(const ShadowWork& work);
  void read_log();
  /// Does what there is to do: ends what is late, begins what has room, asks after what runs. To be called now and then.
  void drive();
  void end_late(std::int64_t now_ms);
  void begin_some(std::int64_t now_ms);
  void begin(Job& job, policy::RouteDecision route, std::int64_t now_ms);
  void attempt(Job& job, policy::Tier tier, const std::string& why);
  void on_reply(std::uint64_t number, Result<ModelCall::Reply> reply);
  /// `trouble`: why the last attempt failed, if it did.
  void judge(JobPlace job, const std::string& trouble);
  void commit(JobPlace job, const policy::Judgement& judgement);
  /// Ends the job without a comparison.
  void give_up(JobPlace job, policy::ShadowFate fate, const std::string& why);
  void keep(policy::ShadowRecord record);
  void write(const policy::ShadowRecord& record);
  bool is_draining() const { return context_->draining || context_->leaving; }
  const policy::ShadowArm& arm_of(const Job& job) const { return context_->shadows[job.work.arm]; }
  const std::string& name_of(const Job& job) const { return arm_of(job).experiment.name; }
  JobPlace find(std::uint64_t number);

  ShadowActorImpl::pointer self_;
  NodeContextPtr context_;
  std::list<Job> jobs_;  ///< in order of their coming
  std::uint64_t last_number_ = 0;
  bool driving_ = false;
  std::optional<storage::ShadowLogEnds> log_;  ///< none until it has been read
  std::vector<policy::ShadowRecord> unwritten_;
};

ShadowActorImpl::behavior_type shadow_actor(ShadowActorImpl::stateful_pointer<ShadowState> self, NodeContextPtr context);

}  // namespace troupe::actors
