// troupe policy: what a routing policy says, what is wrong with it, and what it would have done with turns of the past.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cli/ask.hpp"
#include "cli/command.hpp"
#include "cli/decision_log.hpp"
#include "cli/shadow_policies.hpp"
#include "model/file.hpp"
#include "policy/routing_check.hpp"
#include "policy/routing_replay.hpp"
#include "policy/routing_rule.hpp"
#include "schemas/routing_file.hpp"

namespace troupe::cli {

namespace {

struct PolicyOptions {
  std::string file;
  std::string log;
  std::vector<std::string> conversations;
  ConnectChoice connect;
  bool all = false;
  bool json = false;
};

Result<policy::RoutingPolicy> read_policy(const std::string& file) {
  TROUPE_TRY(const auto text, model::read_file(file, schemas::routing_file_bytes_max));
  return schemas::read_routing(text, file);
}

Json json_of(const policy::PolicyFinding& finding) {
  return {{"weight", policy::to_string(finding.weight)},
          {"code", to_string(finding.code)},
          {"rule", finding.rule},
          {"message", finding.message}};
}

// check

std::size_t count_of(const std::vector<policy::PolicyFinding>& findings, policy::PolicyFinding::Weight weight) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(), [&](const auto& finding) { return finding.weight == weight; }));
}

/// Who names the kind of a question, and what becomes of one that is out of scope.
std::string sentence_of(const policy::RoutingPolicy& policy) {
  const policy::Intent& intent = policy.intent;
  std::string text = intent.tier ? std::string(to_string(*intent.tier)) : "the smallest tier";
  text += " names one of " + std::to_string(intent.labels.size()) + " labels";
  if (intent.confidence_min > 0) text += ", below " + policy::shown(intent.confidence_min) + " unknown";
  const bool refuses = std::ranges::any_of(intent.labels, &policy::IntentLabel::out_of_scope) || intent.unknown.out_of_scope;
  if (!refuses) return text;
  text += "; out of scope, from " + policy::shown(std::max(intent.confidence_min, intent.out_of_scope_confidence_min)) + " on";
  return text +
         (intent.out_of_scope_answer.empty() ? ", is answered like any other" : ": \"" + intent.out_of_scope_answer + "\"");
}

void print_policy(const policy::RoutingPolicy& policy) {
  std::cout << "tiers           ";
  for (const policy::Tier tier : policy.portfolio) {
    const std::size_t place = policy::place_of(tier);
    std::cout << (tier == policy.portfolio.front() ? "" : ", ") << to_string(tier) << " (prompts of at most "
              << policy.prompt_tokens[place] << " tokens and " << policy.prompt_passages[place] << " passages";
    const policy::TokenPrice& price = policy.price[place];
    if (price != policy::TokenPrice{}) {
      std::cout << ", a million tokens for " << price.prompt_million << " read and " << price.answer_million << " written";
    }
    if (!policy.calibration[place].points.empty()) std::cout << ", calibrated";
    std::cout << ')';
  }
  std::cout << '\n';
  std::cout << std::left << std::setw(16) << "intent" << sentence_of(policy) << '\n';
  std::size_t number = 0;
  for (const policy::RouteRule& rule : policy.rules) {
    std::cout << std::left << std::setw(16) << (std::to_string(++number) + " " + rule.name) << policy::sentence_of(rule)
              << '\n';
  }
  for (const policy::ShadowExperiment& shadow : policy.shadow) {
    std::cout << std::left << std::setw(15) << ("shadow " + shadow.name) << ' ' << policy::sentence_of(shadow) << '\n';
  }
  for (const policy::Stage stage : policy::stages) {
    std::cout << std::left << std::setw(16) << ("stage " + std::string(policy::to_string(stage)))
              << policy::sentence_of(stage, policy.contracts[policy::place_of(stage)]) << '\n';
  }
  if (!policy.when_unsure.empty()) std::cout << "nobody is sure  \"" << policy.when_unsure << "\"\n";
  if (!policy.when_unsupported.empty()) std::cout << "unsupported     \"" << policy.when_unsupported << "\"\n";
  std::cout << "all failed      \"" << policy.when_all_failed << "\"\n";
}

