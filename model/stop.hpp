// When an answer ends before its length limit: at a stop token, or where its text contains a stop string. Text that may yet
// turn out to be the beginning of a stop string is held back, so that a reader never sees half of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/token.hpp"

namespace troupe::model {

inline constexpr std::size_t stop_tokens_max = 64;
inline constexpr std::size_t stop_strings_max = 16;
inline constexpr std::size_t stop_string_bytes_max = 256;

struct StopConditions {
  std::vector<TokenId> tokens;       ///< any of them ends the answer and is not part of its text
  std::vector<std::string> strings;  ///< UTF-8, not empty; matched byte for byte, without normalisation
  bool show_stop_string = false;     ///< whether the text ends after the stop string rather than before it

  bool stops_at(TokenId token) const;
};

/// `too_large` if there are more tokens, strings or bytes in a string than the limits above; `out_of_range` for a token outside
/// [0, vocabulary); `invalid_argument` for an empty string or one that is not UTF-8 (it could never match).
Result<void> validate(const StopConditions& conditions, std::int32_t vocabulary);

/// Looks for stop strings in a text that arrives in pieces. The match that ends first counts; of several that end at the same
/// byte, the longest. With n bytes of text and s strings it takes O(n s) time (Knuth, Morris, Pratt: "Fast Pattern Matching in
/// Strings", SIAM J. Comput. 6(2), 1977).
///
/// What has been returned after a text depends on the text alone, not on how it was cut into pieces: all but its longest tail
/// that is a proper beginning of a stop string. If pieces hold whole characters, so does what is returned.
class StopMatcher {
 public:
  /// Nothing stops it.
  StopMatcher() = default;
  /// `conditions` are valid; their tokens play no part.
  explicit StopMatcher(const StopConditions& conditions);

  /// Takes the next piece of text and returns what may be shown now. After a stop it returns nothing.
  std::string feed(std::string_view piece);
  /// The text is over: returns what was held back. Nothing more may be fed.
  std::string finish();

  bool stopped() const { return stopped_by_ != nothing; }
  /// Index of the stop string that was found; equal strings have the lowest. Only if stopped().
  std::size_t stopped_by() const;

 private:
  static constexpr std::size_t nothing = ~std::size_t{0};

  struct Pattern {
    std::string text;
    std::vector<std::uint16_t> fallback;  ///< [i]: length of the longest proper beginning of text[0..i] that also ends it
    std::size_t matched = 0;              ///< length of the longest beginning of `text` that ends what was fed

    explicit Pattern(std::string stop_string);
    /// True if `byte` completes the string.
    bool advance(char byte);
  };

  /// Lets every pattern take `byte`, and notes the longest that it completes.
  void advance(char byte);

  std::vector<Pattern> patterns_;
  bool show_stop_string_ = false;
  std::string held_;  ///< fed but not returned
  std::size_t stopped_by_ = nothing;
  bool finished_ = false;
};

}  // namespace troupe::model
