// One question's answer, wherever it is computed: what has been heard of it goes with it from engine to engine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tests/layouts/layout.hpp"

namespace troupe::tests::layouts {

class Stream {
 public:
  Stream(const Question& question, const bits::Spec& spec)
      : question_(&question), spec_(&spec), recorder_(static_cast<std::int32_t>(spec.prompt.size())) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// What is left of the question to ask.
  engine::GenerateRequest request() const;
  /// Prompt and what has been answered.
  std::vector<engine::TokenId> tokens() const;

  /// Somebody new hears of it, and who did before no longer. It lasts as long as the stream.
  engine::Listener& heard_anew();
  /// Nobody computes it any more.
  void leave() {
    if (!ears_.empty()) ears_.back()->stream = nullptr;
    node = nullptr;
    id.reset();
    ++visits;
  }

  const Question& question() const { return *question_; }
  const bits::Recorder& recorder() const { return recorder_; }
  bool finished() const { return recorder_.finished().has_value(); }

  class Node* node = nullptr;  ///< where it is, or on its way to
  std::optional<engine::SequenceId> id;
  std::uint64_t visits = 0;  ///< tells what was meant for an earlier place

 private:
  struct Ear final : engine::Listener {
    void on_tokens(const engine::TokensEvent& event) override;
    void on_finished(const engine::FinishedEvent& event) override;
    bool wants_logits() const override { return true; }
    void on_logits(engine::SequenceId sequence, std::int32_t position, std::span<const float> logits) override;
    Stream* stream = nullptr;
  };
  const Question* question_;
  const bits::Spec* spec_;
  bits::Recorder recorder_;
  std::vector<model::SampledToken> answered_;
  std::vector<std::unique_ptr<Ear>> ears_;
};

}  // namespace troupe::tests::layouts
