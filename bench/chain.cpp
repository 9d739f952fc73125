#include "bench/chain.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/random.hpp"
#include "engine/engine.hpp"
#include "policy/admission.hpp"
#include "policy/prompt.hpp"
#include "storage/bm25.hpp"

namespace troupe::bench {

namespace {

using engine::Engine;
using End = StoryAnswer::End;
using Steady = std::chrono::steady_clock;

/// A client in its conversation, and what it hears of its question.
class ChainClient final : public engine::Listener {
 public:
  void on_tokens(const engine::TokensEvent& event) override { text_ += event.text; }
  void on_finished(const engine::FinishedEvent& event) override {
    answer_.latency = Steady::now() - asked_;
    statistics_ = event.statistics;
    if (answer_.end != End::out_of_memory) {
      const bool failed = event.reason == engine::FinishReason::failed || event.reason == engine::FinishReason::cancelled;
      answer_.end = failed ? End::refused : End::answered;
      answer_.text = failed && event.error ? event.error->message : std::string(policy::trimmed(text_));
    }
    ended_ = true;
  }

  void begin_conversation(const std::vector<std::size_t>* questions) {
    questions_ = questions;
    next_ = 0;
    history_.clear();
  }
  bool has_more() const { return questions_ != nullptr && next_ < questions_->size(); }
  std::size_t question() const { return (*questions_)[next_]; }

  /// What there is to say so far, oldest first, ending with the user's question.
  std::vector<model::ChatMessage>& history() { return history_; }

  void begin_question(Steady::time_point asked, bool cut) {
    asked_ = asked;
    answer_ = {};
    answer_.cut = cut;
    text_.clear();
    ended_ = false;
    waits_ = true;
  }
  void submitted(engine::SequenceId sequence) { sequence_ = sequence; }
  engine::SequenceId sequence() const { return sequence_; }
  bool waits() const { return waits_; }
  bool ended() const { return ended_; }
  void lose_memory() {
    answer_.end = End::out_of_memory;
    answer_.text = "out of memory";
  }
  bool lost_memory() const { return answer_.end == End::out_of_memory; }
  void refuse(std::string why) {
    answer_.text = std::move(why);
    ended_ = true;
  }

  /// The end of a question, which stays in the conversation if it was answered.
  StoryAnswer take_answer() {
    waits_ = false;
    ++next_;
    if (answer_.end == End::answered) {
      history_.push_back({"assistant", answer_.text});
    } else {
      history_.pop_back();
    }
    return answer_;
  }
  /// What the last question, if it is still in the conversation, is there as.
  void shorten_question(std::string text) {
    if (history_.size() >= 2 && answer_.end == End::answered) history_[history_.size() - 2].content = std::move(text);
  }
  const engine::SequenceStatistics& statistics() const { return statistics_; }

 private:
  const std::vector<std::size_t>* questions_ = nullptr;
  std::size_t next_ = 0;
  std::vector<model::ChatMessage> history_;
  Steady::time_point asked_;
  engine::SequenceId sequence_;
  StoryAnswer answer_;
  std::string text_;
  engine::SequenceStatistics statistics_;
  bool waits_ = false;
  bool ended_ = false;
};

class Chain {
 public:
  Chain(const model::Model& model, const QuestionSet& set, std::span<const storage::Section> corpus,
        const ChainOptions& options)
      : model_(model), set_(set), options_(options), chunks_(overlapping_chunks(corpus, options.chunks)), index_(chunks_) {}

  /// An engine that admits all clients at once, and how many KV blocks of it the memory has.
  Result<void> open(kernels::Device& device) {
    engine::EngineOptions whole;
    TROUPE_TRY(const auto plan, engine::plan_memory(model_.config, whole, {device.kind(), device.free_bytes()}));
    const std::size_t block_bytes = plan.kv_bytes_per_token * kernels::kv_block_positions;
    const std::size_t others = plan.total() - plan.kv_bytes;
    if (options_.memory_bytes < others + block_bytes) {
      return Error{ErrorCode::too_large, "the model's weights and activations have " + std::to_string(others >> 20) +
                                             " MiB, and the memory is " + std::to_string(options_.memory_bytes >> 20) +
                                             " MiB; give it more"};
    }
    blocks_max_ = static_cast<std::int32_t>(std::min<std::size_t>((options_.memory_bytes - others) / block_bytes, 1U << 30));
    whole.kv_blocks = static_cast<std::int32_t>(options_.clients) *
                      policy::blocks_for(model_.config.positions_max, kernels::kv_block_positions);
    whole.batch.sequences_max = std::max(whole.batch.sequences_max, static_cast<std::int32_t>(options_.clients));
    TROUPE_TRY(engine_, Engine::create(model_, device, clock_, whole));
    return {};
  }

