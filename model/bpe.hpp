// Byte-pair encoding (Sennrich, Haddow, Birch: "Neural Machine Translation of Rare Words with Subword Units", ACL 2016) on
// bytes: a piece of text starts as one token per byte, and the pair whose merge was learned first is merged, leftmost first,
// until no known pair is left.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/token.hpp"

namespace troupe::model {

struct BpeToken {
  std::string bytes;
  bool mergeable = true;  ///< may come out of encoding; false for special tokens
};

struct BpeMerge {
  TokenId left, right, result;
};

/// Everything here is checked by whoever reads it from a file (tokenizer_file.hpp): ids are indices of `tokens`, the bytes of
/// mergeable tokens are distinct, each merge is of mergeable tokens and its result's bytes are those of left and right, no
/// pair occurs twice.
struct BpeDefinition {
  std::vector<BpeToken> tokens;
  std::array<TokenId, 256> byte_tokens{};  ///< the token of each single byte
  std::vector<BpeMerge> merges;            ///< in the order in which they were learned
  bool ignore_merges = false;              ///< a piece that is itself a token becomes it, whether or not merges lead there
};

/// Immutable; any number of threads may encode at once, each with its own Scratch.
class Bpe {
 public:
  /// Memory that calls reuse.
  class Scratch {
    friend class Bpe;
    struct Symbol {
      TokenId token;
      std::uint32_t previous, next;
    };
    struct Candidate {
      std::uint32_t rank, position;
      TokenId left, right;
    };
    std::vector<Symbol> symbols_;
    std::vector<Candidate> heap_;
  };

  explicit Bpe(BpeDefinition definition);
  Bpe(Bpe&&) = default;
  Bpe& operator=(Bpe&&) = default;

  /// Appends the tokens of `piece`, which is shorter than 4 GiB. Time is O(n log n) in its bytes.
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& tokens) const;

  std::int32_t size() const { return static_cast<std::int32_t>(tokens_.size()); }
  /// `token` must be one of the `size()`.
  std::string_view bytes_of(TokenId token) const { return tokens_[static_cast<std::size_t>(token)].bytes; }
  /// The mergeable token of exactly these bytes.
  std::optional<TokenId> find(std::string_view bytes) const;

 private:
  struct Whole {
    TokenId token;
    bool is_encoding;  // of its own bytes: encode() may take the token without merging
  };

  void merge(std::string_view piece, Scratch& scratch, std::vector<TokenId>& tokens) const;
  void consider(Scratch& scratch, std::uint32_t position) const;

  std::vector<BpeToken> tokens_;  // the keys of whole_ are views of it
  std::array<TokenId, 256> byte_tokens_;
  std::vector<BpeMerge> merges_;
  std::unordered_map<std::uint64_t, std::uint32_t> ranks_;  // by left and right
  std::unordered_map<std::string_view, Whole> whole_;
};

}  // namespace troupe::model
