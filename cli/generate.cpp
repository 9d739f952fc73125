// troupe generate: runs a model here and now, for one prompt or for many at once.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/clock.hpp"
#include "cli/command.hpp"
#include "cli/prompts.hpp"
#include "engine/engine.hpp"

namespace troupe::cli {

namespace {

using Json = nlohmann::ordered_json;

volatile std::sig_atomic_t interrupted = 0;  // set by a signal, which can reach nothing else

struct GenerateOptions {
  std::string model = "mini";
  PromptSources sources;
  engine::GenerateRequest request;
  std::int32_t tokens_max = 0;  // 0: as many as usual, or as fit
  double deadline_seconds = 0;
  DeviceChoice device;
  EngineChoice engine;
  bool ignore_end = false;
  bool json = false;
  bool events = false;
  bool quiet = false;
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// One prompt's answer while it comes in.
class AnswerListener final : public engine::Listener {
 public:
  AnswerListener(const Prompt& prompt, const model::Tokenizer& tokenizer, const GenerateOptions& options, bool streams)
      : prompt_(prompt), tokenizer_(tokenizer), options_(options), streams_(streams) {}

  void on_tokens(const engine::TokensEvent& event) override {
    text_ += event.text;
    Json pieces = Json::array();
    for (const model::SampledToken& token : event.tokens) {
      log_probability_sum_ += token.log_probability;
      if (options_.json) pieces.push_back(describe(token));
    }
    if (options_.events) {
      std::cout << Json{{"id", prompt_.id}, {"first_index", event.first_index}, {"text", event.text}, {"tokens", pieces}}.dump()
                << std::endl;
    } else if (streams_) {
      std::cout << event.text << std::flush;
    }
    if (options_.request.sampling.log_probabilities > 0) tokens_.insert(tokens_.end(), pieces.begin(), pieces.end());
  }

  void on_finished(const engine::FinishedEvent& event) override { finished_ = event; }

  bool finished() const { return finished_.has_value(); }
  /// Whether the answer ended by itself.
  bool complete() const { return finished_->reason <= engine::FinishReason::length; }
  const engine::FinishedEvent& finish() const { return *finished_; }

  void print(bool numbered) const {
    if (options_.json) {
      std::cout << summary().dump() << std::endl;
      return;
    }
    if (!streams_) std::cout << (numbered ? "[" + prompt_.id + "] " : "") << text_;
    std::cout << std::endl;
    if (finished_->error) std::cerr << "troupe: prompt " << prompt_.id << ": " << finished_->error->message << '\n';
    if (!complete()) std::cerr << "troupe: prompt " << prompt_.id << " ended early: " << to_string(finished_->reason) << '\n';
  }

 private:
  Json describe(const model::SampledToken& token) const {
    const auto entry = [&](model::TokenId id, float log_probability) {
      return Json{{"id", id}, {"text", tokenizer_.decode({&id, 1}, false)}, {"log_probability", log_probability}};
    };
    Json found = entry(token.token, token.log_probability);
    for (const model::TokenProbability& other : token.top) found["top"].push_back(entry(other.token, other.log_probability));
    return found;
  }

  Json summary() const {
    const engine::SequenceStatistics& statistics = finished_->statistics;
    Json object{{"id", prompt_.id},
                {"text", text_},
                {"finish_reason", to_string(finished_->reason)},
                {"prompt_tokens", statistics.prompt_tokens},
                {"reused_tokens", statistics.reused_tokens},
                {"generated_tokens", statistics.generated_tokens},
                {"log_probability_sum", log_probability_sum_},
                {"queue_seconds", seconds(statistics.queue_time)},
                {"first_token_seconds", seconds(statistics.first_token_time)},
                {"seconds", seconds(statistics.total_time)}};
    if (!tokens_.empty()) object["tokens"] = tokens_;
    if (finished_->error) {
      object["error"] = {{"code", to_string(finished_->error->code)}, {"message", finished_->error->message}};
    }
    return object;
  }