Result<int> check_policy(const PolicyOptions& options) {
  const auto read = read_policy(options.file);
  if (!read && options.json) {  // whoever reads the object wants one of a file that is no policy, too
    Json object{{"file", options.file}, {"valid", false}};
    object["findings"] = {json_of({policy::PolicyFinding::Weight::error, read.error().code, "", read.error().message})};
    std::cout << dumped(object) << std::endl;
    return 1;
  }
  TROUPE_TRY(const auto policy, read);
  auto findings = policy::check(policy);
  for (const policy::ShadowExperiment& shadow : policy.shadow) {
    const auto arm = read_shadow_arm(policy, options.file, shadow);
    if (!arm) findings.push_back({policy::PolicyFinding::Weight::error, arm.error().code, "", arm.error().message});
  }
  const std::size_t errors = count_of(findings, policy::PolicyFinding::Weight::error);
  if (options.json) {
    Json object{{"file", options.file}, {"valid", errors == 0}};
    object["rules"] = Json::array();
    for (const policy::RouteRule& rule : policy.rules)
      object["rules"].push_back({{"name", rule.name}, {"says", policy::sentence_of(rule)}});
    object["shadows"] = Json::array();
    for (const policy::ShadowExperiment& shadow : policy.shadow)
      object["shadows"].push_back({{"name", shadow.name}, {"says", policy::sentence_of(shadow)}});
    for (const policy::Stage stage : policy::stages) {
      const policy::Contract& contract = policy.contracts[policy::place_of(stage)];
      Json entry{{"deadline_ms", contract.deadline_ms},
                 {"fallback", policy::to_string(contract.fallback)},
                 {"says", policy::sentence_of(stage, contract)}};
      if (contract.prompt_tokens_max) entry["prompt_tokens_max"] = *contract.prompt_tokens_max;
      if (contract.answer_tokens_max) entry["answer_tokens_max"] = *contract.answer_tokens_max;
      object["stages"][std::string(policy::to_string(stage))] = std::move(entry);
    }
    object["findings"] = Json::array();
    for (const policy::PolicyFinding& finding : findings) object["findings"].push_back(json_of(finding));
    std::cout << dumped(object) << std::endl;
  } else {
    print_policy(policy);
    for (const policy::PolicyFinding& finding : findings)
      std::cout << policy::to_string(finding.weight) << ": " << finding.message << '\n';
    std::cout << (errors > 0 ? "not valid: " : "valid: ") << errors << " errors, "
              << count_of(findings, policy::PolicyFinding::Weight::warning) << " warnings" << std::endl;
  }
  return errors == 0 ? 0 : 1;
}

// try

/// `unknown`: what it means if the end is not known.
std::string text_of(const policy::RouteTrace& trace, const std::string& unknown) {
  if (trace.rule.empty()) return "refused: " + trace.why;
  std::string text = trace.rule + ": ";
  for (const policy::Tier tier : trace.tiers) text += std::string(to_string(tier)) + ", ";
  return text + (trace.end == policy::RouteTrace::End::unknown ? unknown : std::string(to_string(trace.end)));
}

Json json_of(const policy::RouteTrace& trace) {
  Json object{{"rule", trace.rule}, {"end", policy::to_string(trace.end)}, {"cost", trace.cost}, {"why", trace.why}};
  object["tiers"] = Json::array();
  for (const policy::Tier tier : trace.tiers) object["tiers"].push_back(to_string(tier));
  return object;
}

struct Tally {
  std::size_t turns = 0;
  std::size_t changed = 0;
  std::map<policy::RouteTrace::End, std::size_t> before;
  std::map<policy::RouteTrace::End, std::size_t> after;
  double cost_before = 0;
  double cost_after = 0;
};

Json json_of(const std::map<policy::RouteTrace::End, std::size_t>& ends) {
  Json object = Json::object();
  for (const auto& [end, count] : ends) object[std::string(policy::to_string(end))] = count;
  return object;
}

void print_ends(const char* when, const std::map<policy::RouteTrace::End, std::size_t>& ends, double cost) {
  std::cout << std::left << std::setw(16) << when;
  for (const auto& [end, count] : ends) std::cout << count << ' ' << policy::to_string(end) << ", ";
  std::cout << "cost " << policy::rounded(cost) << '\n';
}

