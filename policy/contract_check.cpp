#include "policy/contract_check.hpp"

#include <algorithm>
#include <string>

namespace troupe::policy {

namespace {

using Weight = PolicyFinding::Weight;

/// A label of the classifier has up to four tokens in the bundled models' vocabulary.
constexpr std::int32_t intent_answer_tokens_min = 4;

class StageChecker {
 public:
  StageChecker(const RoutingPolicy& policy, Stage stage, std::vector<PolicyFinding>& findings)
      : policy_(policy), stage_(stage), contract_(policy.contracts[place_of(stage)]), findings_(findings) {}

  void run() {
    check_deadline();
    check_fallback();
    check_prompt();
    check_answer();
  }

 private:
  void find(const std::string& what, ErrorCode code = ErrorCode::invalid_argument, Weight weight = Weight::error) {
    findings_.push_back({weight, code, "", "stage " + std::string(to_string(stage_)) + " " + what});
  }

  void check_deadline() {
    if (contract_.deadline_ms >= 1 && contract_.deadline_ms <= Ask::deadline_limit_ms) return;
    find("has a deadline_ms of " + std::to_string(contract_.deadline_ms) + ", which " +
             (contract_.deadline_ms < 1 ? "nothing can meet" : "no turn has") + "; expected 1 to " +
             std::to_string(Ask::deadline_limit_ms),
         ErrorCode::out_of_range);
  }

  void check_fallback() {
    const auto has = fallbacks_of(stage_);
    if (std::find(has.begin(), has.end(), contract_.fallback) == has.end()) {
      std::string names;
      for (const Fallback each : has) names += (names.empty() ? "" : " or ") + std::string(to_string(each));
      return find("falls back on " + std::string(to_string(contract_.fallback)) + ", which it does not have; expected " +
                  names);
    }
    if (contract_.fallback == Fallback::quote && policy_.when_unsure.empty()) {
      find("falls back on a quote, and the policy has no words for one: turns end with when_all_failed; add when_unsure",
           ErrorCode::invalid_argument, Weight::warning);
    }
  }

  /// The most that whoever reads for this stage may read.
  std::int32_t readable() const {
    std::int32_t most = 0;
    for (const Tier tier : policy_.portfolio) {
      const bool classifies = stage_ == Stage::intent && tier == policy_.classifier();
      if (stage_ == Stage::reasoning || tier == policy_.smallest() || classifies)
        most = std::max(most, policy_.prompt_tokens[place_of(tier)]);
    }
    // A search is read by no model; for a summary the smallest tier reads as much as it holds.
    return stage_ == Stage::retrieval || stage_ == Stage::summary ? RoutingPolicy::tokens_limit : most;
  }

  void check_prompt() {
    if (!contract_.prompt_tokens_max) return;
    const std::int32_t most = readable();
    if (*contract_.prompt_tokens_max >= 1 && *contract_.prompt_tokens_max <= most) return;
    find("has a prompt_tokens_max of " + std::to_string(*contract_.prompt_tokens_max) + ", and what reads it reads at most " +
             std::to_string(most) + "; expected 1 to that",
         ErrorCode::out_of_range);
  }

  void check_answer() {
    if (!contract_.answer_tokens_max) return;
    const std::int32_t least = stage_ == Stage::intent ? intent_answer_tokens_min : 1;
    const std::int32_t most = stage_ == Stage::retrieval ? RoutingPolicy::tokens_limit : Ask::tokens_limit;
    if (*contract_.answer_tokens_max >= least && *contract_.answer_tokens_max <= most) return check_labels_fit();
    find("has an answer_tokens_max of " + std::to_string(*contract_.answer_tokens_max) + ", expected " + std::to_string(least) +
             " to " + std::to_string(most),
         ErrorCode::out_of_range);
  }

  /// Which labels fit is known of the bundled models' own; of others, that a token is a byte at least.
  void check_labels_fit() {
    if (stage_ != Stage::intent || policy_.intent.labels == handbook_intent().labels) return;
    std::size_t longest = 0;
    for (const IntentLabel& label : policy_.intent.labels) longest = std::max(longest, label.name.size());
    if (static_cast<std::size_t>(*contract_.answer_tokens_max) > longest) return;
    find("has an answer_tokens_max of " + std::to_string(*contract_.answer_tokens_max) + ", and a label of " +
             std::to_string(longest) + " bytes may take as many tokens and one for its end; a reply that is cut off is unknown",
         ErrorCode::invalid_argument, Weight::warning);
  }

  const RoutingPolicy& policy_;
  Stage stage_;
  const Contract& contract_;
  std::vector<PolicyFinding>& findings_;
};

}  // namespace

void check_stages(const RoutingPolicy& policy, std::vector<PolicyFinding>& findings) {
  if (policy.portfolio.empty()) return;
  for (const Stage stage : stages) StageChecker(policy, stage, findings).run();
}

}  // namespace troupe::policy
