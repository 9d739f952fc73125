// Which experts of which layers of a model, as a plain value: what a node has loaded, shall load, or lacks.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace troupe::policy {

/// One expert of one mixture-of-experts layer. Layers count from 0, dense ones included.
struct ExpertId {
  std::int32_t layer = 0;
  std::int32_t expert = 0;
  friend auto operator<=>(const ExpertId&, const ExpertId&) = default;
};

/// What there is to select from: the part of a model's shape that placement is about.
struct ExpertShape {
  std::int32_t layers = 0;           ///< dense ones included
  std::int32_t experts = 0;          ///< of each sparse layer
  std::vector<std::int32_t> sparse;  ///< the layers that have experts, ascending
  std::size_t expert_bytes = 0;      ///< that one expert takes where it is loaded
  bool has(ExpertId id) const;
  std::int64_t count() const { return static_cast<std::int64_t>(sparse.size()) * experts; }
  friend bool operator==(const ExpertShape&, const ExpertShape&) = default;
};

/// A set of experts. Empty when it is made; it grows to hold what is added.
class ExpertSelection {
 public:
  static constexpr std::int32_t layers_max = 1 << 12;
  static constexpr std::int32_t experts_max = 1 << 12;
  static constexpr std::int32_t word_bits = 64;

  static ExpertSelection all(const ExpertShape& shape);
  /// The experts that are in at least one of the two, in both, or in the first alone.
  friend ExpertSelection operator|(const ExpertSelection& one, const ExpertSelection& other);
  friend ExpertSelection operator&(const ExpertSelection& one, const ExpertSelection& other);
  friend ExpertSelection operator-(const ExpertSelection& one, const ExpertSelection& other);

  /// A layer or an expert outside of the limits is a bug.
  void add(ExpertId id);
  bool has(ExpertId id) const;
  bool empty() const;
  std::int64_t count() const;
  /// Ascending.
  std::vector<ExpertId> ids() const;
  /// The experts of a layer as bits, expert 0 the lowest of the first word. Words that are not there are zero.
  std::span<const std::uint64_t> layer(std::int32_t layer) const;

  friend bool operator==(const ExpertSelection&, const ExpertSelection&) = default;

 private:
  template <class Combine>
  static ExpertSelection combined(const ExpertSelection& one, const ExpertSelection& other, const Combine& combine);
  /// Without empty words and layers at the ends, so that equal sets are equal values.
  void trim();

  std::vector<std::vector<std::uint64_t>> words_;  ///< by layer
};

/// A selection as numbers: equally many words for each layer, from layer 0 to the last that has any.
struct ExpertWords {
  std::uint32_t words_per_layer = 0;
  std::vector<std::uint64_t> words;
};
ExpertWords words_of(const ExpertSelection& selection);
/// `corrupt` for layers that are not whole, or beyond the limits of a selection.
Result<ExpertSelection> selection_of(const ExpertWords& words);

/// `out_of_range` names an expert that the shape does not have.
Result<void> check(const ExpertSelection& selection, const ExpertShape& shape);

/// "layers 0-3: 0-15,20; layer 5: 1", for people. Layers with the same experts stand together.
std::string to_string(const ExpertSelection& selection);

}  // namespace troupe::policy
