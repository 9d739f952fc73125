// Text to token ids and back, as Hugging Face's fast tokenizers do it for byte-level BPE (tokenizer_file.hpp says which files).
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/added_tokens.hpp"
#include "model/bpe.hpp"
#include "model/pre_tokenizer.hpp"
#include "model/token.hpp"

namespace troupe::model {

struct TokenizerDefinition;

/// Immutable; any number of threads may use one at once. Not copyable: it is large.
class Tokenizer {
 public:
  static constexpr std::size_t text_bytes_max = std::size_t{4} << 20;  ///< of one encode()

  /// Whether "<|im_end|>" within a text is the special token, as Hugging Face has it by default, or ten characters that
  /// somebody wrote. With `as_text` no special token ever comes out of encode(), whatever the text: use it for what is not
  /// trusted. Added tokens that the file does not call special are recognised either way.
  enum class SpecialTokens { recognise, as_text };

  static Result<Tokenizer> load(const std::filesystem::path& file);
  /// `file_name` is only named in errors.
  static Result<Tokenizer> parse(std::string_view json, std::string_view file_name);

  /// The tokens of `text`, without text_prefix(). `invalid_argument` with the byte offset if it is not UTF-8, `too_large` if it
  /// is longer than `text_bytes_max` or the tokenizer's regular expression gives up.
  Result<std::vector<TokenId>> encode(std::string_view text, SpecialTokens special = SpecialTokens::recognise) const;

  /// The same, but special tokens are not recognised where they share a byte with `untrusted` (ascending, not overlapping): a
  /// rendered chat with the spans of its messages. What lies between special tokens is still encoded as one text, so that
  /// messages which contain none have the same tokens as without spans.
  Result<std::vector<TokenId>> encode(std::string_view text, std::span<const TextSpan> untrusted) const;

  /// What the model expects before a text that is not a rendered chat (Llama 3: <|begin_of_text|>); often empty. Chat
  /// templates write it themselves.
  std::span<const TokenId> text_prefix() const { return text_prefix_; }

  /// The text of `tokens`: their bytes joined, with U+FFFD in place of what is not UTF-8. Ids outside of the vocabulary stand
  /// for nothing, since a model's output may be wider than its vocabulary.
  std::string decode(std::span<const TokenId> tokens, bool skip_special) const;

  /// The bytes of one token, in general not UTF-8 alone; empty for an id outside of the vocabulary. Borrows the tokenizer.
  std::string_view bytes_of(TokenId token) const;
  bool is_special(TokenId token) const;
  /// The token of exactly these bytes, special or not.
  std::optional<TokenId> id_of(std::string_view bytes) const;
  std::int32_t vocabulary_size() const { return bpe_.size(); }

 private:
  explicit Tokenizer(TokenizerDefinition definition, PreTokenizer pre_tokenizer);

  struct Work;
  Result<void> encode_segments(std::string_view text, std::size_t pass, UntrustedText untrusted, Work& work) const;
  Result<void> encode_segment(std::string_view text, Work& work) const;

  Bpe bpe_;
  PreTokenizer pre_tokenizer_;
  std::vector<AddedToken> added_;
  // What is looked for in the text as it is, then what is looked for in the rest after normalization.
  std::array<AddedTokens, 2> passes_;
  bool compose_;
  std::vector<bool> special_;  // by id
  std::vector<TokenId> text_prefix_;
};

}  // namespace troupe::model
