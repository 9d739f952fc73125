// The answer of one sequence while it grows: which tokens it has, what text may be shown, and when it is over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.hpp"
#include "model/detokenizer.hpp"
#include "model/sampler.hpp"
#include "model/stop.hpp"
#include "model/tokenizer.hpp"

namespace troupe::engine {

/// Tokens and text to hand to a listener at once.
struct Emission {
  std::int32_t first_index = 0;
  std::vector<model::SampledToken> tokens;
  std::string text;
};

class Answer {
 public:
  /// `tokenizer` may be null: then there is no text. `end_tokens` and the request must outlive the answer.
  Answer(const model::Tokenizer* tokenizer, const std::vector<TokenId>& end_tokens, const GenerateRequest& request);

  /// Takes the next token. Returns why the answer is over, if it is.
  std::optional<FinishReason> add(model::SampledToken token);
  /// Nothing more will come: releases the text that was held back.
  void close();
  /// What can be shown and was not yet taken, if anything.
  std::optional<Emission> take();
  std::int32_t size() const { return size_; }

 private:
  std::optional<FinishReason> reason_to_stop_at(TokenId token) const;

  const std::vector<TokenId>& end_tokens_;
  const GenerateRequest& request_;
  std::optional<model::Detokenizer> detokenizer_;
  model::StopMatcher stop_;
  std::int32_t size_ = 0;
  double log_probability_sum_ = 0;  ///< of all tokens in their order, those of another engine among them
  bool closed_ = false;
  std::vector<model::SampledToken> pending_;
  std::string text_;
};

}  // namespace troupe::engine
