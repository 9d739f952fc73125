#include "tests/layouts/stream.hpp"

namespace troupe::tests::layouts {

engine::GenerateRequest Stream::request() const {
  engine::GenerateRequest request = spec_->request();
  request.priority = question_->priority;
  request.use_prefix_cache = question_->use_prefix_cache;
  request.tenant_salt = question_->tenant;
  request.answered = answered_;
  return request;
}

std::vector<engine::TokenId> Stream::tokens() const {
  std::vector<engine::TokenId> tokens = spec_->prompt;
  for (const model::SampledToken& token : answered_) tokens.push_back(token.token);
  return tokens;
}

engine::Listener& Stream::heard_anew() {
  if (!ears_.empty()) ears_.back()->stream = nullptr;
  ears_.push_back(std::make_unique<Ear>());
  ears_.back()->stream = this;
  return *ears_.back();
}

void Stream::Ear::on_tokens(const engine::TokensEvent& event) {
  if (stream == nullptr) return;
  stream->recorder_.on_tokens(event);
  stream->answered_.insert(stream->answered_.end(), event.tokens.begin(), event.tokens.end());
}

void Stream::Ear::on_finished(const engine::FinishedEvent& event) {
  if (stream != nullptr) stream->recorder_.on_finished(event);
}

void Stream::Ear::on_logits(engine::SequenceId sequence, std::int32_t position, std::span<const float> logits) {
  if (stream != nullptr) stream->recorder_.on_logits(sequence, position, logits);
}

}  // namespace troupe::tests::layouts
