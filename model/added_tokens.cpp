#include "model/added_tokens.hpp"

namespace troupe::model {

namespace {
std::uint64_t key_of(std::uint64_t node, char byte) { return node << 8 | static_cast<unsigned char>(byte); }
}  // namespace

AddedTokens::AddedTokens(std::span<const AddedToken> tokens) : nodes_(1), begins_(256, false) {
  for (const AddedToken& token : tokens) {
    std::uint32_t node = 0;
    for (const char byte : token.content) {
      const auto [place, is_new] = children_.try_emplace(key_of(node, byte), static_cast<std::uint32_t>(nodes_.size()));
      if (is_new) nodes_.emplace_back();
      node = place->second;
    }
    nodes_[node] = {token.id, token.special};
    begins_[static_cast<unsigned char>(token.content.front())] = true;
  }
}

AddedTokens::Match AddedTokens::find(std::string_view text, std::size_t offset, const UntrustedText& untrusted) const {
  for (std::size_t begin = offset; begin < text.size(); ++begin) {
    if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
    Match best;
    std::uint32_t node = 0;
    for (std::size_t end = begin; end < text.size(); ++end) {
      const auto place = children_.find(key_of(node, text[end]));
      if (place == children_.end()) break;
      node = place->second;
      const std::size_t shift = untrusted.shift;
      const bool counts = !nodes_[node].special || !touches(untrusted.spans, begin + shift, end + 1 + shift);
      if (nodes_[node].id >= 0 && counts) best = {begin, end + 1 - begin, nodes_[node].id};
    }
    if (best.length > 0) return best;
  }
  return {};
}

}  // namespace troupe::model
