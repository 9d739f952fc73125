// troupe bench story: the same conversations, answered as teams chain retrieval and a large model, and by a troupe.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <iostream>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "bench/chain.hpp"
#include "bench/evaluation.hpp"
#include "cli/ask.hpp"
#include "cli/command.hpp"
#include "cli/eval_node.hpp"
#include "cli/report_files.hpp"
#include "cli/settled_view.hpp"
#include "cli/story_view.hpp"
#include "model/model.hpp"
#include "storage/markdown.hpp"

namespace troupe::cli {

namespace {

using Steady = std::chrono::steady_clock;
using End = bench::StoryAnswer::End;

struct StoryCommand {
  std::string questions;  ///< empty: the bundled ones
  std::string corpus;
  std::size_t turns = 6;
  std::size_t clients = 12;
  std::size_t runs = 3;
  std::size_t limit = 0;
  std::size_t memory_mebibytes = 128;
  float temperature = 0.7F;
  bool forget_passages = false;
  std::uint64_t seed = 1;
  bool json = false;
  std::string html;
  std::string answers;
  DeviceChoice device;
};

struct Story {
  bench::QuestionSet set;
  bench::Abstentions abstentions;
  std::vector<storage::Section> corpus;
  bench::StoryLoad load;
};

Result<Story> prepare(const StoryCommand& command) {
  Story story;
  TROUPE_TRY(auto set, bench::read_questions(command.questions));
  if (set.brings_sources) {
    return Error{ErrorCode::invalid_argument, command.questions +
                                                  " brings its sources along, and a conversation searches a corpus; give "
                                                  "questions about one, as portfolio/handbook/questions.jsonl"};
  }
  story.abstentions = bench::abstentions_of(set);
  story.set = command.limit == 0 ? std::move(set) : bench::spread(set, command.limit);
  auto folder = std::filesystem::path(command.corpus);
  if (command.corpus.empty()) folder = std::filesystem::path(command.questions).parent_path();
  if (folder.empty()) folder = ".";
  TROUPE_TRY(story.corpus, storage::read_markdown(folder));
  TROUPE_TRY_DO(bench::check_sections(story.set, story.corpus, command.questions));
  story.load = bench::story_load(story.set, command.turns, command.seed);
  return story;
}

/// The runs of the chain, one after the other, on a model that is loaded once.
Result<std::vector<bench::StoryRun>> run_chains(const StoryCommand& command, const Story& story) {
  TROUPE_TRY(const auto folder, find_model("heavy"));
  TROUPE_TRY(const auto device, command.device.open());
  TROUPE_TRY(const auto model, model::Model::load(folder, *device, show_progress("loading " + folder.string())));
  std::vector<bench::StoryRun> runs;
  for (std::size_t run = 0; run < command.runs; ++run) {
    bench::ChainOptions options;
    options.clients = command.clients;
    options.memory_bytes = command.memory_mebibytes << 20;
    options.temperature = command.temperature;
    options.forgets_passages = command.forget_passages;
    options.seed = command.seed;
    options.run = run;
    options.interrupted = interrupted;
    TROUPE_TRY(auto done, bench::run_chain(model, *device, story.set, story.load, story.corpus, options,
                                           show_progress("as teams do it, run " + std::to_string(run + 1))));
    runs.push_back(std::move(done));
  }
  return runs;
}

/// The KV pools that the memory has room for: what is left of it besides weights and activations, in parts that hold the same
/// number of tokens each.
Result<policy::PerTier<std::int64_t>> pools_of(const StoryCommand& command) {
  policy::PerTier<std::size_t> token_bytes{};
  std::size_t others = 0;
  std::size_t all_token_bytes = 0;
  std::size_t window_bytes = 0;
  TROUPE_TRY(const auto device, command.device.open());
  for (const policy::Tier tier : policy::tiers) {
    TROUPE_TRY(const auto folder, find_model(std::string(to_string(tier))));
    TROUPE_TRY(const auto config, model::load_config(folder / "config.json"));
    TROUPE_TRY(const auto plan,
               engine::plan_memory(config, EngineChoice().options(device->kind()), {device->kind(), device->free_bytes()}));
    others += plan.total() - plan.kv_bytes;
    token_bytes[policy::place_of(tier)] = plan.kv_bytes_per_token;
    all_token_bytes += plan.kv_bytes_per_token;
    window_bytes += plan.kv_bytes_per_token * static_cast<std::size_t>(plan.context_max);
  }
  const std::size_t memory = command.memory_mebibytes << 20;
  if (memory < others + window_bytes) {
    return Error{ErrorCode::too_large, "--memory is " + std::to_string(command.memory_mebibytes) +
                                           " MiB; weights and activations of mini, medium and "
                                           "heavy have " +
                                           std::to_string(others >> 20) + " MiB, and a whole context of each " +
                                           std::to_string(window_bytes >> 20) + " MiB; give them more"};
  }
  policy::PerTier<std::int64_t> pools{};
  for (std::size_t i = 0; i < pools.size(); ++i)
    pools[i] = static_cast<std::int64_t>(((memory - others) / all_token_bytes * token_bytes[i]) >> 20);
  return pools;
}

/// Calls `work` with each number below `count`, a thread for each; the first error.
Result<void> on_threads(std::size_t count, const std::function<Result<void>(std::size_t)>& work) {
  std::mutex mutex;
  std::optional<Error> first;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      auto done = work(i);
      const std::scoped_lock lock(mutex);
      if (!done && !first) first = std::move(done).error();
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (first) return *first;
  return {};
}

Result<bench::StoryAnswer> ask_one(const clients::Conversation& conversation, const std::string& question) {
  policy::Ask ask;
  ask.question = question;
  bench::StoryAnswer answer;
  const auto asked = Steady::now();
  const auto end = conversation.ask(ask);
  answer.latency = std::chrono::duration_cast<Duration>(Steady::now() - asked);
  if (interrupted()) return Error{ErrorCode::cancelled, "interrupted"};
  if (!end) {
    answer.text = end.error().message;
    return answer;
  }
  const policy::TurnOutcome& outcome = end->end.outcome;
  answer.end = outcome.committed ? End::answered : End::refused;
  answer.text = outcome.committed ? outcome.answer : outcome.message;
  return answer;
}

/// A run in a node of its own, so that nothing is reused of the run before.
Result<bench::StoryRun> run_troupe(const EvaluationNodeOptions& options, const StoryCommand& command, const Story& story,
                                   std::string& machine, const model::Progress& progress) {
  TROUPE_TRY(const auto node, EvaluationNode::start(options));
  machine = node->machine();
  bench::StoryRun run;
  run.answers.resize(story.set.questions.size());
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::size_t done = 0;
  const auto began = Steady::now();
  TROUPE_TRY_DO(on_threads(std::min(command.clients, story.load.size()), [&](std::size_t) -> Result<void> {
    for (std::size_t place = next++; place < story.load.size(); place = next++) {
      TROUPE_TRY(const auto conversation, node->client().open());
      for (const std::size_t question : story.load[place]) {
        TROUPE_TRY(run.answers[question], ask_one(conversation, story.set.questions[question].text));
        const std::scoped_lock lock(mutex);
        progress(static_cast<double>(++done) / static_cast<double>(run.answers.size()));
      }
    }
    return {};
  }));
  run.elapsed = std::chrono::duration_cast<Duration>(Steady::now() - began);
  TROUPE_TRY(const auto view, settled_view(node->client()));
  for (const bench::TierWork& tier : bench::work_of(view)) {
    run.work.computed_tokens += tier.computed_tokens;
    run.work.cost += tier.cost;
  }
  for (const policy::NodeView& each : view.nodes)
    for (const policy::ReplicaView& replica : each.replicas) run.work.reused_tokens += replica.reused_tokens;
  return run;
}

Result<std::vector<bench::StoryRun>> run_troupes(const StoryCommand& command, const Story& story,
                                                 const policy::PerTier<std::int64_t>& pools, std::string& machine) {
  EvaluationNodeOptions options;
  options.routing = policy::default_policy();
  for (const policy::Tier tier : policy::tiers) options.models[policy::place_of(tier)] = to_string(tier);
  options.corpus = story.corpus;
  options.device = command.device;
  options.kv_mebibytes = pools;
  std::vector<bench::StoryRun> runs;
  for (std::size_t run = 0; run < command.runs; ++run) {
    TROUPE_TRY(auto done,
               run_troupe(options, command, story, machine, show_progress("troupe, run " + std::to_string(run + 1))));
    runs.push_back(std::move(done));
  }
  return runs;
}

void write_answers(std::ostream& stream, const std::string& name, const Story& story,
                   const std::vector<bench::StoryRun>& runs) {
  for (std::size_t run = 0; run < runs.size(); ++run) {
    for (std::size_t i = 0; i < story.set.questions.size(); ++i) {
      const bench::StoryAnswer& answer = runs[run].answers[i];
      const nlohmann::ordered_json line{
          {"name", name},
          {"run", run + 1},
          {"id", story.set.questions[i].id},
          {"end", answer.end == End::answered  ? "answered"
                  : answer.end == End::refused ? "refused"
                                               : "out_of_memory"},
          {"answer", answer.text},
          {"right",
           answer.end == End::answered && bench::says_the_values(story.set.questions[i], story.abstentions, answer.text)},
          {"latency_ms", std::chrono::duration<double, std::milli>(answer.latency).count()},
          {"cut", answer.cut}};
      stream << line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    }
  }
}

Result<int> bench_story(StoryCommand command) {
  if (command.questions.empty()) {
    TROUPE_TRY(const auto mini, find_model("mini"));  // they stand beside the bundled models
    command.questions = (mini.parent_path() / "handbook/questions.jsonl").string();
  }
  TROUPE_TRY(const auto story, prepare(command));
  TROUPE_TRY(const auto pools, pools_of(command));
  TROUPE_TRY(const auto files, ReportFiles::open(command.html, command.answers, {command.questions}));
  bench::StorySetting setting;
  setting.questions = command.questions;
  setting.questions_count = story.set.questions.size();
  setting.conversations = story.load.size();
  setting.turns = command.turns;
  setting.clients = std::min(command.clients, story.load.size());
  setting.runs = command.runs;
  setting.memory_mebibytes = command.memory_mebibytes;
  setting.temperature = command.temperature;
  setting.forget_passages = command.forget_passages;
  setting.seed = command.seed;
  catch_interrupts();
  TROUPE_TRY(const auto chains, run_chains(command, story));
  TROUPE_TRY(const auto troupes, run_troupes(command, story, pools, setting.machine));
  const auto chain = bench::sum_up("chain", story.set, story.abstentions, chains);
  const auto troupe = bench::sum_up("troupe", story.set, story.abstentions, troupes);
  if (files->answers() != nullptr) {
    write_answers(*files->answers(), chain.name, story, chains);
    write_answers(*files->answers(), troupe.name, story, troupes);
  }
  if (files->html() != nullptr) *files->html() << bench::page_of(setting, chain, troupe);
  if (command.json) {
    std::cout << json_of(setting, chain, troupe).dump(2) << '\n';
  } else {
    print_story(std::cout, setting, chain, troupe);
  }
  TROUPE_TRY_DO(files->finish());
  return 0;
}

}  // namespace

void add_bench_story(CLI::App& bench, Action& action) {
  auto options = std::make_shared<StoryCommand>();
  CLI::App& command =
      *bench.add_subcommand("story",
                            "Conversations as teams chain retrieval and a large model, against troupe: latency, memory, "
                            "consistency");
  command.footer(
      "The same questions in the same conversations, the same memory and threads. First heavy alone, which reads the whole\n"
      "conversation with overlapping passages every time, reuses nothing, admits everything and samples; then a node with the\n"
      "default policy. Beside what was reported of a pipeline that was mended so. docs/evaluation.md says what is measured.\n"
      "Examples:\n"
      "  troupe bench story\n"
      "  troupe bench story --json --html story.html --answers answers.jsonl\n"
      "  troupe bench story --clients 4 --runs 1 --limit 24");
  command
      .add_option("--questions", options->questions,
                  "Questions with known answers about a corpus, as for troupe eval (default: the bundled handbook's)")
      ->check(CLI::ExistingFile);
  command
      .add_option("--corpus", options->corpus, "The folder of Markdown that they are about (default: the file's own folder)")
      ->check(CLI::ExistingDirectory);
  command.add_option("--turns", options->turns, "Questions of a conversation")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--clients", options->clients, "Conversations at a time; each asks as soon as it has its answer")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_option("--runs", options->runs, "Times that everything is asked; fewer than 2 show no consistency")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command.add_option("--limit", options->limit, "Only so many of the questions, spread evenly over the file (0: all)")
      ->check(CLI::Range(std::size_t{0}, bench::QuestionSet::questions_max));
  command.add_option("--memory", options->memory_mebibytes, "MiB for weights, activations and KV blocks of either pipeline")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--temperature", options->temperature, "At which the pipeline of teams samples; troupe is greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command.add_flag("--forget-passages", options->forget_passages,
                   "The pipeline of teams leaves earlier turns' passages out of its prompts");
  command.add_option("--seed", options->seed, "Draws the conversations, and what the pipeline of teams samples")
      ->capture_default_str();
  options->device.add_to(command);
  command.add_flag("--json", options->json, "One JSON object")->group("Output");
  command.add_option("--html", options->html, "Write a page with a table and diagrams to this file")->group("Output");
  command.add_option("--answers", options->answers, "Write every answer to this file, a JSON object a line")->group("Output");
  command.callback([options, &action] { action = [options] { return bench_story(*options); }; });
}

}  // namespace troupe::cli
