// troupe eval: measures answers to questions with known answers, labels of utterances with known labels, or what conversations
// recall: the command line, and which of them a file is about.
#include "cli/eval.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "bench/question_set.hpp"
#include "bench/set_form.hpp"
#include "model/file.hpp"
#include "schemas/routing_file.hpp"

namespace troupe::cli {

namespace {

Result<int> eval(const EvalCommand& command) {
  TROUPE_TRY(const auto text, model::read_file(command.questions, bench::QuestionSet::bytes_max));
  switch (bench::form_of(text)) {
    case bench::SetForm::questions: return eval_questions(command);
    case bench::SetForm::intents: return eval_intents(command);
    case bench::SetForm::dialogues: return eval_dialogues(command);
  }
  return 0;
}

}  // namespace

Result<policy::PerTier<std::string>> EvalCommand::models_of_tiers() const {
  policy::PerTier<std::string> all;
  for (const policy::Tier tier : policy::tiers) all[policy::place_of(tier)] = to_string(tier);
  for (const std::string& text : models) {
    const std::size_t equals = std::min(text.find('='), text.size());
    const auto tier = policy::tier_of(text.substr(0, equals));
    if (!tier || equals + 1 >= text.size()) {
      return Error{ErrorCode::invalid_argument, "--model is \"" + text + "\", expected a tier and a model, as in heavy=FOLDER"};
    }
    all[policy::place_of(*tier)] = text.substr(equals + 1);
  }
  return all;
}

Result<policy::RoutingPolicy> EvalCommand::routing() const {
  if (policy.empty()) return policy::default_policy();
  TROUPE_TRY(const auto text, model::read_file(policy, schemas::routing_file_bytes_max));
  return schemas::parse_routing(text, policy);
}

Result<std::vector<std::string>> EvalCommand::rows_among(std::vector<std::string> all) const {
  if (tiers.empty()) return all;
  for (const std::string& tier : tiers) {
    if (std::ranges::find(all, tier) != all.end()) continue;
    std::string names;
    for (const std::string& name : all) names += (names.empty() ? "" : ", ") + name;
    return Error{ErrorCode::invalid_argument, "--tiers has \"" + tier + "\", expected some of " + names};
  }
  std::erase_if(all, [&](const std::string& name) { return std::ranges::find(tiers, name) == tiers.end(); });
  return all;
}

void add_eval(CLI::App& app, Action& action) {
  auto options = std::make_shared<EvalCommand>();
  CLI::App& command = *app.add_subcommand(
      "eval", "Measure answers to questions with known answers, labels of utterances, or what conversations recall");
  command.footer(
      "Examples:\n"
      "  troupe eval portfolio/handbook/questions.jsonl\n"
      "  troupe eval portfolio/eval/grounded.jsonl --json --html report.html\n"
      "  troupe eval mine.jsonl --corpus docs/ --policy policy.toml --tiers heavy,portfolio --limit 50\n"
      "  troupe eval portfolio/eval/clinc_test.jsonl --html intents.html\n"
      "  troupe eval portfolio/eval/dialogues.jsonl --html recall.html\n"
      "Asks mini, medium and heavy alone and then the portfolio, each in a node of its own in this process, and prints\n"
      "accuracy, calibration, latency and cost. A file of utterances with their labels (messages and answer in each row) is\n"
      "given to each model by itself, which names them. Conversations of a file are held again, and asked what was said: with\n"
      "summaries, with everything, and with a truncated prompt. docs/evaluation.md says what is measured, and how such files\n"
      "are made.\n"
      "Exit status: 0 measured, 1 an error, 2 a wrong command line.");
  command.add_option("questions", options->questions, "A file of JSON lines")->required()->check(CLI::ExistingFile);
  CLI::Option* corpus =
      command.add_option("--corpus", options->corpus, "A folder of Markdown to answer from (default: the file's own folder)")
          ->check(CLI::ExistingDirectory);
  CLI::Option* policy =
      command.add_option("--policy", options->policy, "Routing policy, TOML (deploy/policy.toml is the default, explained)")
          ->check(CLI::ExistingFile);
  command
      .add_option(
          "--tiers", options->tiers,
          "Which rows: mini, medium, heavy, portfolio; with commas (default: all; with --connect one, the portfolio). Of "
          "conversations: the one that answers (default: heavy)")
      ->delimiter(',')
      ->allow_extra_args(false);
  CLI::Option* models = command
                            .add_option("--model", options->models,
                                        "Another model for a tier: TIER=FOLDER; may be repeated (default: the bundled ones)")
                            ->allow_extra_args(false);
  command
      .add_option("--limit", options->limit,
                  "Only so many of the questions, spread evenly over the file, or so many of its conversations (0: all)")
      ->check(CLI::Range(std::size_t{0}, bench::QuestionSet::questions_max));
  command
      .add_option("--connect", options->connect,
                  "Ask a running node, host:port, which should be fresh and have nothing else to do; repeated: others to go to "
                  "when it is lost")
      ->excludes(corpus)
      ->excludes(policy)
      ->excludes(models)
      ->group("Connection");
  options->device.add_to(command);
  options->engine.add_to(command);
  command.add_flag("--json", options->json, "One JSON object at the end")->group("Output");
  command.add_option("--html", options->html, "Write a page with tables and diagrams to this file")->group("Output");
  command.add_option("--answers", options->answers, "Write every answer and its verdict to this file, a JSON object a line")
      ->group("Output");
  command.callback([options, &action] { action = [options] { return eval(*options); }; });
}

}  // namespace troupe::cli
