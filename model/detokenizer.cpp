#include "model/detokenizer.hpp"

#include "model/utf8.hpp"

namespace troupe::model {

std::string Detokenizer::push(TokenId token) {
  std::string text;
  if (skip_special_ && tokenizer_->is_special(token)) return text;
  pending_ += tokenizer_->bytes_of(token);
  take_utf8(pending_, text);
  return text;
}

std::string Detokenizer::finish() {
  if (pending_.empty()) return {};
  pending_.clear();
  return std::string(replacement_character);
}

}  // namespace troupe::model
