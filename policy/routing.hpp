// Which tier answers a question, how it samples, and what happens when it is not sure. An ordered list of rules decides, the
// first that matches; the list comes from a file (schemas/routing_file.hpp) or is `default_policy()`.
//
// A route is a pure function of the policy and the question. What the cluster can reach at this moment decides only whether
// the question waits: a tier that is away is not silently replaced by another, or answers would depend on when they were asked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/ask.hpp"
#include "policy/contract.hpp"
#include "policy/intent.hpp"
#include "policy/portfolio.hpp"
#include "policy/shadow_experiment.hpp"
#include "policy/turn.hpp"

namespace troupe::policy {

template <class T>
using PerTier = std::array<T, tiers.size()>;  ///< ascending, indexed by `place_of`
constexpr std::size_t place_of(Tier tier) { return static_cast<std::size_t>(tier); }

/// All that are there must hold; an empty list or nothing is no condition.
struct RouteConditions {
  std::vector<Tier> requested;  ///< the client asks for one of these
  std::vector<Assurance> assurance;
  std::vector<Priority> priority;
  std::optional<std::int64_t> latency_budget_ms_max;  ///< the client has a budget, and at most this
  std::optional<std::int32_t> prompt_tokens_min;      ///< of the whole context, estimated
  std::optional<std::int32_t> prompt_tokens_max;
  std::optional<bool> grounded;   ///< whether passages of the corpus come with the question
  std::vector<std::string> kind;  ///< what the question was taken for, of the policy's labels
  std::vector<std::string> tenant;
  /// The corpus was searched, and what was found is trusted less than this (policy/retrieval.hpp).
  std::optional<double> retrieval_confidence_below;
  std::optional<double> kind_confidence_below = {};  ///< it was classified, and less surely than this
  friend bool operator==(const RouteConditions&, const RouteConditions&) = default;
};

/// `sampled`: as the rule says, whatever the client asked. What is held back is greedy in any case.
enum class SampleAs : std::uint8_t { as_asked, greedy, sampled };
std::string_view to_string(SampleAs sample);
std::optional<SampleAs> sample_as_of(std::string_view name);

struct RouteRule {
  std::string name;
  RouteConditions when;
  Tier start = Tier::mini;
  std::vector<Tier> escalate;        ///< ascending, above `start`
  PerTier<double> confidence_min{};  ///< an answer of less is not a confident one; 0: all are
  /// The same of answers from passages that cite none of them, such as that the sources do not say it; `confidence_min` holds
  /// for these too. A small model sees worse than a strong one what its sources say.
  PerTier<double> uncited_min{};
  SampleAs sample = SampleAs::as_asked;
  Sampling sampling;  ///< if `sampled`
  std::vector<Tier>
      second_opinion;  ///< of `escalate`: those whose answer, if it says the same as the unsure one before, stands
  /// The most that an answer may cost, if it is as long as asked for. A rule whose first attempt alone would cost more does not
  /// match; a later one that would bring the sum above it is left out.
  std::optional<double> cost_max;
  friend bool operator==(const RouteRule&, const RouteRule&) = default;
};

/// How often answers of a raw confidence are right: points of a line from (0, 0) to (1, its last), ascending in both. None: a
/// model's confidence is taken for what it says.
struct Calibration {
  static constexpr std::size_t points_max = 64;
  struct Point {
    double raw = 0;
    double right = 0;
    friend bool operator==(const Point&, const Point&) = default;
  };
  std::vector<Point> points;
  double of(double raw) const;
  friend bool operator==(const Calibration&, const Calibration&) = default;
};

struct RoutingPolicy {
  static constexpr std::size_t rules_max = 64;
  static constexpr std::size_t tenants_max = 63;  ///< that rules name, together
  static constexpr double price_limit = 1e9;
  static constexpr std::size_t name_bytes_max = 64;
  static constexpr std::int32_t tokens_limit = std::int32_t{1} << 20;
  static constexpr std::int32_t passages_limit = 64;
  static constexpr std::int32_t recalled_limit = 64;
  static constexpr std::size_t text_bytes_max = 4096;

