#include "policy/expert_selection.hpp"

#include <algorithm>
#include <bit>

#include "base/check.hpp"

namespace troupe::policy {

namespace {

std::uint64_t word_of(std::span<const std::uint64_t> words, std::size_t index) {
  return index < words.size() ? words[index] : 0;
}

/// "3" or "3-7", and so on with commas, for ascending numbers.
std::string ranges(const std::vector<std::int32_t>& numbers) {
  std::string text;
  for (std::size_t first = 0; first < numbers.size();) {
    std::size_t last = first;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(numbers[first]);
    if (last > first) text += "-" + std::to_string(numbers[last]);
    first = last + 1;
  }
  return text;
}

}  // namespace

bool ExpertShape::has(ExpertId id) const {
  return id.expert >= 0 && id.expert < experts && std::binary_search(sparse.begin(), sparse.end(), id.layer);
}

ExpertSelection ExpertSelection::all(const ExpertShape& shape) {
  ExpertSelection selection;
  for (const std::int32_t layer : shape.sparse) {
    for (std::int32_t expert = 0; expert < shape.experts; ++expert) selection.add({layer, expert});
  }
  return selection;
}

template <class Combine>
ExpertSelection ExpertSelection::combined(const ExpertSelection& one, const ExpertSelection& other, const Combine& combine) {
  ExpertSelection made;
  made.words_.resize(std::max(one.words_.size(), other.words_.size()));
  for (std::size_t layer = 0; layer < made.words_.size(); ++layer) {
    const auto left = one.layer(static_cast<std::int32_t>(layer));
    const auto right = other.layer(static_cast<std::int32_t>(layer));
    auto& words = made.words_[layer];
    words.resize(std::max(left.size(), right.size()));
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = combine(word_of(left, i), word_of(right, i));
  }
  made.trim();
  return made;
}

ExpertSelection operator|(const ExpertSelection& one, const ExpertSelection& other) {
  return ExpertSelection::combined(one, other, [](std::uint64_t left, std::uint64_t right) { return left | right; });
}
ExpertSelection operator&(const ExpertSelection& one, const ExpertSelection& other) {
  return ExpertSelection::combined(one, other, [](std::uint64_t left, std::uint64_t right) { return left & right; });
}
ExpertSelection operator-(const ExpertSelection& one, const ExpertSelection& other) {
  return ExpertSelection::combined(one, other, [](std::uint64_t left, std::uint64_t right) { return left & ~right; });
}

void ExpertSelection::add(ExpertId id) {
  TROUPE_CHECK(id.layer >= 0 && id.layer < layers_max && id.expert >= 0 && id.expert < experts_max,
               "an expert that is selected is within the limits");
  const auto layer = static_cast<std::size_t>(id.layer);
  const auto word = static_cast<std::size_t>(id.expert / word_bits);
  if (layer >= words_.size()) words_.resize(layer + 1);
  if (word >= words_[layer].size()) words_[layer].resize(word + 1);
  words_[layer][word] |= std::uint64_t{1} << (id.expert % word_bits);
}

bool ExpertSelection::has(ExpertId id) const {
  if (id.expert < 0) return false;
  return (word_of(layer(id.layer), static_cast<std::size_t>(id.expert / word_bits)) >> (id.expert % word_bits) & 1U) != 0;
}

bool ExpertSelection::empty() const { return words_.empty(); }

std::int64_t ExpertSelection::count() const {
  std::int64_t count = 0;
  for (const auto& words : words_) {
    for (const std::uint64_t word : words) count += std::popcount(word);
  }
  return count;
}

std::vector<ExpertId> ExpertSelection::ids() const {
  std::vector<ExpertId> ids;
  for (std::size_t layer = 0; layer < words_.size(); ++layer) {
    for (std::size_t i = 0; i < words_[layer].size(); ++i) {
      for (std::uint64_t word = words_[layer][i]; word != 0; word &= word - 1) {
        ids.push_back({static_cast<std::int32_t>(layer), static_cast<std::int32_t>(i) * word_bits + std::countr_zero(word)});
      }
    }
  }
  return ids;
}

std::span<const std::uint64_t> ExpertSelection::layer(std::int32_t layer) const {
  if (layer < 0 || static_cast<std::size_t>(layer) >= words_.size()) return {};
  return words_[static_cast<std::size_t>(layer)];
}

void ExpertSelection::trim() {
  for (auto& words : words_) {
    while (!words.empty() && words.back() == 0) words.pop_back();
  }
  while (!words_.empty() && words_.back().empty()) words_.pop_back();
}

ExpertWords words_of(const ExpertSelection& selection) {
  ExpertWords all;
  std::int32_t layers = 0;
  for (std::int32_t layer = 0; layer < ExpertSelection::layers_max; ++layer) {
    const auto words = selection.layer(layer);
    if (words.empty()) continue;
    layers = layer + 1;
    all.words_per_layer = std::max(all.words_per_layer, static_cast<std::uint32_t>(words.size()));
  }
  all.words.resize(static_cast<std::size_t>(layers) * all.words_per_layer);
  for (std::int32_t layer = 0; layer < layers; ++layer) {
    const auto words = selection.layer(layer);
    std::ranges::copy(words, all.words.begin() + static_cast<std::ptrdiff_t>(layer) * all.words_per_layer);
  }
  return all;
}

Result<ExpertSelection> selection_of(const ExpertWords& words) {
  constexpr std::uint32_t words_max = ExpertSelection::experts_max / ExpertSelection::word_bits;
  const std::size_t each = words.words_per_layer;
  const std::size_t layers = each == 0 ? 0 : words.words.size() / each;
  if (each > words_max || layers * each != words.words.size() || layers > ExpertSelection::layers_max) {
    return Error{ErrorCode::corrupt, std::to_string(words.words.size()) + " words of experts in layers of " +
                                         std::to_string(each) + ", expected whole layers, at most " +
                                         std::to_string(ExpertSelection::layers_max) + " of at most " +
                                         std::to_string(words_max)};
  }
  ExpertSelection selection;
  for (std::size_t place = 0; place < words.words.size(); ++place) {
    for (std::uint64_t bits = words.words[place]; bits != 0; bits &= bits - 1) {
      const auto expert = (place % each) * ExpertSelection::word_bits + static_cast<std::size_t>(std::countr_zero(bits));
      selection.add({static_cast<std::int32_t>(place / each), static_cast<std::int32_t>(expert)});
    }
  }
  return selection;
}

Result<void> check(const ExpertSelection& selection, const ExpertShape& shape) {
  for (const ExpertId id : selection.ids()) {
    if (shape.has(id)) continue;
    std::string there = "the model has no layers with experts";
    if (!shape.sparse.empty()) {
      there = "the model has experts 0-" + std::to_string(shape.experts - 1) + " in layers " + ranges(shape.sparse);
    }
    return Error{ErrorCode::out_of_range,
                 "expert " + std::to_string(id.expert) + " of layer " + std::to_string(id.layer) + " is not there: " + there};
  }
  return {};
}

std::string to_string(const ExpertSelection& selection) {
  const std::vector<ExpertId> ids = selection.ids();
  // Layers of equal experts stand together, in the order of the first of them.
  std::vector<std::pair<std::vector<std::int32_t>, std::string>> groups;  // layers, their experts
  for (std::size_t first = 0; first < ids.size();) {
    std::size_t end = first;
    std::vector<std::int32_t> experts;
    while (end < ids.size() && ids[end].layer == ids[first].layer) experts.push_back(ids[end++].expert);
    const std::string text = ranges(experts);
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.second == text; });
    if (same != groups.end()) {
      same->first.push_back(ids[first].layer);
    } else {
      groups.push_back({{ids[first].layer}, text});
    }
    first = end;
  }
  if (groups.empty()) return "none";
  std::string text;
  for (const auto& [layers, experts] : groups) {
    text +=
        std::string(text.empty() ? "" : "; ") + (layers.size() == 1 ? "layer " : "layers ") + ranges(layers) + ": " + experts;
  }
  return text;
}

}  // namespace troupe::policy
