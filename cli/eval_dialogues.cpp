#include "cli/eval_dialogues.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <iostream>
#include <mutex>
#include <optional>
#include <ostream>
#include <set>
#include <thread>
#include <utility>

#include "cli/ask.hpp"
#include "cli/eval.hpp"
#include "cli/eval_node.hpp"
#include "cli/eval_view.hpp"
#include "cli/report_files.hpp"
#include "model/file.hpp"
#include "model/tokenizer.hpp"

namespace troupe::cli {

namespace {

constexpr std::array<std::size_t, 5> usual_exchanges = {10, 20, 30, 100, 300};
constexpr std::int32_t answer_tokens_max = 256;
constexpr std::size_t askers = 4;  ///< at a time: a conversation waits for its disk most of the time

/// One probe, to be asked after the first exchanges of its conversation.
struct Job {
  const bench::Dialogue* dialogue = nullptr;
  const std::vector<std::uint64_t>* seeds = nullptr;  ///< of the exchanges' recorded answers
  bench::Probe probe;
  std::size_t exchanges = 0;
  std::string pin;
};

/// What one row asks, on a node of its own.
struct Row {
  std::string method;
  std::size_t exchanges = 0;
  policy::RoutingPolicy routing;
};

/// All rows of an evaluation share the recording and the tokenizer.
class Evaluator {
 public:
  Evaluator(const DialogueEvaluation& evaluation, model::Tokenizer tokenizer)
      : evaluation_(evaluation), tokenizer_(std::move(tokenizer)) {
    for (const bench::Dialogue& dialogue : evaluation.set.dialogues) {
      if (evaluation.limit > 0 && seeds_.size() == evaluation.limit) break;
      std::vector<std::uint64_t>& seeds = seeds_.emplace_back();
      for (const policy::Exchange& exchange : dialogue.exchanges) seeds.push_back(recording_->add(exchange.answer));
    }
  }

  Result<DialogueResults> run();

 private:
  std::vector<std::size_t> exchanges() const;
  std::vector<Job> jobs_of(const Row& row) const;
  policy::RoutingPolicy routing() const;
  Result<bench::DialogueRow> ask_all(const Row& row);
  Result<bench::DialogueRow> ask_truncated(Row row, double tokens);
  Result<bench::JudgedProbe> ask_one(const clients::Client& client, const Row& row, const Job& job);

