#include "bench/intent_evaluation.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/check.hpp"

namespace troupe::bench {

namespace {

constexpr std::array cut_at = {0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99};

/// One row, asked and judged.
struct JudgedReply {
  const IntentRow& row;
  const IntentReply& reply;
  bool right = false;
  bool outside = false;       ///< the row is out of scope
  bool said_outside = false;  ///< and said to be
};

std::vector<JudgedReply> judged(const IntentSet& set, std::span<const IntentReply> replies, const IntentJudge& judge) {
  std::vector<JudgedReply> all;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const IntentRow& row = set.rows[i];
    const IntentReply& reply = replies[i];
    // What is no label at all is not said to be anything.
    const bool said_outside = judge.knows(reply.said) && judge.out_of_scope(reply.said);
    all.push_back({row, reply, reply.said == row.label, judge.out_of_scope(row.label), said_outside});
  }
  return all;
}

template <class Holds>
std::size_t count(std::span<const JudgedReply> all, const Holds& holds) {
  return static_cast<std::size_t>(std::ranges::count_if(all, holds));
}

IntentCut cut(std::span<const JudgedReply> all, double least) {
  const auto taken_outside = [&](const auto& each) { return each.said_outside || each.reply.confidence < least; };
  const std::size_t outside = count(all, [](const auto& each) { return each.outside; });
  const std::size_t rightly = count(all, [&](const auto& each) { return each.outside && taken_outside(each); });
  const std::size_t right_inside =
      count(all, [&](const auto& each) { return !each.outside && each.right && !taken_outside(each); });
  return {least, share(right_inside, all.size() - outside), share(rightly, outside), share(rightly, count(all, taken_outside))};
}

/// The area under the curve of Mann and Whitney's U, ties as a half.
std::optional<double> auroc(std::span<const JudgedReply> all) {
  std::vector<std::pair<double, bool>> ranked;  // how much it seems to be in scope, and whether it is
  for (const JudgedReply& each : all)
    ranked.emplace_back(each.said_outside ? -each.reply.confidence : each.reply.confidence, !each.outside);
  std::ranges::sort(ranked);
  double wins = 0;
  double outside_before = 0;
  for (std::size_t begin = 0; begin < ranked.size();) {
    std::size_t end = begin;
    double inside_here = 0;
    for (; end < ranked.size() && ranked[end].first == ranked[begin].first; ++end) inside_here += ranked[end].second ? 1 : 0;
    const double outside_here = static_cast<double>(end - begin) - inside_here;
    wins += inside_here * (outside_before + outside_here / 2);
    outside_before += outside_here;
    begin = end;
  }
  const double inside = static_cast<double>(ranked.size()) - outside_before;
  if (inside == 0 || outside_before == 0) return std::nullopt;
  return wins / (inside * outside_before);
}

IntentByPolicy by_policy(std::span<const JudgedReply> all, const policy::Intent& intent) {
  IntentByPolicy row;
  std::size_t right = 0;
  std::size_t outside = 0;
  std::size_t refused = 0;
  for (const JudgedReply& each : all) {
    const policy::TakenFor taken = intent.read(each.reply.said, each.reply.confidence);
    const bool refuses = intent.label(taken.label).out_of_scope;
    right += taken.label == each.row.label ? 1 : 0;
    row.unknown += taken.label == policy::unknown_label ? 1 : 0;
    outside += each.outside ? 1 : 0;
    refused += each.outside && refuses ? 1 : 0;
    row.refused_in_scope += !each.outside && refuses ? 1 : 0;
  }
  row.accuracy = share(right, all.size()).value_or(0);
  row.refused = share(refused, outside);
  return row;
}

void sum_up_labels(std::span<const JudgedReply> all, IntentScores& scores) {
  for (const JudgedReply& each : all) ++scores.labels[each.row.label].rows;
  for (const JudgedReply& each : all) {
    LabelScore& own = scores.labels[each.row.label];
    if (each.right) {
      ++own.right;
    } else {
      ++own.instead[each.reply.said];
    }
    const auto said = scores.labels.find(each.reply.said);
    if (said == scores.labels.end()) {
      ++scores.no_label;
    } else {
      ++said->second.said;
    }
  }
}

void sum_up_latency(std::span<const JudgedReply> all, IntentScores& scores) {
  for (const JudgedReply& each : all) {
    if (each.reply.latency)
      scores.latencies_ms.push_back(std::chrono::duration<double, std::milli>(*each.reply.latency).count());
  }
  std::ranges::sort(scores.latencies_ms);
  if (scores.latencies_ms.empty()) return;
  scores.p50_ms = nearest_rank(scores.latencies_ms, 0.5);
  scores.p95_ms = nearest_rank(scores.latencies_ms, 0.95);
}

}  // namespace

bool IntentJudge::knows(const std::string& label) const {
  return intent == nullptr || (label != policy::unknown_label && intent->knows(label));
}

bool IntentJudge::out_of_scope(const std::string& label) const {
  constexpr std::string_view usual_name = "out_of_scope";
  return intent == nullptr ? label == usual_name : intent->label(label).out_of_scope;
}

Result<IntentJudge> judge_of(const IntentSet& set, const policy::Intent& intent, const std::string& file) {
  if (set.prompt != intent.prompt) return IntentJudge{};
  for (const IntentRow& row : set.rows) {
    if (intent.knows(row.label)) continue;
    return Error{ErrorCode::not_found, file + ":" + std::to_string(row.line) + ": answer is \"" + row.label +
                                           "\", which is no label of the policy's intent, whose prompt this is; it has " +
                                           names_of(intent)};
  }
  return IntentJudge{&intent};
}

IntentScores sum_up(const std::string& tier, const IntentSet& set, std::span<const IntentReply> replies,
                    const IntentJudge& judge, std::uint64_t active_parameters) {
  TROUPE_CHECK(replies.size() == set.rows.size(), "every row has its reply");
  const std::vector<JudgedReply> all = judged(set, replies, judge);
  IntentScores scores;
  scores.tier = tier;
  scores.rows = all.size();
  scores.accuracy = share(count(all, [](const auto& each) { return each.right; }), all.size()).value_or(0);
  const IntentCut as_said = cut(all, 0);
  scores.accuracy_in_scope = as_said.accuracy_in_scope;
  scores.out_of_scope_recall = as_said.out_of_scope_recall;
  scores.out_of_scope_precision = as_said.out_of_scope_precision;
  scores.out_of_scope_auroc = auroc(all);
  std::vector<SureAnswer> sure;
  for (const JudgedReply& each : all) {
    sure.push_back({each.reply.confidence, each.right});
    scores.cost += each.reply.computed_tokens * active_parameters;
  }
  scores.reliability = reliability_of(sure);
  scores.calibration_error = calibration_error_of(scores.reliability);
  if (scores.out_of_scope_auroc) {
    for (const double least : cut_at) scores.cuts.push_back(cut(all, least));
  }
  if (judge.intent != nullptr) scores.by_policy = by_policy(all, *judge.intent);
  sum_up_labels(all, scores);
  sum_up_latency(all, scores);
  return scores;
}

}  // namespace troupe::bench
