// Sees to the experts of its node: that it holds those that it is to hold, that engines know whom to ask, that somebody loads
// what engines miss, and, while an operator drains the node, that others hold what only it has. policy/expert_duty.hpp decides,
// node_experts.hpp does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/node_experts.hpp"

namespace troupe::actors {

using ExpertActor = caf::typed_actor<on<schemas::ExpertLoad>::gives<schemas::ExpertLoaded>, takes<Continuation>>;

class ExpertState {
 public:
  explicit ExpertState(ExpertActor::pointer self) : self_(self) {}
  static inline const char* name = "experts";
  static constexpr Duration tick_every = std::chrono::milliseconds(100);
  /// After which a node is asked again to load what it has not loaded.
  static constexpr Duration load_timeout = std::chrono::seconds(30);
  static constexpr Duration again_after = std::chrono::seconds(1);
  /// How long engines miss experts, so that their homes may come (back), before others load them. Engines say at least so often
  /// that they do.
  static constexpr Duration rescue_after = std::chrono::milliseconds(400);
  /// How long the homes of what was loaded in an emergency have it again before that is given up.
  static constexpr Duration extra_kept = std::chrono::seconds(10);
  /// How long others hold what a node that leaves has before it lets go of it: by then all of them have seen that it leaves,
  /// and no longer take it for the home of what they have loaded.
  static constexpr Duration handed_over_after = std::chrono::seconds(3);
  static constexpr std::size_t loads_max = 64;  ///< asked of this node and not answered

  ExpertActor::behavior_type start(NodeContextPtr context, std::shared_ptr<NodeExperts> experts);

 private:
  struct Load {
    policy::NodeId node;  ///< empty: nobody has room
    policy::ExpertSelection experts;
    TimePoint until{};  ///< not asked for again before
  };
  using Loads = std::vector<Load>;
  /// Experts that were loaded in an emergency.
  struct Extra {
    const ExpertModel* model = nullptr;
    policy::ExpertSelection experts;
    TimePoint since{};  ///< when they were first seen at home, or again
  };
  struct Missed {
    TimePoint since{};
    TimePoint last{};
  };

  caf::result<schemas::ExpertLoaded> on_load(const schemas::ExpertLoad& load);
  void tick();
  void look_after(const ExpertModel& model, const std::vector<policy::NodeView>& nodes);
  void warn_of_other_placements(const ExpertModel& model, const std::vector<policy::NodeView>& nodes);
  void hold_what_is_placed(const ExpertModel& model, const policy::ExpertSelection& held);
  /// Has other nodes, or this one, load experts, unless they were asked a moment ago.
  void have_loaded(const ExpertModel& model, policy::ExpertSelection missing, const std::vector<policy::NodeView>& nodes);
  /// What engines miss has been missed for a while.
  void rescue(const ExpertModel& model, const policy::ExpertSelection& missing, const std::vector<policy::NodeView>& nodes);
  void ask(const ExpertModel& model, const policy::NodeId& node, const policy::ExpertSelection& experts);
  void load_here(const ExpertModel& model, const policy::ExpertSelection& experts,
                 std::function<void(const Result<void>&)> then);
  /// What was asked for and is still on its way: not what was asked of a node that is gone since.
  policy::ExpertSelection under_way(const ExpertModel& model, const std::vector<policy::NodeView>& nodes);
  /// Of experts that nobody else has, so many are left. Returns how many there still are to hand over.
  std::int64_t leave(std::int64_t alone);
  void give_up_extra(const std::vector<policy::NodeView>& nodes);

  ExpertActor::pointer self_;
  NodeContextPtr context_;
  std::shared_ptr<NodeExperts> experts_;
  std::map<const ExpertModel*, Loads> asked_for_;
  std::map<const ExpertModel*, Missed> missed_;
  std::map<const ExpertModel*, TimePoint> own_again_;                        ///< when what is placed here may be loaded again
  std::vector<Extra> extras_;                                                ///< that are at home
  std::map<const ExpertModel*, std::vector<policy::NodeId>> others_placed_;  ///< as it was said last
  std::optional<TimePoint> handed_over_;  ///< since when others hold all, while the node leaves
  std::size_t loads_ = 0;
};

ExpertActor::behavior_type expert_actor(ExpertActor::stateful_pointer<ExpertState> self, NodeContextPtr context,
                                        std::shared_ptr<NodeExperts> experts);

}  // namespace troupe::actors