  const DialogueEvaluation& evaluation_;
  model::Tokenizer tokenizer_;
  std::shared_ptr<bench::Recording> recording_ = std::make_shared<bench::Recording>();
  std::vector<std::vector<std::uint64_t>> seeds_;  ///< for each conversation
  std::int32_t window_ = 0;                        ///< of the model that answers, once a node has told
  std::string machine_;                            ///< that the nodes compute on, likewise
  std::mutex answers_mutex_;
};

/// After how many exchanges something is asked; 0 stands for all of a conversation.
std::vector<std::size_t> Evaluator::exchanges() const {
  std::set<std::size_t> found;
  bool at_the_end = false;
  for (std::size_t i = 0; i < seeds_.size(); ++i) {
    const bench::Dialogue& dialogue = evaluation_.set.dialogues[i];
    for (const bench::Probe& probe : dialogue.probes) {
      if (probe.asked > 0) found.insert(probe.asked);
      at_the_end = at_the_end || probe.asked == 0;
    }
    for (const std::size_t count : usual_exchanges) {
      if (!dialogue.probes_after(count).empty()) found.insert(count);
    }
  }
  std::vector<std::size_t> ascending(found.begin(), found.end());
  if (at_the_end) ascending.push_back(0);
  return ascending;
}

std::vector<Job> Evaluator::jobs_of(const Row& row) const {
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < seeds_.size(); ++i) {
    const bench::Dialogue& dialogue = evaluation_.set.dialogues[i];
    const std::size_t exchanges = row.exchanges > 0 ? row.exchanges : dialogue.exchanges.size();
    for (bench::Probe& probe : dialogue.probes_after(exchanges)) {
      std::string pin;
      if (row.method == bench::with_pins) {
        pin = probe.since > 0 ? bench::fact_of(dialogue, probe) : std::string();
        if (pin.empty() || pin.size() > policy::Pins::text_bytes_max) continue;
      }
      jobs.push_back({&dialogue, &seeds_[i], std::move(probe), exchanges, std::move(pin)});
    }
  }
  return jobs;
}

/// The tier answers whatever is asked, and the smallest one summarises.
policy::RoutingPolicy Evaluator::routing() const {
  policy::RoutingPolicy routing = evaluation_.routing;
  const policy::Tier smallest = routing.smallest();
  routing.portfolio = {smallest};
  if (evaluation_.tier != smallest) routing.portfolio.push_back(evaluation_.tier);
  policy::RouteRule rule;
  rule.name = "dialogues";
  rule.start = evaluation_.tier;
  routing.rules = {rule};
  routing.when_unsure.clear();
  return routing;
}

Result<DialogueResults> Evaluator::run() {
  std::vector<bench::DialogueRow> rows;
  const std::size_t place = policy::place_of(evaluation_.tier);
  for (const std::size_t count : exchanges()) {
    Row row{bench::with_summaries, count, routing()};
    TROUPE_TRY(auto summaries, ask_all(row));
    rows.push_back(summaries);
    row.method = bench::with_pins;
    if (!jobs_of(row).empty()) {
      TROUPE_TRY(auto pinned, ask_all(row));
      rows.push_back(std::move(pinned));
    }
    row.routing.recent_turns = policy::RoutingPolicy::tokens_limit;
    row.routing.recent_tokens = policy::RoutingPolicy::tokens_limit;
    row.method = bench::with_everything;
    row.routing.prompt_tokens[place] = window_ - answer_tokens_max;
    TROUPE_TRY(auto everything, ask_all(row));
    rows.push_back(std::move(everything));
    TROUPE_TRY(auto truncated, ask_truncated(std::move(row), summaries.prompt_tokens));
    rows.push_back(std::move(truncated));
  }
  return DialogueResults{std::move(rows), machine_};
}

/// A prompt is counted by its parts, which comes to more than it has: the budget that gives about so many tokens is looked for.
Result<bench::DialogueRow> Evaluator::ask_truncated(Row row, double tokens) {
  constexpr int tries_max = 3;
  constexpr double near_enough = 0.96;
  row.method = bench::with_truncation;
  std::int32_t& budget = row.routing.prompt_tokens[policy::place_of(evaluation_.tier)];
  budget = static_cast<std::int32_t>(std::ceil(tokens));
  for (int tried = 1;; ++tried) {
    TROUPE_TRY(auto truncated, ask_all(row));
    if (tried == tries_max || truncated.prompt_tokens == 0 || truncated.prompt_tokens >= near_enough * tokens) return truncated;
    const double next = budget * tokens / truncated.prompt_tokens;
    budget = std::min(static_cast<std::int32_t>(next), window_ - answer_tokens_max);
  }
}

Result<bench::DialogueRow> Evaluator::ask_all(const Row& row) {
  TROUPE_TRY(const auto node, EvaluationNode::start({.routing = row.routing,
                                                     .models = evaluation_.models,
                                                     .corpus = {},
                                                     .find_sections = {},
                                                     .device = evaluation_.device,
                                                     .engine = evaluation_.engine,
                                                     .recording = recording_}));
  machine_ = node->machine();
  TROUPE_TRY(const auto models, node->client().models());
  for (const clients::ServedModel& model : models) {
    if (model.tier == evaluation_.tier) window_ = model.context_max;
  }
  const std::vector<Job> jobs = jobs_of(row);
  std::vector<bench::JudgedProbe> judged(jobs.size());
  auto progress = show_progress(row.method + " after " + bench::name_of_exchanges(row.exchanges) + " exchanges");
  std::atomic<std::size_t> next = 0;
  std::atomic<std::size_t> done = 0;
  std::mutex mutex;
  std::optional<Error> problem;
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs.size(); i = next++) {
      auto one = ask_one(node->client(), row, jobs[i]);
      const std::scoped_lock lock(mutex);
      if (!one && !problem) problem = std::move(one).error().within("conversation " + jobs[i].dialogue->id);
      if (problem) return;
      judged[i] = *one;
      progress(static_cast<double>(++done) / static_cast<double>(jobs.size()));
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < askers; ++i) threads.emplace_back(work);
  }
  if (problem) return *problem;
  return bench::sum_up(row.method, row.exchanges, judged);
}

