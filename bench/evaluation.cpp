#include "bench/evaluation.hpp"

#include <algorithm>
#include <chrono>

namespace troupe::bench {

namespace {

template <class Holds>
std::size_t count(std::span<const JudgedAnswer> answers, const Holds& holds) {
  return static_cast<std::size_t>(std::ranges::count_if(answers, holds));
}

template <class Number>
std::size_t sum(std::span<const JudgedAnswer> answers, const Number& number) {
  std::size_t total = 0;
  for (const JudgedAnswer& answer : answers) total += static_cast<std::size_t>(number(answer));
  return total;
}

void add(TierWork& work, std::uint64_t tokens, std::uint64_t active_parameters) {
  work.computed_tokens += tokens;
  work.cost += tokens * active_parameters;
}

void sum_up_abstention(std::span<const JudgedAnswer> answers, EvaluationRow& row) {
  const auto abstained = [](const JudgedAnswer& answer) { return answer.verdict.abstained; };
  const auto unanswerable = [](const JudgedAnswer& answer) { return !answer.answerable; };
  const std::size_t rightly = count(answers, [&](const auto& answer) { return abstained(answer) && unanswerable(answer); });
  row.abstention_recall = share(rightly, count(answers, unanswerable));
  row.abstention_precision = share(rightly, count(answers, abstained));
}

void sum_up_citations(std::span<const JudgedAnswer> answers, EvaluationRow& row) {
  const std::size_t rightly = sum(answers, [](const auto& answer) { return answer.verdict.cited_rightly; });
  row.citation_precision = share(rightly, sum(answers, [](const auto& answer) { return answer.verdict.cited; }));
  row.citation_recall = share(rightly, sum(answers, [](const auto& answer) { return answer.sections; }));
  row.found = share(count(answers, [](const auto& answer) { return answer.answerable && answer.verdict.found; }),
                    count(answers, [](const auto& answer) { return answer.answerable; }));
}

void sum_up_confidence(std::span<const JudgedAnswer> answers, EvaluationRow& row) {
  const std::size_t confident = count(answers, [](const auto& answer) { return answer.confident; });
  row.confident = share(confident, answers.size()).value_or(0);
  row.confident_accuracy =
      share(count(answers, [](const auto& answer) { return answer.confident && answer.verdict.right; }), confident);
  std::vector<SureAnswer> sure;
  for (const JudgedAnswer& answer : answers) {
    if (answer.verdict.answered) sure.push_back({answer.confidence, answer.verdict.right});
  }
  row.reliability = reliability_of(sure);
  row.calibration_error = calibration_error_of(row.reliability);
}

void sum_up_latency(std::span<const JudgedAnswer> answers, EvaluationRow& row) {
  for (const JudgedAnswer& answer : answers)
    row.latencies_ms.push_back(std::chrono::duration<double, std::milli>(answer.latency).count());
  std::ranges::sort(row.latencies_ms);
  if (row.latencies_ms.empty()) return;
  row.p50_ms = nearest_rank(row.latencies_ms, 0.5);
  row.p95_ms = nearest_rank(row.latencies_ms, 0.95);
}

}  // namespace

std::uint64_t cost_of(const Work& work) {
  std::uint64_t cost = 0;
  for (const TierWork& tier : work) cost += tier.cost;
  return cost;
}

Work work_of(const policy::ClusterView& view) {
  Work work{};
  for (const policy::NodeView& node : view.nodes) {
    for (const policy::ReplicaView& replica : node.replicas) {
      add(work[policy::place_of(replica.tier)], replica.prompt_tokens - replica.reused_tokens + replica.generated_tokens,
          replica.active_parameters);
    }
  }
  return work;
}

Work work_of(const policy::Turn& turn) {
  Work work{};
  for (const policy::Attempt& attempt : turn.attempts) {
    if (!attempt.result) continue;
    const policy::AttemptResult& result = *attempt.result;
    const std::int32_t tokens = std::max(0, result.prompt_tokens - result.reused_tokens + result.generated_tokens);
    add(work[policy::place_of(attempt.plan.tier)], static_cast<std::uint64_t>(tokens), result.active_parameters);
  }
  return work;
}

Work difference(const Work& after, const Work& before) {
  Work work = after;
  for (std::size_t i = 0; i < work.size(); ++i) {
    work[i].computed_tokens -= before[i].computed_tokens;
    work[i].cost -= before[i].cost;
  }
  return work;
}

JudgedAnswer judged(const Question& question, const Abstentions& abstentions, const policy::Turn& turn, Duration latency) {
  JudgedAnswer judged;
  judged.id = question.id;
  judged.difficulty = question.difficulty;
  judged.answerable = question.answerable();
  judged.sections = question.sections.size();
  judged.verdict = judge(question, abstentions, turn);
  judged.attempts = turn.attempts.size();
  judged.latency = latency;
  judged.work = work_of(turn);
  if (!judged.verdict.answered) {
    judged.error = turn.outcome ? turn.outcome->message : "it has not ended";
    return judged;
  }
  for (const policy::Attempt& attempt : turn.attempts) {
    if (attempt.plan.attempt == turn.outcome->attempt) judged.tier = attempt.plan.tier;
  }
  const double confidence = turn.outcome->confidence;
  if (confidence >= 0) judged.confidence = std::min(confidence, 1.0);  // it comes over a wire, and may be no number
  judged.confident = turn.outcome->confident;
  judged.answer = turn.outcome->answer;
  return judged;
}

EvaluationRow sum_up(const std::string& tier, std::span<const JudgedAnswer> answers, const Work& work) {
  EvaluationRow row;
  row.tier = tier;
  row.questions = answers.size();
  row.answered = count(answers, [](const auto& answer) { return answer.verdict.answered; });
  const auto failed = std::ranges::find_if(answers, [](const auto& answer) { return !answer.verdict.answered; });
  if (failed != answers.end()) row.first_error = failed->error;
  row.accuracy = share(count(answers, [](const auto& answer) { return answer.verdict.right; }), row.questions).value_or(0);
  row.value_accuracy =
      share(count(answers, [](const auto& answer) { return answer.verdict.values; }), row.questions).value_or(0);
  row.out_of_scope = count(answers, [](const auto& answer) { return answer.verdict.answered && answer.attempts == 0; });
  row.escalated = count(answers, [](const auto& answer) { return answer.attempts > 1; });
  sum_up_abstention(answers, row);
  sum_up_citations(answers, row);
  sum_up_confidence(answers, row);
  sum_up_latency(answers, row);
  row.work = work;
  row.cost = cost_of(work);
  std::map<std::string, std::size_t> asked;
  for (const JudgedAnswer& answer : answers) {
    row.answers_cost += cost_of(answer.work);
    if (answer.verdict.answered && answer.attempts > 0) ++row.answered_by[policy::place_of(answer.tier)];
    if (answer.difficulty.empty()) continue;
    ++asked[answer.difficulty];
    row.difficulties[answer.difficulty] += answer.verdict.right ? 1 : 0;
  }
  for (auto& [difficulty, right] : row.difficulties) right /= static_cast<double>(asked[difficulty]);
  return row;
}

std::optional<Comparison> compare(std::span<const EvaluationRow> rows) {
  const auto heavy = std::ranges::find(rows, "heavy", &EvaluationRow::tier);
  const auto portfolio = std::ranges::find(rows, "portfolio", &EvaluationRow::tier);
  if (heavy == rows.end() || portfolio == rows.end() || heavy->cost == 0) return std::nullopt;
  return Comparison{100 * (heavy->accuracy - portfolio->accuracy),
                    static_cast<double>(portfolio->cost) / static_cast<double>(heavy->cost)};
}

}  // namespace troupe::bench
