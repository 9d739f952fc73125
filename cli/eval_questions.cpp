// troupe eval of questions: how good the answers are, and what they cost; of each tier alone, and of the portfolio.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "bench/question_set.hpp"
#include "cli/ask.hpp"
#include "cli/eval.hpp"
#include "cli/eval_node.hpp"
#include "cli/eval_view.hpp"
#include "cli/report_files.hpp"
#include "cli/settled_view.hpp"
#include "storage/markdown.hpp"

namespace troupe::cli {

namespace {

using Steady = std::chrono::steady_clock;

constexpr const char* whole_portfolio = "portfolio";

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
  if (command.tiers.empty() && !command.connect.empty()) return std::vector<std::string>{whole_portfolio};
  return command.rows_among(std::move(all));
}

Result<Evaluation> prepare(const EvalCommand& command) {
  Evaluation evaluation;
  evaluation.setting = {command.questions, {}, command.policy.empty() ? "default" : command.policy, {}};
  TROUPE_TRY(evaluation.set, bench::read_questions(command.questions));
  evaluation.abstentions = bench::abstentions_of(evaluation.set);
  TROUPE_TRY_DO(choose_corpus(command, evaluation));
  if (command.limit > 0) evaluation.set = bench::spread(evaluation.set, command.limit);
  TROUPE_TRY(evaluation.models, command.models_of_tiers());
  TROUPE_TRY(evaluation.routing, command.routing());
  // Sources that come with a question are in no order, so that none of them may be left out.
  for (const bench::Question& question : evaluation.set.questions) {
    const auto sources = static_cast<std::int32_t>(question.sources.size());
    for (std::int32_t& passages : evaluation.routing.prompt_passages) passages = std::max(passages, sources);
  }
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
  routing.intent.tier.reset();
  // The model's own answers are measured.
  routing.when_unsure.clear();
  routing.when_unsupported.clear();
  routing.intent.out_of_scope_answer.clear();
  return routing;
}

/// Of all engines, once it stands still.
Result<bench::Work> settled_work(const clients::Client& client) {
  TROUPE_TRY(const auto view, settled_view(client));
  return bench::work_of(view);
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
                                command.engine};
  if (evaluation.set.brings_sources) {
    options.find_sections = [sources = evaluation.sources](const std::string& question) { return sources->of(question); };
  }
  TROUPE_TRY(const auto node, EvaluationNode::start(std::move(options)));
  evaluation.setting.machine = node->machine();
  return ask_all(evaluation, node->client(), name, std::nullopt, answers);
}

}  // namespace

Result<int> eval_questions(const EvalCommand& command) {
  TROUPE_TRY(auto evaluation, prepare(command));
  TROUPE_TRY(const auto names, rows_of(command, evaluation.routing));
  catch_interrupts();
  TROUPE_TRY(const auto files, ReportFiles::open(command.html, command.answers, {command.questions, command.policy}));
  std::vector<bench::EvaluationRow> rows;
  for (const std::string& name : names) {
    TROUPE_TRY(auto row, row_of(command, evaluation, name, files->answers()));
    rows.push_back(std::move(row));
  }
  if (files->html() != nullptr) *files->html() << bench::page_of(evaluation.setting, rows);
  if (command.json) {
    std::cout << dumped(json_of(evaluation.setting, rows)) << std::endl;
  } else {
    print_evaluation(std::cout, rows);
  }
  TROUPE_TRY_DO(files->finish());
  return 0;
}

}  // namespace troupe::cli