Result<bench::JudgedProbe> Evaluator::ask_one(const clients::Client& client, const Row& row, const Job& job) {
  TROUPE_TRY(const auto conversation, client.open());
  policy::Ask ask;
  ask.grounding = policy::Grounding::never;
  ask.tokens_max = answer_tokens_max;
  for (std::size_t i = 0; i < job.exchanges; ++i) {
    if (interrupted()) return Error{ErrorCode::cancelled, "interrupted"};
    ask.question = job.dialogue->exchanges[i].question;
    ask.seed = (*job.seeds)[i];
    ask.assurance = policy::Assurance::draft;
    TROUPE_TRY(const auto said, conversation.ask(ask));
    if (!said.end.outcome.committed) return Error{ErrorCode::unavailable, "a turn ended as: " + said.end.outcome.message};
    if (i + 1 == job.probe.since && !job.pin.empty()) {
      TROUPE_TRY_DO(conversation.pin(job.pin));
    }
  }
  ask.question = job.probe.question;
  ask.seed = 0;
  ask.assurance = policy::Assurance::standard;
  TROUPE_TRY(const auto answer, conversation.ask(ask));
  TROUPE_TRY(const auto turn, conversation.explain(answer.turn.number, true));
  const policy::AttemptPlan& plan = turn.attempts.back().plan;
  bench::JudgedProbe judged;
  judged.recalled = answer.end.outcome.committed && bench::recalls(job.probe, answer.end.outcome.answer);
  judged.early = job.probe.since > 0 && 3 * job.probe.since <= job.exchanges;
  judged.whole = std::ranges::none_of(plan.left_out, [](const policy::LeftOut& each) { return each.what.starts_with("turn"); });
  judged.pinned = !job.pin.empty();
  judged.verbatim = judged.pinned && tokenizer_.decode(plan.prompt, false).find(job.pin) != std::string::npos;
  judged.prompt_tokens = static_cast<std::int64_t>(plan.prompt.size());
  if (evaluation_.answers != nullptr) {
    const std::scoped_lock lock(answers_mutex_);
    *evaluation_.answers << dumped({{"method", row.method},
                                    {"exchanges", job.exchanges},
                                    {"id", job.dialogue->id},
                                    {"kind", job.probe.kind},
                                    {"since", job.probe.since},
                                    {"question", job.probe.question},
                                    {"expected", job.probe.answer},
                                    {"answer", answer.end.outcome.answer},
                                    {"recalled", judged.recalled},
                                    {"prompt_tokens", judged.prompt_tokens}})
                         << '\n';
  }
  return judged;
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

bench::DialogueSetting setting_of(const EvalCommand& command, const DialogueEvaluation& evaluation,
                                  const std::string& machine) {
  const std::size_t all = evaluation.set.dialogues.size();
  return {.dialogues = command.questions,
          .conversations = command.limit > 0 ? std::min(command.limit, all) : all,
          .tier = std::string(to_string(evaluation.tier)),
          .summarizer = std::string(to_string(evaluation.routing.smallest())),
          .policy = command.policy.empty() ? "default" : command.policy,
          .machine = machine};
}

}  // namespace

