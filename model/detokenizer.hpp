// Text of tokens while they arrive one by one, never ending within a character.
#pragma once

#include <string>

#include "model/token.hpp"
#include "model/tokenizer.hpp"

namespace troupe::model {

/// One stream of tokens. What push() and finish() return, joined, is what Tokenizer::decode() returns for all tokens at once.
class Detokenizer {
 public:
  /// `tokenizer` must outlive the detokenizer.
  explicit Detokenizer(const Tokenizer& tokenizer, bool skip_special) : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  /// The text that `token` completes, possibly empty: up to three bytes that may yet become a character are held back.
  /// U+FFFD stands for bytes that no continuation makes valid.
  std::string push(TokenId token);

  /// U+FFFD if a character was left incomplete, otherwise nothing. The next push() begins a new text.
  std::string finish();

  /// Whether bytes are held back: text so far is not all of what the tokens say.
  bool holds_back() const { return !pending_.empty(); }

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace troupe::model
