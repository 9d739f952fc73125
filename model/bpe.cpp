#include "model/bpe.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

namespace troupe::model {

namespace {

constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

std::uint64_t key_of(TokenId left, TokenId right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

// Orders a heap so that its front is the merge to do next: learned first, then leftmost.
constexpr auto after = [](const auto& a, const auto& b) { return std::tie(a.rank, a.position) > std::tie(b.rank, b.position); };

}  // namespace

Bpe::Bpe(BpeDefinition definition)
    : tokens_(std::move(definition.tokens)), byte_tokens_(definition.byte_tokens), merges_(std::move(definition.merges)) {
  ranks_.reserve(merges_.size());
  for (std::uint32_t rank = 0; rank < merges_.size(); ++rank)
    ranks_.emplace(key_of(merges_[rank].left, merges_[rank].right), rank);

  whole_.reserve(tokens_.size());
  Scratch scratch;
  std::vector<TokenId> encoding;
  for (TokenId token = 0; token < size(); ++token) {
    if (!tokens_[static_cast<std::size_t>(token)].mergeable) continue;
    encoding.clear();
    merge(bytes_of(token), scratch, encoding);
    const bool is_encoding = definition.ignore_merges || (encoding.size() == 1 && encoding.front() == token);
    whole_.emplace(bytes_of(token), Whole{token, is_encoding});
  }
}

std::optional<TokenId> Bpe::find(std::string_view bytes) const {
  const auto place = whole_.find(bytes);
  if (place == whole_.end()) return std::nullopt;
  return place->second.token;
}

void Bpe::encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& tokens) const {
  if (piece.empty()) return;
  if (const auto place = whole_.find(piece); place != whole_.end() && place->second.is_encoding) {
    tokens.push_back(place->second.token);
    return;
  }
  merge(piece, scratch, tokens);
}

void Bpe::consider(Scratch& scratch, std::uint32_t position) const {
  const auto& symbol = scratch.symbols_[position];
  if (symbol.next == none) return;
  const TokenId right = scratch.symbols_[symbol.next].token;
  if (const auto place = ranks_.find(key_of(symbol.token, right)); place != ranks_.end()) {
    scratch.heap_.push_back({place->second, position, symbol.token, right});
  }
}

void Bpe::merge(std::string_view piece, Scratch& scratch, std::vector<TokenId>& tokens) const {
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  const auto count = static_cast<std::uint32_t>(piece.size());
  symbols.clear();
  heap.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    symbols.push_back(
        {byte_tokens_[static_cast<unsigned char>(piece[i])], i == 0 ? none : i - 1, i + 1 == count ? none : i + 1});
  }
  for (std::uint32_t i = 0; i < count; ++i) consider(scratch, i);
  std::make_heap(heap.begin(), heap.end(), after);

  const auto consider_later = [&](std::uint32_t position) {
    const std::size_t before = heap.size();
    consider(scratch, position);
    if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), after);
  };
  constexpr TokenId absorbed = -1;
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), after);
    const auto candidate = heap.back();
    heap.pop_back();
    auto& left = symbols[candidate.position];
    // An earlier merge may have taken one of the two away since the candidate was noted.
    if (left.token != candidate.left || left.next == none || symbols[left.next].token != candidate.right) continue;
    auto& right = symbols[left.next];
    left.token = merges_[candidate.rank].result;
    left.next = right.next;
    right.token = absorbed;
    if (left.next != none) symbols[left.next].previous = candidate.position;
    if (left.previous != none) consider_later(left.previous);
    consider_later(candidate.position);
  }
  for (std::uint32_t i = 0; i != none; i = symbols[i].next) tokens.push_back(symbols[i].token);
}

}  // namespace troupe::model
