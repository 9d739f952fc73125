// Rows for experts and their answers as bytes on the data plane (expert.capnp). Numbers are written where they are sent from,
// and read where they arrive: encoding returns a frame with room for them, decoding views of the frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/expert_selection.hpp"
#include "policy/portfolio.hpp"

namespace troupe::schemas {

inline constexpr std::uint32_t expert_protocol = 1;

/// Checked when frames are made, and of what arrives before anything is allocated for it.
struct ExpertFrameLimits {
  static constexpr std::size_t bytes_max = std::size_t{64} << 20;  ///< of a work, and of what it asks for
  static constexpr std::int32_t hidden_max = 1 << 16;
  static constexpr std::size_t slots_max = std::size_t{1} << 20;
};

/// Bytes of a message under way, aligned to 8, and the part of them that holds the numbers.
struct ExpertFrame {
  std::shared_ptr<std::uint64_t[]> owner;
  std::span<const std::byte> bytes;
  std::span<float> values;  ///< zero until they are written
};

/// An expert that is wanted for a row of the frame.
struct ExpertRowSlot {
  std::uint32_t row = 0;
  std::uint32_t expert = 0;
  friend bool operator==(const ExpertRowSlot&, const ExpertRowSlot&) = default;
};

/// What a work says beside its numbers.
struct ExpertWorkHead {
  std::uint64_t number = 0;
  std::uint32_t protocol = expert_protocol;
  policy::ModelClass model;
  std::int32_t layer = 0;
  std::int32_t hidden = 0;
  friend bool operator==(const ExpertWorkHead&, const ExpertWorkHead&) = default;
};

struct ExpertWorkFrame {
  ExpertWorkHead head;
  std::span<const float> rows;  ///< [rows, hidden], in the bytes that were decoded
  std::vector<ExpertRowSlot> slots;
};

struct ExpertResultsFrame {
  std::uint64_t number = 0;
  std::uint32_t protocol = expert_protocol;
  std::int32_t hidden = 0;
  std::span<const float> values;  ///< [slots, hidden], in the bytes that were decoded
  std::optional<Error> error;     ///< instead of values
};

/// A work of `rows` rows, whose numbers the caller writes. `too_large` if it, or its answer, would be longer than a frame may
/// be.
Result<ExpertFrame> encode_expert_work(const ExpertWorkHead& head, std::size_t rows, std::span<const ExpertRowSlot> slots);
/// An answer of `slots` rows, whose numbers the caller writes. They are as many as a work may ask for.
ExpertFrame encode_expert_results(std::uint64_t number, std::int32_t hidden, std::size_t slots);
/// An answer that there is none. A long message is cut.
ExpertFrame encode_expert_error(std::uint64_t number, const Error& error);

/// The bytes are aligned to 8, as a fabric delivers them. `corrupt` or `too_large` with the field, what was seen and what was
/// expected. A work's protocol, model, layer and experts are for the server to judge; its shape is sound.
Result<ExpertWorkFrame> decode_expert_work(std::span<const std::byte> bytes);
Result<ExpertResultsFrame> decode_expert_results(std::span<const std::byte> bytes);
/// The number of a work that cannot be decoded, if that much of it can be read: then it can be answered.
std::optional<std::uint64_t> number_of_expert_work(std::span<const std::byte> bytes);

}  // namespace troupe::schemas
