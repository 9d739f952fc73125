// Finds the tokens that a tokenizer recognises inside text before anything else looks at it: "<|im_end|>" and the like.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/text_span.hpp"
#include "model/token.hpp"

namespace troupe::model {

struct AddedToken {
  TokenId id;
  std::string content;  ///< never empty
  bool special;     ///< structure rather than text: hidden from readers, and content that is not trusted must not contain it
  bool normalized;  ///< looked for in a second pass, in what the first left over
};

/// The part of a text within which special tokens are not looked for; it begins `shift` bytes into what the spans count.
struct UntrustedText {
  std::span<const TextSpan> spans;  ///< ascending, not overlapping
  std::size_t shift = 0;
};

/// A set of texts to look for: a tree of their bytes. Immutable.
class AddedTokens {
 public:
  explicit AddedTokens(std::span<const AddedToken> tokens);

  struct Match {
    std::size_t offset = 0;
    std::size_t length = 0;  ///< 0: none of the tokens occurs
    TokenId id = 0;
  };
  /// The leftmost occurrence in `text` from `offset` on, and of those that begin there the longest. A special token that shares
  /// a byte with an untrusted span does not count.
  Match find(std::string_view text, std::size_t offset, const UntrustedText& untrusted) const;

 private:
  struct Node {
    TokenId id = -1;  // of the token that ends here
    bool special = false;
  };

  std::vector<Node> nodes_;
  std::unordered_map<std::uint64_t, std::uint32_t> children_;  // by node and byte
  std::vector<bool> begins_;                                   // by byte: whether a token begins with it
};

}  // namespace troupe::model
