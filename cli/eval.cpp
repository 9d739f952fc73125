// troupe eval: how good the answers to a question set are, and what they cost; of each tier alone, and of the portfolio.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "bench/question_set.hpp"
#include "cli/ask.hpp"
#include "cli/eval_dialogues.hpp"
#include "cli/eval_node.hpp"
#include "cli/eval_view.hpp"
#include "model/file.hpp"
#include "schemas/routing_file.hpp"
#include "storage/markdown.hpp"

namespace troupe::cli {

namespace {

using Steady = std::chrono::steady_clock;

/// Longer than nodes wait before they tell each other about their work.
constexpr auto counters_interval = std::chrono::seconds(1);
constexpr const char* whole_portfolio = "portfolio";

struct EvalCommand {
  std::string questions;
  std::string corpus;
  std::string policy;
  std::vector<std::string> tiers;
  std::vector<std::string> models;
  std::size_t limit = 0;
  std::vector<std::string> connect;
  bool json = false;
  std::string html;
  std::string answers;
  DeviceChoice device;
  EngineChoice engine;
};

/// The sources of the question that is being asked, for a node in whose place of a search they stand.
class GivenSources {
 public:
  void put(const bench::Question& question) {
    const std::scoped_lock lock(mutex_);
    question_ = question.text;
    keys_.clear();
    for (const storage::Section& source : question.sources) keys_.push_back(source.key);
  }
  std::vector<std::string> of(const std::string& question) {
    const std::scoped_lock lock(mutex_);
    return question == question_ ? keys_ : std::vector<std::string>();
  }

