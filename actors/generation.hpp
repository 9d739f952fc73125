// One attempt, seen from its home: placed on a replica, kept in touch with, its tokens put in order, moved to another replica
// of the same class when its node is lost. Tokens may come late, twice or not at all; what comes out is each once, in order.
// An attempt of a remote model is begun once: it neither moves nor is it repeated, but may be lost.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/context.hpp"
#include "policy/placement.hpp"

namespace troupe::actors {

/// How an actor speaks to engines.
struct EngineLink {
  std::function<void(const EngineActor&, schemas::EnginePrepare, std::function<void(Result<schemas::EnginePrepared>)>)> prepare;
  std::function<void(const EngineActor&, schemas::EngineGenerate)> generate;
  std::function<void(const EngineActor&, schemas::EngineRelease)> release;
};

inline constexpr Duration prepare_timeout = std::chrono::seconds(2);

template <class Self>
EngineLink engine_link(Self* self) {
  return {
      [self](const EngineActor& engine, schemas::EnginePrepare request,
             std::function<void(Result<schemas::EnginePrepared>)> done) {
        self->request(engine, prepare_timeout, std::move(request))
            .then([done](schemas::EnginePrepared& prepared) { done(std::move(prepared)); },
                  [done](caf::error& error) { done(from_caf(error, "asking an engine for tokens")); });
      },
      [self](const EngineActor& engine, schemas::EngineGenerate generate) { self->send(engine, std::move(generate)); },
      [self](const EngineActor& engine, schemas::EngineRelease release) { self->send(engine, std::move(release)); },
  };
}

/// The engine at a place, if it can be reached now.
EngineActor engine_at(const Cluster& cluster, const policy::ReplicaPlace& place);
std::vector<policy::NodeView> views_of(const Cluster& cluster);
/// Where a question to a tier is prepared: where it would run. `before`: where the conversation ran last.
std::optional<policy::ReplicaPlace> place_for(const NodeContext& context, const Cluster& cluster, policy::Tier tier,
                                              const std::optional<policy::ReplicaPlace>& before = std::nullopt);

class Generation {
 public:
  struct Job {
    schemas::AttemptKey key;
    std::uint64_t epoch = 0;
    policy::ModelClass model;
    schemas::EngineRequest request;
    std::int64_t deadline_ms = 0;  ///< since 1970
  };
  /// How it ended: a result with all its emissions, or an error that no other replica would mend.
  using End = Result<policy::AttemptResult>;

  /// Nothing is sent before the first `drive()`. `before`: where the conversation ran last.
  Generation(NodeContextPtr context, EngineLink link, Job job, std::optional<policy::ReplicaPlace> before);
  /// Lets the engine forget the attempt.
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  /// Places the attempt if it is not placed, or elsewhere if its node is being drained and another one has the model; asks
  /// again if nothing was heard for a while. To be called now and then.
  void drive();
  /// It runs there already, for an earlier home: that is where it goes on, if the place is still good.
  void runs_at(const policy::ReplicaPlace& place) { place_ = place; }
  /// Leaves the attempt to whoever is home next: nobody tells its engine to forget it.
  void let_go() { place_.reset(); }
  /// Those of the emissions that are next, in order.
  std::vector<policy::Emission> take(const schemas::EngineEmissions& emissions);
  /// The end, if this is it; what is missing is asked for again.
  std::optional<End> take(const schemas::EngineFinished& finished);

  const schemas::AttemptKey& key() const { return job_.key; }
  const std::vector<policy::Emission>& emissions() const { return emissions_; }
  const std::optional<policy::ReplicaPlace>& place() const { return place_; }
  /// It took longer than it may: others are asked for a while before the replica that has it.
  void tell_late() const;
  /// What has come, if nothing more is waited for.
  policy::AttemptResult cut_short(const policy::AttemptPlan& plan, std::string_view finish_reason) const;
  /// Why the last engine could not go on, if the attempt was to be repeated.
  const std::optional<Error>& trouble() const { return trouble_; }
  /// Why an attempt of a remote model that has begun will not end. Another attempt may take its place.
  const std::optional<Error>& lost() const { return lost_; }
  bool remote() const { return job_.model.remote(); }

 private:
  /// What nodes hold of the prompt, as far as this one has heard.
  policy::ExpectedReuse expected_reuse(const std::vector<policy::NodeView>& views) const;
  /// Whether the attempt had better run elsewhere, and can.
  bool should_move(const Cluster& cluster) const;
  std::vector<policy::ReplicaPlace> places(const Cluster& cluster, const std::vector<policy::NodeView>& views) const;
  /// `anew`: the engine does not have the attempt yet.
  void send(const EngineActor& engine, bool anew = false);
  void leave();
  void lose(std::string why);

  NodeContextPtr context_;
  EngineLink link_;
  Job job_;
  std::optional<policy::ReplicaPlace> place_;   ///< where it runs
  std::optional<policy::ReplicaPlace> before_;  ///< where to go if there is a choice
  std::vector<policy::Emission> emissions_;
  std::optional<Error> trouble_;
  std::optional<Error> lost_;
  std::int32_t next_index_ = 0;
  std::optional<TimePoint> begun_;
  TimePoint sent_{};   ///< when the engine was last asked
  TimePoint heard_{};  ///< when it was last heard of
  TimePoint not_before_{};
  bool tail_taken_ = false;
  bool ended_ = false;
};

}  // namespace troupe::actors