  Result<StoryRun> run(const StoryLoad& load, const std::function<void(double)>& progress) {
    StoryRun run;
    run.answers.resize(set_.questions.size());
    std::vector<std::unique_ptr<ChainClient>> clients(std::min(options_.clients, load.size()));
    for (auto& client : clients) client = std::make_unique<ChainClient>();
    const auto began = Steady::now();
    std::size_t next = 0;
    std::size_t done = 0;
    while (done < run.answers.size()) {
      for (auto& client : clients) {
        if (client->waits() && client->ended()) {
          const std::size_t question = client->question();
          run.answers[question] = client->take_answer();
          if (options_.forgets_passages) client->shorten_question("Question: " + set_.questions[question].text);
          count(client->statistics(), run.work);
          progress(static_cast<double>(++done) / static_cast<double>(run.answers.size()));
        }
        if (!client->waits() && !client->has_more() && next < load.size()) client->begin_conversation(&load[next++]);
        if (!client->waits() && client->has_more()) TROUPE_TRY_DO(ask(*client));
      }
      if (options_.interrupted && options_.interrupted()) return Error{ErrorCode::cancelled, "interrupted"};
      engine_->step();
      if (engine_->counters().blocks_held > blocks_max_) fail_the_last(clients);
    }
    run.elapsed = Steady::now() - began;
    return run;
  }

 private:
  void count(const engine::SequenceStatistics& statistics, StoryWork& work) const {
    const auto tokens =
        static_cast<std::uint64_t>(statistics.prompt_tokens - statistics.reused_tokens + statistics.generated_tokens);
    work.computed_tokens += tokens;
    work.reused_tokens += static_cast<std::uint64_t>(statistics.reused_tokens);
    work.cost += tokens * static_cast<std::uint64_t>(model::count_parameters(model_.config).active);
  }

  Result<std::vector<model::TokenId>> tokens_of(const std::vector<model::ChatMessage>& history) const {
    std::vector<model::ChatMessage> messages;
    for (const policy::Message& message : policy::messages_of({})) {
      if (message.role == "system") messages.push_back({message.role, message.content});
    }
    messages.insert(messages.end(), history.begin(), history.end());
    TROUPE_TRY(const auto rendered, model_.chat_template->render(messages, true));
    return model_.tokenizer->encode(rendered.text, rendered.from_messages);
  }

  /// The user's message: chunks, numbered from 1, and the question.
  std::string message_of(const Question& question) const {
    policy::ContextParts parts;
    parts.question = question.text;
    for (const auto& hit : index_.search(question.text, options_.passages))
      parts.passages.push_back({chunks_[hit.section].name, chunks_[hit.section].text});
    return policy::messages_of(parts).back().content;
  }

  Result<void> ask(ChainClient& client) {
    const auto asked = Steady::now();
    const std::size_t place = client.question();
    auto& history = client.history();
    history.push_back({"user", message_of(set_.questions[place])});
    TROUPE_TRY(auto prompt, tokens_of(history));
    bool cut = false;
    const auto room = static_cast<std::size_t>(engine_->memory_plan().context_max - options_.tokens_max);
    while (prompt.size() > room && history.size() > 2) {
      history.erase(history.begin(), history.begin() + 2);
      cut = true;
      TROUPE_TRY(prompt, tokens_of(history));
    }
    client.begin_question(asked, cut);
    engine::GenerateRequest request;
    request.prompt = std::move(prompt);
    request.tokens_max = options_.tokens_max;
    request.sampling.temperature = options_.temperature;
    request.sampling.seed = Random(options_.seed + (options_.run << 32), place).next();
    request.use_prefix_cache = false;
    const auto sequence = engine_->submit(std::move(request), client);
    if (sequence) {
      client.submitted(*sequence);
    } else {
      client.refuse(sequence.error().message);
    }
    return {};
  }

  /// There is no block left for the sequence that came last.
  void fail_the_last(const std::vector<std::unique_ptr<ChainClient>>& clients) {
    ChainClient* last = nullptr;
    for (const auto& client : clients) {
      if (!client->waits() || client->ended() || client->lost_memory()) continue;
      if (last == nullptr || client->sequence() > last->sequence()) last = client.get();
    }
    if (last == nullptr) return;
    last->lose_memory();
    engine_->cancel(last->sequence());
  }

  const model::Model& model_;
  const QuestionSet& set_;
  const ChainOptions& options_;
  const SystemClock clock_;
  std::vector<storage::Section> chunks_;
  storage::Bm25 index_;
  std::unique_ptr<Engine> engine_;
  std::int32_t blocks_max_ = 0;
};

}  // namespace

Result<StoryRun> run_chain(const model::Model& model, kernels::Device& device, const QuestionSet& set, const StoryLoad& load,
                           std::span<const storage::Section> corpus, const ChainOptions& options,
                           const std::function<void(double)>& progress) {
  if (!model.chat_template || !model.tokenizer) {
    return Error{ErrorCode::unsupported, "the model has no chat template, so it cannot hold a conversation"};
  }
  Chain chain(model, set, corpus, options);
  TROUPE_TRY_DO(chain.open(device));
  return chain.run(load, progress);
}

}  // namespace troupe::bench