 private:
  std::mutex mutex_;
  std::string question_;
  std::vector<std::string> keys_;
};

/// Everything that rows have in common.
struct Evaluation {
  bench::QuestionSet set;
  bench::Abstentions abstentions;  ///< of the whole set, also where only some of it is asked
  std::vector<storage::Section> corpus;
  policy::RoutingPolicy routing;
  policy::PerTier<std::string> models;
  bench::EvaluationSetting setting;
  std::shared_ptr<GivenSources> sources = std::make_shared<GivenSources>();
};

Result<policy::PerTier<std::string>> models_of(const EvalCommand& command) {
  policy::PerTier<std::string> models;
  for (const policy::Tier tier : policy::tiers) models[policy::place_of(tier)] = to_string(tier);
  for (const std::string& text : command.models) {
    const std::size_t equals = std::min(text.find('='), text.size());
    const auto tier = policy::tier_of(text.substr(0, equals));
    if (!tier || equals + 1 >= text.size()) {
      return Error{ErrorCode::invalid_argument, "--model is \"" + text + "\", expected a tier and a model, as in heavy=FOLDER"};
    }
    models[policy::place_of(*tier)] = text.substr(equals + 1);
  }
  return models;
}

Result<void> choose_corpus(const EvalCommand& command, Evaluation& evaluation) {
  if (!command.connect.empty()) {
    evaluation.setting.corpus = "the corpus of the node";
    if (!evaluation.set.brings_sources) return {};
    return Error{ErrorCode::unsupported, command.questions +
                                             " has questions that bring their sources along, which a running node does not "
                                             "take from a client; leave --connect out"};
  }
  if (evaluation.set.brings_sources) {
    if (!command.corpus.empty()) {
      return Error{ErrorCode::invalid_argument, command.questions + " brings its sources along; leave --corpus out"};
    }
    for (const bench::Question& question : evaluation.set.questions)
      evaluation.corpus.insert(evaluation.corpus.end(), question.sources.begin(), question.sources.end());
    evaluation.setting.corpus = "the sources that come with them";
    return {};
  }
  auto folder = std::filesystem::path(command.corpus);
  if (command.corpus.empty()) folder = std::filesystem::path(command.questions).parent_path();
  if (folder.empty()) folder = ".";
  auto sections = storage::read_markdown(folder);
  if (!sections) {
    if (command.corpus.empty()) sections.error().message += "; say with --corpus where the documents are";
    return sections.error();
  }
  evaluation.corpus = *std::move(sections);
  evaluation.setting.corpus = folder.string() + " (" + std::to_string(evaluation.corpus.size()) + " sections)";
  return bench::check_sections(evaluation.set, evaluation.corpus, command.questions);
}

/// Which rows the table shall have: what was asked for, or each tier of the portfolio and the portfolio.
Result<std::vector<std::string>> rows_of(const EvalCommand& command, const policy::RoutingPolicy& routing) {
  std::vector<std::string> all;
  for (const policy::Tier tier : routing.portfolio) all.emplace_back(to_string(tier));
  all.emplace_back(whole_portfolio);
  if (!command.connect.empty() && command.tiers.size() > 1) {
    return Error{ErrorCode::invalid_argument,
                 "--tiers names " + std::to_string(command.tiers.size()) +
                     " rows, expected one with --connect: a running node keeps what it has computed of the questions, and the "
                     "rows after the first would seem cheaper than they are"};
  }
  if (command.tiers.empty()) return command.connect.empty() ? all : std::vector<std::string>{whole_portfolio};
  for (const std::string& tier : command.tiers) {
    if (std::ranges::find(all, tier) != all.end()) continue;
    std::string names;
    for (const std::string& name : all) names += (names.empty() ? "" : ", ") + name;
    return Error{ErrorCode::invalid_argument, "--tiers has \"" + tier + "\", expected some of " + names};
  }
  std::erase_if(all, [&](const std::string& name) { return std::ranges::find(command.tiers, name) == command.tiers.end(); });
  return all;
}

Result<policy::RoutingPolicy> routing_of(const EvalCommand& command) {
  if (command.policy.empty()) return policy::default_policy();
  TROUPE_TRY(const auto text, model::read_file(command.policy, schemas::routing_file_bytes_max));
  return schemas::parse_routing(text, command.policy);
}

Result<Evaluation> prepare(const EvalCommand& command) {
  Evaluation evaluation;
  evaluation.setting = {command.questions, {}, command.policy.empty() ? "default" : command.policy, {}};
  TROUPE_TRY(evaluation.set, bench::read_questions(command.questions));
  evaluation.abstentions = bench::abstentions_of(evaluation.set);
  TROUPE_TRY_DO(choose_corpus(command, evaluation));
  if (command.limit > 0) evaluation.set = bench::spread(evaluation.set, command.limit);
  TROUPE_TRY(evaluation.models, models_of(command));
  TROUPE_TRY(evaluation.routing, routing_of(command));
  return evaluation;
}

/// One tier answers whatever is asked, and does all work on the way too. What it must reach is what the last rule asks of it.
policy::RoutingPolicy alone(policy::RoutingPolicy routing, policy::Tier tier) {
  policy::RouteRule rule;
  rule.name = "alone";
  rule.start = tier;
  rule.confidence_min = routing.rules.back().confidence_min;
  routing.portfolio = {tier};
  routing.rules = {rule};
  routing.when_unsure.clear();  // the model's own answers are measured
  return routing;
}

/// Of all engines, once it stands still: nodes tell each other about their work a moment later.
Result<bench::Work> settled_work(const clients::Client& client) {
  TROUPE_TRY(auto view, client.status());
  for (bench::Work before = bench::work_of(view);;) {
    std::this_thread::sleep_for(counters_interval);
    TROUPE_TRY(view, client.status());
    const bench::Work work = bench::work_of(view);
    if (work == before) return work;
    before = work;
  }
}

Result<bench::JudgedAnswer> ask_one(const Evaluation& evaluation, const clients::Client& client,
                                    const bench::Question& question, std::optional<policy::Tier> tier) {
  evaluation.sources->put(question);
  policy::Ask ask;
  ask.question = question.text;
  ask.tier = tier;
  if (evaluation.set.brings_sources) ask.grounding = policy::Grounding::always;
  TROUPE_TRY(const auto conversation, client.open());
  const auto began = Steady::now();
  TROUPE_TRY(const auto answer, conversation.ask(ask));
  const auto latency = std::chrono::duration_cast<Duration>(Steady::now() - began);
  if (interrupted()) return Error{ErrorCode::cancelled, "interrupted"};
  TROUPE_TRY(const auto turn, conversation.explain(answer.turn.number));
  return bench::judged(question, evaluation.abstentions, turn, latency);
}

/// Asks one question after the other, so that latency is that of a question and not of a queue.
Result<bench::EvaluationRow> ask_all(const Evaluation& evaluation, const clients::Client& client, const std::string& name,
                                     std::optional<policy::Tier> tier, std::ostream* answers) {
  TROUPE_TRY(const auto before, settled_work(client));
  std::vector<bench::JudgedAnswer> judged;
  auto progress = show_progress("asking " + name);
  const std::size_t count = evaluation.set.questions.size();
  for (const bench::Question& question : evaluation.set.questions) {
    progress(static_cast<double>(judged.size()) / static_cast<double>(count));
    auto answer = ask_one(evaluation, client, question, tier);
    if (!answer) return std::move(answer).error().within("question " + question.id);
    judged.push_back(*std::move(answer));
    if (answers != nullptr) *answers << dumped(json_of(name, judged.back())) << '\n';
  }
  progress(1);
  TROUPE_TRY(const auto after, settled_work(client));
  return bench::sum_up(name, judged, bench::difference(after, before));
}

Result<bench::EvaluationRow> row_of(const EvalCommand& command, Evaluation& evaluation, const std::string& name,
                                    std::ostream* answers) {
  const auto tier = policy::tier_of(name);
  if (!command.connect.empty()) {
    TROUPE_TRY(const auto client, ConnectChoice{.addresses = command.connect}.open());
    evaluation.setting.machine = "the cluster at " + command.connect.front();
    return ask_all(evaluation, client, name, tier, answers);
  }
  EvaluationNodeOptions options{tier ? alone(evaluation.routing, *tier) : evaluation.routing,
                                evaluation.models,
                                evaluation.corpus,
                                {},
                                command.device,
                                command.engine,
                                nullptr};
  if (evaluation.set.brings_sources) {
    options.find_sections = [sources = evaluation.sources](const std::string& question) { return sources->of(question); };
  }
  TROUPE_TRY(const auto node, EvaluationNode::start(std::move(options)));
  evaluation.setting.machine = node->machine();
  return ask_all(evaluation, node->client(), name, std::nullopt, answers);
}

Result<void> check_written(std::ofstream& file, const std::string& name) {
  file.flush();
  if (file) return {};
  return Error{ErrorCode::io, "cannot write to " + name};
}

/// The tier that answers questions about conversations: heavy, which answers what is asked in a chat, or that of --tiers.
Result<policy::Tier> tier_of(const EvalCommand& command, const policy::RoutingPolicy& routing) {
  const auto tier = command.tiers.empty() ? routing.portfolio.back() : policy::tier_of(command.tiers.front());
  if (command.tiers.size() <= 1 && tier && std::ranges::find(routing.portfolio, *tier) != routing.portfolio.end()) return *tier;
  return Error{ErrorCode::invalid_argument,
               "--tiers names no tier of the policy, or several; expected the one that answers questions about the "
               "conversations of " +
                   command.questions};
}

Result<int> eval_dialogues(const EvalCommand& command, const std::string& text) {
  for (const auto& [given, option] : {std::pair(!command.corpus.empty(), "--corpus"),
                                      {!command.connect.empty(), "--connect"},
                                      {!command.html.empty(), "--html"}}) {
    if (given) {
      return Error{ErrorCode::invalid_argument,
                   std::string(option) + " has no effect on the conversations of " + command.questions + "; leave it out"};
    }
  }
  DialogueEvaluation evaluation;
  evaluation.file = command.questions;
  TROUPE_TRY(evaluation.set, bench::parse_dialogues(text, command.questions));
  TROUPE_TRY(evaluation.routing, routing_of(command));
  TROUPE_TRY(evaluation.models, models_of(command));
  TROUPE_TRY(evaluation.tier, tier_of(command, evaluation.routing));
  evaluation.limit = command.limit;
  evaluation.device = command.device;
  evaluation.engine = command.engine;
  std::ofstream answers;
  if (!command.answers.empty()) {
    answers.open(command.answers, std::ios::binary);
    TROUPE_TRY_DO(check_written(answers, command.answers));
    evaluation.answers = &answers;
  }
  catch_interrupts();
  TROUPE_TRY(const auto rows, evaluate(evaluation));
  if (command.json) {
    std::cout << dumped(json_of(evaluation, rows)) << std::endl;
  } else {
    print_dialogues(std::cout, rows);
  }
  TROUPE_TRY_DO(check_written(answers, command.answers));
  return 0;
}

Result<int> eval(const EvalCommand& command) {
  TROUPE_TRY(const auto text, model::read_file(command.questions, bench::QuestionSet::bytes_max));
  if (bench::has_dialogues(text)) return eval_dialogues(command, text);
  TROUPE_TRY(auto evaluation, prepare(command));
  TROUPE_TRY(const auto names, rows_of(command, evaluation.routing));
  // Before the work rather than after it.
  std::ofstream html;
  std::ofstream answers;
  if (!command.html.empty()) html.open(command.html, std::ios::binary);
  if (!command.answers.empty()) answers.open(command.answers, std::ios::binary);
  TROUPE_TRY_DO(check_written(html, command.html));
  TROUPE_TRY_DO(check_written(answers, command.answers));
  catch_interrupts();
  std::vector<bench::EvaluationRow> rows;
  for (const std::string& name : names) {
    TROUPE_TRY(auto row, row_of(command, evaluation, name, command.answers.empty() ? nullptr : &answers));
    rows.push_back(std::move(row));
  }
  if (!command.html.empty()) html << bench::page_of(evaluation.setting, rows);
  if (command.json) {
    std::cout << dumped(json_of(evaluation.setting, rows)) << std::endl;
  } else {
    print_evaluation(std::cout, rows);
  }
  TROUPE_TRY_DO(check_written(html, command.html));
  TROUPE_TRY_DO(check_written(answers, command.answers));
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  auto options = std::make_shared<EvalCommand>();
  CLI::App& command = *app.add_subcommand("eval", "Measure answers to questions with known answers");
  command.footer(
      "Examples:\n"
      "  troupe eval portfolio/handbook/questions.jsonl\n"
      "  troupe eval portfolio/eval/grounded.jsonl --json --html report.html\n"
      "  troupe eval portfolio/eval/dialogues.jsonl --tiers heavy\n"
      "  troupe eval mine.jsonl --corpus docs/ --policy policy.toml --tiers heavy,portfolio --limit 50\n"
      "Asks mini, medium and heavy alone and then the portfolio, each in a node of its own in this process, and prints\n"
      "accuracy, calibration, latency and cost. Of a file of conversations, holds them again and asks what was said, and "
      "prints\n"
      "what is recalled with summaries, with everything and with a truncated prompt, and the tokens of each. "
      "docs/evaluation.md says what is measured and how such a file is made.\n"
      "Exit status: 0 measured, 1 an error, 2 a wrong command line.");
  command.add_option("questions", options->questions, "A file of JSON lines")->required()->check(CLI::ExistingFile);
  CLI::Option* corpus =
      command.add_option("--corpus", options->corpus, "A folder of Markdown to answer from (default: the file's own folder)")
          ->check(CLI::ExistingDirectory);
  CLI::Option* policy =
      command.add_option("--policy", options->policy, "Routing policy, TOML (deploy/policy.toml is the default, explained)")
          ->check(CLI::ExistingFile);
  command
      .add_option("--tiers", options->tiers,
                  "Which rows: mini, medium, heavy, portfolio; with commas (default: all; with --connect one, the portfolio)")
      ->delimiter(',');
  CLI::Option* models = command.add_option(
      "--model", options->models, "Another model for a tier: TIER=FOLDER; may be repeated (default: the bundled ones)");
  command.add_option("--limit", options->limit, "Only so many of the questions, spread evenly over the file (0: all)")
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