Result<int> try_policy(const PolicyOptions& options) {
  TROUPE_TRY(const auto policy, read_policy(options.file));
  if (const auto valid = policy::validate(policy); !valid) return Error(valid.error()).within(options.file);
  TROUPE_TRY(const auto turns, read_decisions(options.log));
  Tally tally;
  for (const policy::Turn& turn : turns) {
    if (turn.attempts.empty() && !(turn.outcome && !turn.outcome->rule.empty())) continue;
    const policy::RouteTrace before = policy::recorded_trace(turn);
    const policy::RouteTrace after = policy::replay(policy, turn);
    const bool changed = before.rule != after.rule || before.tiers != after.tiers || before.end != after.end;
    ++tally.turns;
    tally.changed += changed ? 1 : 0;
    ++tally.before[before.end];
    ++tally.after[after.end];
    tally.cost_before += before.cost;
    tally.cost_after += after.cost;
    if (!changed && !options.all) continue;
    if (options.json) {
      std::cout << dumped({{"turn", to_string(turn.id)},
                           {"changed", changed},
                           {"recorded", json_of(before)},
                           {"tried", json_of(after)}})
                << '\n';
    } else {
      std::cout << to_string(turn.id) << "\n  recorded      " << text_of(before, "not ended") << "\n  tried         "
                << text_of(after, "which was not asked then") << '\n';
    }
  }
  if (options.json) {
    std::cout << dumped({{"turns", tally.turns},
                         {"changed", tally.changed},
                         {"recorded", json_of(tally.before)},
                         {"tried", json_of(tally.after)},
                         {"cost_recorded", tally.cost_before},
                         {"cost_tried", tally.cost_after}})
              << std::endl;
    return 0;
  }
  std::cout << tally.turns << " turns, " << tally.changed << " of them otherwise than recorded\n";
  print_ends("recorded", tally.before, tally.cost_before);
  print_ends("tried", tally.after, tally.cost_after);
  return 0;
}

// log

Result<int> log_decisions(const PolicyOptions& options) {
  catch_interrupts();
  TROUPE_TRY(const auto client, options.connect.open());
  for (const std::string& id : options.conversations) {
    TROUPE_TRY(const auto conversation, conversation_of(client, id));
    for (std::uint32_t next = 1;;) {
      TROUPE_TRY(const auto page, conversation.history(next));
      for (const policy::Turn& turn : page.turns) {
        TROUPE_TRY(const auto whole, conversation.explain(turn.id.number, /*tokens=*/true));
        std::cout << dumped(decision_of(whole)) << '\n';
        next = turn.id.number + 1;
      }
      if (!page.more || page.turns.empty()) break;
    }
  }
  return 0;
}

void add_file(CLI::App& command, PolicyOptions& options) {
  command.add_option("file", options.file, "Routing policy, TOML, as deploy/policy.toml")->required()->check(CLI::ExistingFile);
}

}  // namespace

void add_policy(CLI::App& app, Action& action) {
  CLI::App& policy = *app.add_subcommand("policy", "Check a routing policy, or try it on what was decided before");
  policy.require_subcommand(1);
  policy.footer(
      "Examples:\n"
      "  troupe policy check policy.toml\n"
      "  troupe policy log 0123456789abcdef0123456789abcdef > decisions.jsonl\n"
      "  troupe policy try policy.toml --on decisions.jsonl");
  auto options = std::make_shared<PolicyOptions>();

  CLI::App& check = *policy.add_subcommand("check", "Say what a policy does, and what is wrong with it");
  check.footer(
      "Examples:\n"
      "  troupe policy check deploy/policy.toml\n"
      "  troupe policy check policy.toml --json\n"
      "A node would refuse the policy for: rules that can never match, tiers that are not there, escalations that go round in\n"
      "circles, contracts that nobody can meet. Warnings do not count.\n"
      "Exit status: 0 valid, 1 not valid or an error, 2 a wrong command line.");
  add_file(check, *options);
  check.add_flag("--json", options->json, "One JSON object")->group("Output");
  check.callback([options, &action] { action = [options] { return check_policy(*options); }; });

  CLI::App& tried = *policy.add_subcommand("try", "Replay recorded decisions under another policy");
  tried.footer(
      "Examples:\n"
      "  troupe policy try policy.toml --on decisions.jsonl\n"
      "  troupe policy log 0123456789abcdef0123456789abcdef | troupe policy try policy.toml --on -\n"
      "Says of each turn that would have gone otherwise which rule and tiers it would have had, as far as the log has\n"
      "their answers. Nothing is asked of any model.");
  add_file(tried, *options);
  tried.add_option("--on", options->log, "Decisions, as troupe policy log writes them; \"-\": the standard input")->required();
  tried.add_flag("--all", options->all, "Turns that would have gone the same way, too");
  tried.add_flag("--json", options->json, "One JSON object a line")->group("Output");
  tried.callback([options, &action] { action = [options] { return try_policy(*options); }; });

  CLI::App& log = *policy.add_subcommand("log", "Write the decisions of conversations, one JSON object a line");
  log.footer(
      "Examples:\n"
      "  troupe policy log 0123456789abcdef0123456789abcdef > decisions.jsonl\n"
      "A line has the turn with its attempts' plans and results, as troupe explain --json prints it but without prompts,\n"
      "and is what troupe policy try reads.");
  log.add_option("conversation", options->conversations, "32 hexadecimal digits; may be repeated")
      ->required()
      ->check(not_empty(a_conversation));
  options->connect.add_to(log);
  log.callback([options, &action] { action = [options] { return log_decisions(*options); }; });
}

}  // namespace troupe::cli