  std::vector<Tier> portfolio = {tiers.begin(), tiers.end()};  ///< the tiers that this cluster has, ascending
  PerTier<std::int32_t> prompt_tokens = {1280, 1536, 1792};    ///< what a prompt may have, by the tier that reads it
  std::int32_t recent_tokens = 768;                            ///< of turns verbatim; beyond it the oldest are summarised
  std::int32_t recent_turns = 6;                               ///< that stay verbatim; when there are four more, those four go
  std::int32_t summary_tokens = 256;                           ///< of a summary, estimated; beyond it its oldest entries retire
  std::int32_t recalled_max = 4;                               ///< retired entries that come back for a question about them
  std::int32_t passages_max = 8;                               ///< that a search finds
  /// How many of these, the first ones, a prompt has, by the tier that reads it. The bundled models get lost among more
  /// (docs/evaluation.md).
  PerTier<std::int32_t> prompt_passages = {3, 4, 5};
  std::string when_all_failed = "No model could answer; please ask again later.";  ///< told to whoever asked
  /// What is said instead of an answer that was held back and is not confident: "{quote}" and "{source}" stand for the
  /// beginning of the best passage and its citation. Empty, or without passages: the answer as it is, marked.
  std::string when_unsure;
  /// What is said instead of an answer that was held back and whose claims nothing supports: it has no citation, or one that
  /// does not say so (policy/citation_support.hpp). `when_unsure` goes before it. Empty: the answer as it is, marked.
  std::string when_unsupported = "No source supports an answer.";
  PerTier<TokenPrice> price;
  PerTier<Calibration> calibration;
  Intent intent = handbook_intent();
  PerStage<Contract> contracts = default_contracts();  ///< of the stages of a turn
  std::vector<RouteRule> rules;
  std::vector<ShadowExperiment> shadow;  ///< what is answered once more, for comparison
  /// Whether some rule asks what a question is that may come without passages; one that comes with them is classified anyway.
  bool asks_for_kind() const;
  /// Which does the small work on the way to an answer: rewriting, summarising, and classifying if no other is to.
  Tier smallest() const { return portfolio.front(); }
  Tier classifier() const { return intent.tier.value_or(smallest()); }
  friend bool operator==(const RoutingPolicy&, const RoutingPolicy&) = default;
};

/// For the bundled models, by what they were measured to do on generated handbooks (docs/evaluation.md). A question about the
/// corpus goes to medium, and to heavy where that is not sure enough; it has to be surer where the search is not trusted. What
/// medium says without a citation, that its sources do not say it, heavy is asked too. Comparisons go to heavy at once, since
/// medium is sure of none. What needs no passages begins with mini. What streams at once (draft) cannot be looked at before it
/// is seen, so heavy answers it, unless it is in a hurry; and so it does what does not fit before mini. An answer of heavy that
/// is not sure enough is marked.
RoutingPolicy default_policy();

/// The first error of routing_check.hpp's findings, if there is one.
Result<void> validate(const RoutingPolicy& policy);

struct RouteFacts {
  std::optional<Tier> requested;
  Assurance assurance = Assurance::standard;
  Priority priority = Priority::interactive;
  std::int64_t latency_budget_ms = 0;  ///< 0: no hurry
  std::int32_t prompt_tokens = 0;      ///< estimate of the context, with the passages of the tier that reads fewest
  bool grounded = false;
  std::optional<std::string> kind = {};             ///< none: it was not looked at
  std::string tenant = {};                          ///< empty: nobody in particular
  std::optional<double> retrieval_confidence = {};  ///< none: nothing was searched, or nothing found
  std::int32_t tokens_max = 0;                      ///< of the answer, as asked
  std::vector<Tier> served = {};                    ///< that some node serves now
  std::optional<double> kind_confidence = {};       ///< none: it was not looked at, or no label was named
};

struct RouteDecision {
  std::string rule;
  std::vector<Rung> ladder;          ///< at least one; the first answers, each next one if what is before it is not good enough
  bool greedy = false;               ///< whatever the client asked
  std::optional<Sampling> sampling;  ///< instead of the client's, if not greedy
  bool held_back = false;            ///< an attempt is shown once its checks have passed
  std::string why;                   ///< a sentence with what matched
  Tier start() const { return ladder.front().tier; }
  friend bool operator==(const RouteDecision&, const RouteDecision&) = default;
};

/// A tier that the client asks for answers alone, under the rule that matches. Otherwise the rule's tiers, without those that
/// the portfolio does not have, which `why` names. The policy is valid.
///
/// Errors: `unsupported` if the requested tier is not in the portfolio; `unavailable` if no node serves the first tier now: the
/// question waits, and is routed again. A later tier may be away: the route keeps it, and an attempt on it waits likewise.
Result<RouteDecision> route(const RoutingPolicy& policy, const RouteFacts& facts);

struct Decision {
  enum class Verdict : std::uint8_t { commit, escalate, fail };
  Verdict verdict = Verdict::fail;
  bool confident = false;    ///< if committed: the answer reached what the policy asks
  std::optional<Tier> next;  ///< if escalated
  std::string why;           ///< a sentence
  friend bool operator==(const Decision&, const Decision&) = default;
};

/// What follows on an attempt that ended with `finish_reason` (of engine/request.hpp) and `confidence`, which is calibrated,
/// and did not pass the check that `failed_check` names, if it names one ("source [2] does not support it"). An attempt that
/// failed escalates, whatever the assurance. One that is held back and is not confident (below the plan's minimum, cut short at
/// its length, or with a check that it did not pass) escalates too; one that streamed has been seen and stays, marked. Without
/// a later tier on the ladder the answer is committed as it is, marked, and a failure fails the turn. Cancelled and late
/// attempts always do.
///
/// One that stopped early (early_stop.hpp) escalates; its beginning is never an answer.
///
/// An answer that is only below the minimum stands and is confident if the plan is for a second opinion and it `agrees`: says
/// the same as the one before.
///
/// `uncited`: it was to be given from passages, and cites none of them.
Decision after_attempt(const RouteDecision& route, const AttemptPlan& plan, double confidence, std::string_view finish_reason,
                       const std::string& failed_check = {}, bool agrees = false, bool uncited = false);

/// Whether two answers say the same: without citations, case, punctuation at the end and the width of spaces.
bool same_answer(std::string_view one, std::string_view other);

/// `when_unsure` with the first of the plan's passages, whose text is `quoted`; none if the policy says nothing, or there is
/// nothing to quote.
std::optional<std::string> quote_of(const RoutingPolicy& policy, std::string_view quoted);

}  // namespace troupe::policy
