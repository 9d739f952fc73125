// troupe explain: why a turn was answered as it was.
#include "cli/explain.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "cli/answer_view.hpp"
#include "cli/ask.hpp"
#include "cli/command.hpp"
#include "policy/early_stop.hpp"
#include "policy/routing_rule.hpp"
#include "policy/stage_fallback.hpp"

namespace troupe::cli {

namespace {

struct ExplainOptions {
  ConnectChoice connect;
  std::string turn;
  bool tokens = false;
  bool json = false;
};

void print_plan(std::ostream& stream, const policy::AttemptPlan& plan) {
  stream << "attempt " << plan.attempt << ": " << to_string(plan.tier) << ", because " << plan.why << '\n'
         << "  rule           " << plan.rule << '\n'
         << "  model          " << (plan.model.remote() ? plan.model.fingerprint : plan.model.fingerprint.substr(0, 16)) << ", "
         << plan.model.numeric_class << '\n'
         << "  sampling       temperature " << plan.sampling.temperature << ", top_k " << plan.sampling.top_k << ", top_p "
         << plan.sampling.top_p << ", seed " << plan.seed << ", at most " << plan.tokens_max << " tokens\n"
         << "  context        " << plan.task << " prompt";
  if (plan.summary_version > 0) stream << ", summary " << plan.summary_version;
  if (plan.pins_version > 0) stream << ", pins " << plan.pins_version;
  if (plan.first_turn > 0) stream << ", turns from " << plan.first_turn << " on";
  if (plan.context_tokens > 0) stream << ", routed as " << plan.context_tokens << " tokens";
  stream << '\n';
  for (const policy::MemoryEntry& entry : plan.recalled)
    stream << (&entry == plan.recalled.data() ? "  recalled       " : "                 ") << entry.text << " (turn "
           << entry.turn << ")\n";
  for (const policy::LeftOut& each : plan.left_out)
    stream << (&each == plan.left_out.data() ? "  left out       " : "                 ") << each.what << ": " << each.why
           << '\n';
  stream << "  must reach     confidence " << plan.confidence_min
         << (plan.uncited_min > plan.confidence_min ? ", without a citation " + policy::shown(plan.uncited_min) : "")
         << (plan.held_back ? ", held back until checked" : "")
         << (std::isfinite(plan.log_probability_sum_min) ? ", stopped once it cannot" : "") << '\n';
  if (!plan.escalation.empty()) {
    stream << "  else           ";
    for (const policy::Rung& rung : plan.escalation)
      stream << (&rung == plan.escalation.data() ? "" : ", ") << to_string(rung.tier)
             << (rung.second_opinion ? " for a second opinion" : "");
    stream << '\n';
  }
  for (std::size_t i = 0; i < plan.passages.size(); ++i)
    stream << (i == 0 ? "  passages       " : "                 ") << '[' << i + 1 << "] " << plan.passages[i].name << '\n';
}

/// Then nobody told how much was reused, and how sure it was.
bool was_cut_short(const policy::AttemptResult& result) {
  const bool ended = result.finish_reason == "end_token" || result.finish_reason == "stop_string" ||
                     result.finish_reason == "length" || policy::stopped_early(result);
  return !ended && result.reused_tokens == 0 && result.confidence == 0;
}

void print_result(std::ostream& stream, const policy::AttemptResult& result, const policy::AttemptPlan& plan) {
  const int computed = std::max(0, result.prompt_tokens - result.reused_tokens + result.generated_tokens);
  const bool stopped = policy::stopped_early(result);
  const bool cut = was_cut_short(result);
  stream << "  ran on         " << (result.node.empty() ? "an unknown node" : result.node) << ", "
         << (stopped ? policy::sentence_of_stop(plan, result) : "ended by " + result.finish_reason)
         << (stopped ? " (" : " after ") << result.seconds << (stopped ? " s)\n" : " s\n") << "  tokens         "
         << result.prompt_tokens << " of the prompt"
         << (cut ? std::string() : " (" + std::to_string(result.reused_tokens) + " reused)") << ", " << result.generated_tokens
         << " generated\n"
         << "  cost           ";
  if (plan.model.remote()) {
    stream << result.cost;
  } else {
    stream << computed << " tokens computed x " << result.active_parameters << " active parameters";
    if (plan.price != policy::TokenPrice{}) stream << ", " << result.cost;
  }
  if (plan.price != policy::TokenPrice{}) {
    stream << " (a million tokens for " << plan.price.prompt_million << " read and " << plan.price.answer_million
           << " written)";
  }
  stream << '\n';
  if (!cut) stream << "  confidence     " << (stopped ? "at most " : "") << result.confidence << '\n';
  if (!result.superseded_why.empty()) stream << "  superseded     " << result.superseded_why << '\n';
}

/// Each stage with what it read, wrote and took, and whether it kept its contract.
void print_stages(std::ostream& stream, const policy::Turn& turn) {
  if (turn.stages.empty()) return;
  stream << "stages\n";
  for (const policy::StageEntry& entry : turn.stages) {
    std::string name(to_string(entry.stage));
    if (entry.attempt >= 0) name += " " + std::to_string(entry.attempt);
    stream << "  " << std::left << std::setw(15) << name << entry.prompt_tokens << " tokens in, " << entry.answer_tokens
           << " out, " << entry.milliseconds << " ms; " << policy::sentence_of(entry) << '\n';
  }
}

Result<int> explain(const ExplainOptions& options) {
  const auto id = policy::parse_turn(options.turn);
  if (!id) {
    return Error{ErrorCode::invalid_argument,
                 "\"" + options.turn + "\" is no turn; expected CONVERSATION/NUMBER, as troupe ask prints it"};
  }
  catch_interrupts();
  TROUPE_TRY(const auto client, options.connect.open());
  TROUPE_TRY(const auto conversation, client.resume(id->conversation));
  TROUPE_TRY(const auto turn, conversation.explain(id->number, options.tokens));
  if (options.json) {
    std::cout << dumped(json_of(turn)) << std::endl;
  } else {
    std::cout << explanation_of(turn);
  }
  return 0;
}

}  // namespace

std::string explanation_of(const policy::Turn& turn) {
  std::ostringstream stream;
  const policy::Ask& ask = turn.ask;
  stream << std::setprecision(4) << "turn " << to_string(turn.id) << ", accepted " << date_of(turn.accepted_ms) << "\n> "
         << ask.question << '\n'
         << "asked for        " << to_string(ask.assurance) << " assurance, tier " << (ask.tier ? to_string(*ask.tier) : "any")
         << ", grounding " << to_string(ask.grounding) << ", " << ask.deadline_ms / 1000.0 << " s\n";
  if (!turn.kind.empty()) {
    stream << "taken for        " << turn.kind;
    if (!turn.kind_said.empty()) stream << ", not surely enough for " << turn.kind_said;
    if (turn.kind_confidence) stream << " (confidence " << *turn.kind_confidence << ')';
    stream << '\n';
  }
  if (!turn.search.empty()) stream << "searched for     " << turn.search << '\n';
  if (turn.retrieval_confidence)
    stream << "search           has found what an answer needs with probability " << *turn.retrieval_confidence << '\n';
  const bool searched = !turn.attempts.empty() && turn.attempts.front().plan.task == policy::to_string(policy::Task::answer);
  const bool found = turn.retrieval_confidence || (searched && !turn.attempts.front().plan.passages.empty());
  if (searched && !turn.search.empty() && !found) stream << "search           has found nothing\n";
  for (const policy::Attempt& attempt : turn.attempts) {
    print_plan(stream, attempt.plan);
    if (attempt.result) {
      print_result(stream, *attempt.result, attempt.plan);
    } else {
      stream << "  has not ended\n";
    }
  }
  print_stages(stream, turn);
  if (!turn.outcome) {
    stream << "not ended yet\n";
  } else if (!turn.outcome->rule.empty()) {
    stream << "answered by the policy as " << turn.outcome->rule << ", no model was asked, " << date_of(turn.ended_ms) << '\n'
           << turn.outcome->answer << '\n';
  } else if (turn.outcome->committed) {
    stream << "answered by attempt " << turn.outcome->attempt << ", confidence " << turn.outcome->confidence
           << (turn.outcome->confident       ? std::string()
               : turn.outcome->doubt.empty() ? std::string(" (lower than the policy asks)")
                                             : " (marked: " + turn.outcome->doubt + ")")
           << ", " << date_of(turn.ended_ms) << '\n'
           << readable(turn) << '\n';
  } else {
    stream << "not answered: " << turn.outcome->message << " (" << turn.outcome->code << "), " << date_of(turn.ended_ms)
           << '\n';
  }
  return plain(stream.str());
}

void add_explain(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App& command = *app.add_subcommand("explain", "Show how a turn was decided and answered");
  command.footer(
      "Examples:\n"
      "  troupe explain 0123456789abcdef0123456789abcdef/3\n"
      "  troupe explain --tokens --json 0123456789abcdef0123456789abcdef/3\n"
      "Each attempt has a plan, which is all that its tokens depend on, and what came of it. Stages are listed with what they\n"
      "took and whether they kept their contracts (docs/contracts.md). troupe ask prints the turn's name.");
  command.add_option("turn", options->turn, "CONVERSATION/NUMBER")->required();
  command.add_flag("--tokens", options->tokens, "With --json: token ids and log-probabilities too");
  options->connect.add_to(command);
  command.add_flag("--json", options->json, "One JSON object")->group("Output");
  command.callback([options, &action] {
    if (options->tokens && !options->json) throw CLI::RequiresError("--tokens", "--json");
    action = [options] { return explain(*options); };
  });
}

}  // namespace troupe::cli
