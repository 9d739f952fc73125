// Cuts text into pieces that tokens never cross, with the regular expressions that a tokenizer.json brings ("Split" with
// behaviour "Isolated": each match is a piece, and so is what lies between two matches). The expressions run on PCRE2, which
// cuts as Hugging Face's engine does but for characters that only one of the two knows (PCRE2 10.42: Unicode 14) and
// for U+180E, which is white space here.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace troupe::model {

/// Immutable; any number of threads may split at once.
class PreTokenizer {
 public:
  /// `invalid_argument` if an expression does not compile or is too long, `unsupported` if it can match nothing at all (a cut
  /// between characters). Later expressions cut the pieces of earlier ones.
  static Result<PreTokenizer> compile(std::span<const std::string> expressions);

  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  /// Appends the pieces of `text`, in order and without gaps; they borrow it. It must be valid UTF-8 (nothing checks it again:
  /// PCRE2 would do so for the whole text at every match). `too_large` if an expression backtracks past a limit.
  Result<void> split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  struct Pattern;
  PreTokenizer();

  std::vector<std::unique_ptr<const Pattern>> patterns_;
};

}  // namespace troupe::model
