#include "policy/shadow.hpp"

#include <algorithm>
#include <utility>

#include "policy/citation.hpp"
#include "policy/routing_replay.hpp"
#include "policy/statement.hpp"
#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

std::vector<std::string> sorted(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  return texts;
}

ShadowRecord begun(const std::string& experiment, const Turn& client) {
  ShadowRecord record;
  record.experiment = experiment;
  record.turn = client.id;
  record.question = first_bytes(client.ask.question, ShadowRecord::question_bytes_max);
  record.client = answer_of(client);
  return record;
}

}  // namespace

std::string_view to_string(ShadowFate fate) {
  switch (fate) {
    case ShadowFate::compared: return "compared";
    case ShadowFate::failed: return "failed";
    case ShadowFate::dropped: return "dropped";
  }
  return "unknown";
}

Result<ShadowArm> make_arm(const RoutingPolicy& own, const ShadowExperiment& experiment,
                           const std::optional<RoutingPolicy>& other) {
  ShadowArm arm{experiment, other.value_or(own)};
  if (other && !other->shadow.empty()) {
    return Error{ErrorCode::invalid_argument, "shadow \"" + experiment.name + "\": the policy " + experiment.policy +
                                                  " has shadows of its own, and a shadow has none; remove them from it"};
  }
  arm.policy.shadow.clear();
  auto& portfolio = arm.policy.portfolio;
  if (experiment.tier && std::find(portfolio.begin(), portfolio.end(), *experiment.tier) == portfolio.end()) {
    portfolio.insert(std::upper_bound(portfolio.begin(), portfolio.end(), *experiment.tier), *experiment.tier);
  }
  return arm;
}

Turn without_tokens(Turn turn) {
  for (Attempt& attempt : turn.attempts) {
    attempt.plan.prompt.clear();
    attempt.plan.messages.clear();
    if (attempt.result) attempt.result->emissions.clear();
  }
  return turn;
}

Result<RouteDecision> shadow_route(const ShadowArm& arm, const Turn& turn) {
  auto facts = facts_of(turn);
  if (!facts) return Error{ErrorCode::invalid_argument, "the turn was answered without an attempt"};
  if (arm.experiment.tier) facts->requested = arm.experiment.tier;
  return route(arm.policy, *facts);
}

bool is_served(const std::vector<NodeView>& nodes, Tier tier) {
  return std::any_of(nodes.begin(), nodes.end(), [&](const NodeView& node) {
    return node.state != NodeState::gone && std::any_of(node.replicas.begin(), node.replicas.end(),
                                                        [&](const ReplicaView& replica) { return replica.tier == tier; });
  });
}

bool has_room(const std::vector<NodeView>& nodes, Tier tier) {
  if (!is_served(nodes, tier)) return true;
  return std::any_of(nodes.begin(), nodes.end(), [&](const NodeView& node) {
    return node.state != NodeState::gone &&
           std::any_of(node.replicas.begin(), node.replicas.end(),
                       [&](const ReplicaView& replica) { return replica.tier == tier && replica.waiting == 0; });
  });
}

ShadowAnswer answer_of(const Turn& turn) {
  ShadowAnswer answer;
  double engine_seconds = 0;
  for (const Attempt& attempt : turn.attempts) {
    answer.tiers.push_back(attempt.plan.tier);
    if (!attempt.result) continue;
    const AttemptResult& result = *attempt.result;
    const int computed = std::max(0, result.prompt_tokens - result.reused_tokens + result.generated_tokens);
    answer.cost += result.cost;
    answer.computed += static_cast<double>(computed) * static_cast<double>(result.active_parameters);
    answer.failed_check = first_bytes(result.failed_check, ShadowAnswer::why_bytes_max);
    engine_seconds += result.seconds;
  }
  answer.engine_ms = static_cast<std::int64_t>(engine_seconds * 1000 + 0.5);
  answer.whole_ms = std::max<std::int64_t>(0, turn.ended_ms - turn.accepted_ms);
  if (!turn.outcome || !turn.outcome->committed) return answer;
  answer.text = first_bytes(turn.outcome->answer, ShadowAnswer::text_bytes_max);
  for (const Passage& passage : turn.outcome->citations) answer.citations.push_back(passage.section);
  answer.confidence = turn.outcome->confidence;
  answer.confident = turn.outcome->confident;
  answer.doubt = first_bytes(turn.outcome->doubt, ShadowAnswer::why_bytes_max);
  return answer;
}

ShadowRecord compare(const std::string& experiment, const Turn& client, const Turn& shadow) {
  ShadowRecord record = begun(experiment, client);
  record.at_ms = shadow.ended_ms;
  record.shadow = answer_of(shadow);
  const std::string& one = client.outcome->answer;
  const std::string& other = shadow.outcome->answer;
  record.same_text = same_answer(one, other);
  record.same_citations = sorted(record.client.citations) == sorted(record.shadow.citations);
  record.same_values = values_of(one) == values_of(other);
  return record;
}

ShadowRecord not_compared(const std::string& experiment, const Turn& client, const Turn* shadow, ShadowFate fate,
                          const std::string& why) {
  ShadowRecord record = begun(experiment, client);
  record.fate = fate;
  record.why = first_bytes(why, ShadowAnswer::why_bytes_max);
  if (shadow == nullptr) {
    // What was never begun is counted; there is nothing to read side by side.
    record.question.clear();
    record.client.text.clear();
  } else {
    record.shadow = answer_of(*shadow);
  }
  return record;
}

}  // namespace troupe::policy
