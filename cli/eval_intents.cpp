// troupe eval of intents: how well each tier's model names what utterances are, by itself and without a node.
#include <iostream>
#include <utility>

#include "base/clock.hpp"
#include "bench/intent_page.hpp"
#include "bench/intent_run.hpp"
#include "cli/ask.hpp"
#include "cli/eval.hpp"
#include "cli/eval_view.hpp"
#include "cli/report_files.hpp"
#include "engine/engine.hpp"
#include "model/file.hpp"

namespace troupe::cli {

namespace {

/// Everything that rows have in common.
struct IntentEvaluation {
  bench::IntentSet set;
  policy::RoutingPolicy routing;
  bench::IntentJudge judge;
  std::int32_t reply_tokens_max = 0;
  policy::PerTier<std::string> models;
  bench::IntentSetting setting;
};

Result<IntentEvaluation> prepare(const EvalCommand& command) {
  if (!command.corpus.empty() || !command.connect.empty()) {
    return Error{ErrorCode::invalid_argument, command.questions +
                                                  " has utterances with labels, which are given to models of this process "
                                                  "alone; leave --corpus and --connect out"};
  }
  IntentEvaluation evaluation;
  TROUPE_TRY(const auto text, model::read_file(command.questions, bench::IntentSet::bytes_max));
  TROUPE_TRY(evaluation.set, bench::parse_intents(text, command.questions));
  TROUPE_TRY(evaluation.routing, command.routing());
  TROUPE_TRY(evaluation.models, command.models_of_tiers());
  evaluation.setting = {command.questions, evaluation.set.prompt, command.policy.empty() ? "default" : command.policy, {}};
  policy::Intent labels;
  for (std::string& label : evaluation.set.labels()) labels.labels.push_back({std::move(label)});
  evaluation.reply_tokens_max = labels.reply_tokens_max();
  if (command.limit > 0) evaluation.set = bench::spread(evaluation.set, command.limit);
  return evaluation;
}

Result<bench::IntentScores> row_of(const EvalCommand& command, IntentEvaluation& evaluation, const std::string& tier,
                                   std::ostream* answers) {
  TROUPE_TRY(const auto folder, find_model(evaluation.models[policy::place_of(*policy::tier_of(tier))]));
  TROUPE_TRY(const auto device, command.device.open());
  evaluation.setting.machine = device->description();
  TROUPE_TRY(const auto model, model::Model::load(folder, *device, show_progress("loading " + folder.string())));
  const SystemClock clock;
  TROUPE_TRY(const auto engine, engine::Engine::create(model, *device, clock, command.engine.options(device->kind())));
  bench::IntentRun run;
  run.tokens_max = evaluation.reply_tokens_max;
  run.goes_on = [progress = show_progress("asking " + tier)](double done) {
    progress(done);
    return !interrupted();
  };
  TROUPE_TRY(const auto replies, bench::ask_intents(*engine, clock, evaluation.set, run));
  const auto active = static_cast<std::uint64_t>(model::count_parameters(model.config).active);
  for (std::size_t i = 0; answers != nullptr && i < replies.size(); ++i)
    *answers << dumped(json_of(tier, evaluation.set.rows[i], replies[i])) << '\n';
  return bench::sum_up(tier, evaluation.set, replies, evaluation.judge, active);
}

}  // namespace

Result<int> eval_intents(const EvalCommand& command) {
  TROUPE_TRY(auto evaluation, prepare(command));
  TROUPE_TRY(evaluation.judge, bench::judge_of(evaluation.set, evaluation.routing.intent, command.questions));
  std::vector<std::string> all;
  for (const policy::Tier tier : evaluation.routing.portfolio) all.emplace_back(to_string(tier));
  TROUPE_TRY(const auto tiers, command.rows_among(std::move(all)));
  catch_interrupts();
  TROUPE_TRY(const auto files, ReportFiles::open(command.html, command.answers, {command.questions, command.policy}));
  std::vector<bench::IntentScores> rows;
  for (const std::string& tier : tiers) {
    TROUPE_TRY(auto row, row_of(command, evaluation, tier, files->answers()));
    rows.push_back(std::move(row));
  }
  if (files->html() != nullptr) *files->html() << bench::page_of(evaluation.setting, rows);
  if (command.json) {
    std::cout << dumped(json_of(evaluation.setting, rows)) << std::endl;
  } else {
    print_intents(std::cout, rows);
  }
  TROUPE_TRY_DO(files->finish());
  return 0;
}

}  // namespace troupe::cli
