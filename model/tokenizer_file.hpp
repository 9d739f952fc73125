// What a Hugging Face tokenizer.json says, reduced to what byte-level BPE needs and checked: the format as Llama 3, Qwen and
// GPT-2 tokenizers use it. Everything else is refused with the field and its value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/added_tokens.hpp"
#include "model/bpe.hpp"

namespace troupe::model {

inline constexpr std::size_t tokenizer_bytes_max = std::size_t{64} << 20;
inline constexpr std::int32_t vocabulary_max = 1 << 20;
inline constexpr std::size_t token_bytes_max = 1024;

struct TokenizerDefinition {
  BpeDefinition bpe;                           ///< its tokens include the added ones
  std::vector<AddedToken> added;               ///< contents and ids are distinct
  std::vector<std::string> split_expressions;  ///< in the order in which they cut
  bool compose = false;                        ///< text is brought to Unicode normalization form C first
  std::vector<TokenId> text_prefix;            ///< what the post-processor puts before a text (a BOS token)
};

/// `file` is only named in errors: `invalid_argument`, `not_found`, `out_of_range` and `too_large` for fields that are wrong,
/// missing or past a limit, `corrupt` for parts that contradict each other, `unsupported` for what this program does not
/// implement. Ids must be dense: 0 .. size - 1, each exactly once.
Result<TokenizerDefinition> parse_tokenizer_file(std::string_view json, std::string_view file);

}  // namespace troupe::model
