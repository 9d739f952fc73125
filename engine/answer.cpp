#include "engine/answer.hpp"

#include <algorithm>
#include <utility>

namespace troupe::engine {

Answer::Answer(const model::Tokenizer* tokenizer, const std::vector<TokenId>& end_tokens, const GenerateRequest& request)
    : end_tokens_(end_tokens), request_(request), stop_(request.stop) {
  if (tokenizer != nullptr) detokenizer_.emplace(*tokenizer, /*skip_special=*/true);
}

std::optional<FinishReason> Answer::reason_to_stop_at(TokenId token) const {
  if (request_.stop_at_end_tokens && std::ranges::find(end_tokens_, token) != end_tokens_.end()) return FinishReason::end_token;
  if (request_.stop.stops_at(token)) return FinishReason::stop_token;
  return std::nullopt;
}

std::optional<FinishReason> Answer::add(model::SampledToken token) {
  const TokenId id = token.token;
  log_probability_sum_ += token.log_probability;
  pending_.push_back(std::move(token));
  ++size_;
  if (const auto reason = reason_to_stop_at(id)) return reason;
  if (detokenizer_) text_ += stop_.feed(detokenizer_->push(id));
  if (stop_.stopped()) return FinishReason::stop_string;
  if (size_ >= request_.tokens_max) return FinishReason::length;
  if (log_probability_sum_ < request_.log_probability_sum_min) return FinishReason::unsure;
  return std::nullopt;
}

void Answer::close() {
  if (std::exchange(closed_, true)) return;
  if (detokenizer_) text_ += stop_.feed(detokenizer_->finish());
  text_ += stop_.finish();
}

std::optional<Emission> Answer::take() {
  const bool complete = closed_ || !detokenizer_ || !text_.empty();
  if (!complete || (pending_.empty() && text_.empty())) return std::nullopt;
  const auto first = size_ - static_cast<std::int32_t>(pending_.size());
  return Emission{first, std::exchange(pending_, {}), std::exchange(text_, {})};
}

}  // namespace troupe::engine