Result<DialogueResults> evaluate(const DialogueEvaluation& evaluation) {
  TROUPE_TRY(const auto folder, find_model(evaluation.models[policy::place_of(evaluation.tier)]));
  TROUPE_TRY(auto tokenizer, model::Tokenizer::load(folder / "tokenizer.json"));
  Evaluator evaluator(evaluation, std::move(tokenizer));
  TROUPE_TRY(auto results, evaluator.run());
  if (!results.rows.empty()) return results;
  return Error{ErrorCode::invalid_argument,
               evaluation.file + " has no probe that can be asked after as many exchanges as it has"};
}

void print_dialogues(std::ostream& stream, std::span<const bench::DialogueRow> rows) {
  print_table(stream, bench::dialogue_table(rows));
  if (const auto comparison = bench::compare(rows)) stream << bench::sentence_of(*comparison) << '\n';
}

Json json_of(const bench::DialogueSetting& setting, std::span<const bench::DialogueRow> rows) {
  Json object{{"dialogues", setting.dialogues}, {"conversations", setting.conversations},
              {"tier", setting.tier},           {"summarizer", setting.summarizer},
              {"policy", setting.policy},       {"machine", setting.machine},
              {"rows", Json::array()}};
  for (const bench::DialogueRow& row : rows) {
    object["rows"].push_back({{"exchanges", row.exchanges},
                              {"method", row.method},
                              {"probes", row.probes},
                              {"recall", row.recall},
                              {"early_probes", row.early_probes},
                              {"early_recall", or_null(row.early_recall)},
                              {"prompt_tokens", row.prompt_tokens},
                              {"prompt_tokens_max", row.prompt_tokens_max},
                              {"whole", row.whole},
                              {"verbatim", or_null(row.verbatim)}});
  }
  if (const auto comparison = bench::compare(rows)) {
    object["comparison"] = {{"exchanges", bench::DialogueComparison::exchanges},     {"points", comparison->points},
                            {"points_mark", bench::DialogueComparison::points_mark}, {"tokens_share", comparison->tokens_share},
                            {"tokens_mark", bench::DialogueComparison::tokens_mark}, {"holds", comparison->holds()}};
  }
  return object;
}

Result<int> eval_dialogues(const EvalCommand& command) {
  for (const auto& [given, option] :
       {std::pair(!command.corpus.empty(), "--corpus"), {!command.connect.empty(), "--connect"}}) {
    if (given) {
      return Error{ErrorCode::invalid_argument,
                   std::string(option) + " has no effect on the conversations of " + command.questions + "; leave it out"};
    }
  }
  DialogueEvaluation evaluation;
  evaluation.file = command.questions;
  TROUPE_TRY(const auto text, model::read_file(command.questions, bench::DialogueSet::bytes_max));
  TROUPE_TRY(evaluation.set, bench::parse_dialogues(text, command.questions));
  TROUPE_TRY(evaluation.routing, command.routing());
  TROUPE_TRY(evaluation.models, command.models_of_tiers());
  TROUPE_TRY(evaluation.tier, tier_of(command, evaluation.routing));
  evaluation.limit = command.limit;
  evaluation.device = command.device;
  evaluation.engine = command.engine;
  catch_interrupts();
  TROUPE_TRY(const auto files, ReportFiles::open(command.html, command.answers, {command.questions, command.policy}));
  evaluation.answers = files->answers();
  TROUPE_TRY(const auto results, evaluate(evaluation));
  const bench::DialogueSetting setting = setting_of(command, evaluation, results.machine);
  if (files->html() != nullptr) *files->html() << bench::page_of(setting, results.rows);
  if (command.json) {
    std::cout << dumped(json_of(setting, results.rows)) << std::endl;
  } else {
    print_dialogues(std::cout, results.rows);
  }
  TROUPE_TRY_DO(files->finish());
  return 0;
}

}  // namespace troupe::cli