  const Prompt& prompt_;
  const model::Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  bool streams_;
  std::string text_;
  double log_probability_sum_ = 0;
  Json tokens_ = Json::array();
  std::optional<engine::FinishedEvent> finished_;
};

void print_speed(const engine::EngineCounters& counters) {
  const double total = counters.step_seconds;
  std::fprintf(stderr, "%llu prompt tokens (%llu reused), %llu generated, %.2f s, %.0f tokens generated per second\n",
               static_cast<unsigned long long>(counters.tokens_prefilled + counters.tokens_reused),
               static_cast<unsigned long long>(counters.tokens_reused),
               static_cast<unsigned long long>(counters.tokens_decoded), total,
               total > 0 ? static_cast<double>(counters.tokens_decoded) / total : 0.0);
}

Result<int> generate(const GenerateOptions& options) {
  TROUPE_TRY(const auto folder, find_model(options.model));
  TROUPE_TRY(const auto prompts, read_prompts(options.sources));
  TROUPE_TRY(const auto device, options.device.open());
  TROUPE_TRY(const auto model, model::Model::load(folder, *device, show_progress("loading " + folder.string())));
  engine::EngineOptions engine_options = options.engine.options(device->kind());
  engine_options.waiting_max = std::max<std::int32_t>(engine_options.waiting_max, static_cast<std::int32_t>(prompts.size()));
  const SystemClock clock;
  TROUPE_TRY(const auto engine, engine::Engine::create(model, *device, clock, engine_options));

  std::vector<AnswerListener> listeners;
  listeners.reserve(prompts.size());
  std::vector<engine::SequenceId> ids;
  for (const Prompt& prompt : prompts) {
    engine::GenerateRequest request = options.request;
    request.stop_at_end_tokens = !options.ignore_end;
    TROUPE_TRY(request.prompt, tokens_of(prompt, model));
    if (options.tokens_max != 0) {
      request.tokens_max = options.tokens_max;
    } else {
      const std::int32_t room = engine->memory_plan().context_max - static_cast<std::int32_t>(request.prompt.size());
      request.tokens_max = std::clamp(room, 1, request.tokens_max);
    }
    if (options.deadline_seconds > 0) {
      request.deadline =
          clock.now() + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.deadline_seconds));
    }
    listeners.emplace_back(prompt, *model.tokenizer, options, prompts.size() == 1 && !options.json);
    auto id = engine->submit(std::move(request), listeners.back());
    if (!id) return std::move(id).error().within("prompt " + prompt.id);
    ids.push_back(*id);
  }

  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::size_t printed = 0;
  bool complete = true;
  while (printed < listeners.size()) {
    if (interrupted != 0) {
      for (const engine::SequenceId id : ids) engine->cancel(id);
    }
    if (!engine->idle()) engine->step();
    for (; printed < listeners.size() && listeners[printed].finished(); ++printed) {
      listeners[printed].print(listeners.size() > 1);
      complete &= listeners[printed].complete();
    }
  }
  if (!options.quiet && !options.json) print_speed(engine->counters());
  constexpr int status_of_interrupt = 130;
  if (interrupted != 0) return status_of_interrupt;
  return complete ? 0 : 1;
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App& command = *app.add_subcommand("generate", "Answer prompts with a model, here and now");
  command.footer(
      "Examples:\n"
      "  troupe generate --system \"You are a handbook assistant. You answer from the conversation so far.\" \"Hello\"\n"
      "  troupe generate --model heavy --system \"You answer from the numbered sources and cite them.\" --file question.txt\n"
      "  troupe generate --raw --max-tokens 20 \"The retention period for\"\n"
      "  troupe generate --input prompts.jsonl --json > answers.jsonl   many at once; one JSON object an answer\n"
      "The same prompt, parameters and seed give the same answer, whatever else runs beside it.\n"
      "Exit status: 0 all answered, 1 an error or an answer that ended early, 2 a wrong command line, 130 interrupted.");
  command.add_option("prompt", options->sources.texts, "Prompts; \"-\" reads one from the standard input");
  command.add_option("-f,--file", options->sources.files, "A file that is one prompt; may be repeated");
  auto* input = command.add_option(
      "-i,--input", options->sources.json_lines,
      "JSON lines: {\"id\", \"messages\": [{\"role\", \"content\"}]} or {\"id\", \"prompt\"}; \"-\": standard input");
  command.add_option("-m,--model", options->model, "A Hugging Face folder, or a bundled model: mini, medium, heavy")
      ->capture_default_str();
  auto* system = command.add_option("-s,--system", options->sources.system, "System message of a chat")->excludes(input);
  command.add_flag("--raw", options->sources.raw, "Continue the text as it is instead of answering a chat message")
      ->excludes(system);

  auto& sampling = options->request.sampling;
  command
      .add_option("-n,--max-tokens,--tokens", options->tokens_max,
                  "Tokens of an answer at most (0: 512, or what the context has room for)")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("-t,--temperature", sampling.temperature, "0: always the most likely token")
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--top-k", sampling.top_k, "Only the k most likely tokens (0: off)")
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--top-p", sampling.top_p, "Only the most likely tokens that together reach p")
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--min-p", sampling.min_p, "Only tokens at least this share as likely as the best")
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--seed", sampling.seed, "Chooses among answers when temperature is not 0")
      ->transform(whole_number())
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--stop", options->request.stop.strings, "End the answer before this text; may be repeated")
      ->allow_extra_args(false)
      ->group("Sampling");
  command.add_flag("--ignore-end", options->ignore_end, "Go on after the model's end tokens")->group("Sampling");
  command.add_option("--deadline", options->deadline_seconds, "Seconds after which an answer ends, finished or not (0: none)")
      ->check(seconds_of_a_day())
      ->group("Sampling");

  command.add_flag("--json", options->json, "One JSON object an answer")->group("Output");
  command.add_flag("--events", options->events, "With --json: also an object for every piece of text, as it comes")
      ->group("Output");
  command
      .add_option("--log-probabilities", sampling.log_probabilities,
                  "With --json: this many of the likeliest tokens at each place")
      ->group("Output");
  command.add_flag("-q,--quiet", options->quiet, "No line about speed")->group("Output");
  options->device.add_to(command);
  options->engine.add_to(command);
  command.callback([options, &action] {
    if (options->events && !options->json) throw CLI::RequiresError("--events", "--json");
    if (options->request.sampling.log_probabilities > 0 && !options->json)
      throw CLI::RequiresError("--log-probabilities", "--json");
    action = [options] { return generate(*options); };
  });
}

}  // namespace troupe::cli
