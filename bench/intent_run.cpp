#include "bench/intent_run.hpp"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "kernels/math.hpp"
#include "model/model.hpp"
#include "policy/prompt.hpp"

namespace troupe::bench {

namespace {

/// One row on its way through the engine.
class Asked final : public engine::Listener {
 public:
  explicit Asked(std::size_t of_row) : place(of_row) {}

  void on_tokens(const engine::TokensEvent& event) override {
    text_ += event.text;
    for (const model::SampledToken& token : event.tokens) log_probability_ += token.log_probability;
  }
  void on_finished(const engine::FinishedEvent& event) override {
    finished_ = true;
    error_ = event.error;
    const engine::SequenceStatistics& counts = event.statistics;
    reply_.said = policy::trimmed(text_);
    reply_.confidence = std::min(1.0, static_cast<double>(kernels::exp(static_cast<float>(log_probability_))));
    reply_.computed_tokens = static_cast<std::uint64_t>(counts.prompt_tokens - counts.reused_tokens + counts.generated_tokens);
  }

  bool finished() const { return finished_; }
  Result<IntentReply> reply() const {
    if (error_) return *error_;
    return reply_;
  }

  const std::size_t place;  ///< of its row

 private:
  std::string text_;
  double log_probability_ = 0;
  bool finished_ = false;
  std::optional<Error> error_;
  IntentReply reply_;
};

class Asker {
 public:
  Asker(engine::Engine& engine, const Clock& clock, const IntentSet& set, const IntentRun& run)
      : engine_(engine), clock_(clock), set_(set), run_(run), replies_(set.rows.size()) {}

  Result<std::vector<IntentReply>> ask_all() {
    const std::size_t size = set_.rows.size();
    const std::size_t alone = std::min(run_.alone, size);
    std::vector<bool> asked(size, false);
    for (std::size_t i = 0; i < alone; ++i) {
      const std::size_t place = i * size / alone;
      asked[place] = true;
      TROUPE_TRY_DO(begin(place));
      TROUPE_TRY_DO(work_until(0));
      replies_[place].latency = std::chrono::duration_cast<Duration>(ended_at_ - began_at_);
    }
    for (std::size_t place = 0; place < size; ++place) {
      if (asked[place]) continue;
      TROUPE_TRY_DO(begin(place));
      TROUPE_TRY_DO(work_until(IntentRun::at_once_max - 1));
    }
    TROUPE_TRY_DO(work_until(0));
    return std::move(replies_);
  }

 private:
  Result<void> begin(std::size_t place) {
    const IntentRow& row = set_.rows[place];
    began_at_ = clock_.now();
    engine::GenerateRequest request;
    auto tokens = tokens_of(row);
    if (!tokens) return std::move(tokens).error().within("row " + row.id);
    request.prompt = *std::move(tokens);
    request.tokens_max = run_.tokens_max;
    asked_.emplace_back(place);
    auto begun = engine_.submit(std::move(request), asked_.back());
    if (!begun) return std::move(begun).error().within("row " + row.id);
    return {};
  }

  Result<std::vector<model::TokenId>> tokens_of(const IntentRow& row) const {
    const model::Model& model = engine_.model();
    if (!model.chat_template || !model.tokenizer) return Error{ErrorCode::unsupported, "the model has no chat template"};
    const std::vector<model::ChatMessage> messages = {{"system", set_.prompt}, {"user", row.text}};
    TROUPE_TRY(const auto chat, model.chat_template->render(messages, /*add_generation_prompt=*/true));
    return model.tokenizer->encode(chat.text, chat.from_messages);
  }

  /// Until at most so many rows are on their way.
  Result<void> work_until(std::size_t left) {
    while (asked_.size() > left) {
      engine_.step();
      while (!asked_.empty() && asked_.front().finished()) {
        const Asked& first = asked_.front();
        auto reply = first.reply();
        if (!reply) return std::move(reply).error().within("row " + set_.rows[first.place].id);
        replies_[first.place] = *std::move(reply);
        ended_at_ = clock_.now();
        asked_.pop_front();
        ++done_;
      }
      if (run_.goes_on && !run_.goes_on(static_cast<double>(done_) / static_cast<double>(replies_.size()))) {
        return Error{ErrorCode::cancelled, "interrupted"};
      }
    }
    return {};
  }

  engine::Engine& engine_;
  const Clock& clock_;
  const IntentSet& set_;
  const IntentRun& run_;
  std::vector<IntentReply> replies_;
  std::deque<Asked> asked_;  ///< in order; a listener stays where it is until its sequence has ended
  std::size_t done_ = 0;
  TimePoint began_at_{};
  TimePoint ended_at_{};
};

}  // namespace

Result<std::vector<IntentReply>> ask_intents(engine::Engine& engine, const Clock& clock, const IntentSet& set,
                                             const IntentRun& run) {
  return Asker(engine, clock, set, run).ask_all();
}

}  // namespace troupe::bench
