#include "schemas/expert_frame.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <bit>
#include <string_view>

#include "base/check.hpp"
#include "schemas/cluster_codec.hpp"
#include "schemas/expert.capnp.h"

namespace troupe::schemas {

namespace {

static_assert(std::endian::native == std::endian::little, "numbers cross the wire as they lie in memory");

using Limits = ExpertFrameLimits;

constexpr std::size_t word_bytes = sizeof(capnp::word);
constexpr int nesting_max = 8;
constexpr std::size_t error_bytes_max = ClusterLimits::name_bytes_max;

std::size_t words_for(std::size_t bytes) { return (bytes + word_bytes - 1) / word_bytes; }
std::size_t words_of(const std::string& text) { return words_for(text.size() + 1); }

/// Builds a message in memory of its own, in one segment of at most `words` words; `fill(message)` returns the numbers in it.
template <class Fill>
ExpertFrame build(std::size_t words, const Fill& fill) {
  ExpertFrame frame;
  // One word before the segment says how long it is (Cap'n Proto's framing of a message with one segment).
  frame.owner = std::make_shared<std::uint64_t[]>(words + 1);
  capnp::FlatMessageBuilder message({reinterpret_cast<capnp::word*>(frame.owner.get() + 1), words});
  const capnp::Data::Builder values = fill(message);
  frame.values = {reinterpret_cast<float*>(const_cast<std::uint8_t*>(values.begin())), values.size() / sizeof(float)};
  const auto segments = message.getSegmentsForOutput();
  TROUPE_CHECK(segments.size() == 1 && segments[0].size() <= words,
               "a frame fits into one segment of the size that was planned");
  frame.owner[0] = std::uint64_t{segments[0].size()} << 32U;
  frame.bytes = std::as_bytes(std::span(frame.owner.get(), segments[0].size() + 1));
  return frame;
}

/// What any frame has to be before it is parsed.
Result<void> check_bytes(std::span<const std::byte> bytes) {
  TROUPE_CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % word_bytes == 0, "a fabric delivers aligned bytes");
  if (bytes.size() > Limits::bytes_max) {
    return Error{ErrorCode::too_large,
                 std::to_string(bytes.size()) + " bytes, expected at most " + std::to_string(Limits::bytes_max)};
  }
  // One segment: its number less one is 0, and its length is that of the rest.
  std::uint64_t first = 0;
  if (bytes.size() >= 2 * word_bytes) first = *reinterpret_cast<const std::uint64_t*>(bytes.data());
  if (bytes.size() % word_bytes != 0 || bytes.size() < 2 * word_bytes ||
      first != std::uint64_t{bytes.size() / word_bytes - 1} << 32U) {
    return Error{ErrorCode::corrupt, std::to_string(bytes.size()) + " bytes are not one segment of whole words"};
  }
  return {};
}

/// Calls `read(root)` on the message in bytes that were checked.
template <class Root, class Read>
auto open(std::span<const std::byte> bytes, const Read& read) {
  const std::size_t words = bytes.size() / word_bytes;
  // A message is walked once; so many words leave no room for pointers that share a large part many times over.
  capnp::FlatArrayMessageReader message({reinterpret_cast<const capnp::word*>(bytes.data()), words},
                                        {.traversalLimitInWords = 64 + 2 * words, .nestingLimit = nesting_max});
  return read(message.getRoot<Root>());
}

Result<void> check_hidden(std::int32_t hidden) {
  if (hidden >= 1 && hidden <= Limits::hidden_max) return {};
  return Error{ErrorCode::corrupt,
               "hidden is " + std::to_string(hidden) + ", expected 1 to " + std::to_string(Limits::hidden_max)};
}

/// Whole rows, where they lie.
Result<std::span<const float>> floats_of(capnp::Data::Reader data, std::int32_t hidden) {
  const std::size_t row_bytes = static_cast<std::size_t>(hidden) * sizeof(float);
  if (data.size() % row_bytes != 0) {
    return Error{ErrorCode::corrupt, std::to_string(data.size()) + " bytes are not whole rows of " + std::to_string(row_bytes)};
  }
  return std::span(reinterpret_cast<const float*>(data.begin()), data.size() / sizeof(float));
}

Result<void> check_slots(std::size_t slots, std::int32_t hidden) {
  if (slots >= 1 && slots <= Limits::slots_max &&
      slots * static_cast<std::size_t>(hidden) * sizeof(float) <= Limits::bytes_max - 1024) {
    return {};
  }
  return Error{slots == 0 ? ErrorCode::corrupt : ErrorCode::too_large,
               std::to_string(slots) + " slots of " + std::to_string(hidden) + " numbers, expected 1 to " +
                   std::to_string(Limits::slots_max) + " whose answer is at most " + std::to_string(Limits::bytes_max) +
                   " bytes"};
}

Result<void> read_model(records::ModelClass::Reader in, policy::ModelClass& model) {
  TROUPE_TRY_DO(read_name(in.getFingerprint(), model.fingerprint));
  return read_name(in.getNumericClass(), model.numeric_class);
}

Result<void> read_floats(capnp::Data::Reader in, std::int32_t hidden, std::span<const float>& numbers) {
  TROUPE_TRY_DO(check_hidden(hidden));
  TROUPE_TRY(numbers, floats_of(in, hidden));
  return {};
}

Result<void> read_slots(capnp::List<experts::ExpertWork::Slot>::Reader in, std::size_t rows, std::int32_t hidden,
                        std::vector<ExpertRowSlot>& slots) {
  TROUPE_TRY_DO(check_slots(in.size(), hidden));
  slots.reserve(in.size());
  for (const auto slot : in) {
    slots.push_back({slot.getRow(), slot.getExpert()});
    if (slot.getRow() < rows && slot.getExpert() < policy::ExpertSelection::experts_max) continue;
    return Error{ErrorCode::corrupt, "row " + std::to_string(slot.getRow()) + " for expert " +
                                         std::to_string(slot.getExpert()) + ", expected one of " + std::to_string(rows) +
                                         " rows and an expert below " + std::to_string(policy::ExpertSelection::experts_max)};
  }
  return {};
}

Result<void> read(experts::ExpertWork::Reader in, ExpertWorkFrame& work) {
  work.head.number = in.getNumber();
  work.head.protocol = in.getProtocol();
  work.head.layer = in.getLayer();
  work.head.hidden = in.getHidden();
  TROUPE_TRY_DO(read_field("model", [&] { return read_model(in.getModel(), work.head.model); }));
  TROUPE_TRY_DO(read_field("rows", [&] { return read_floats(in.getRows(), work.head.hidden, work.rows); }));
  const std::size_t rows = work.rows.size() / static_cast<std::size_t>(work.head.hidden);
  return read_field("slots", [&] { return read_slots(in.getSlots(), rows, work.head.hidden, work.slots); });
}

Result<void> read_error(experts::ExpertResults::Error::Reader in, std::optional<Error>& error) {
  error.emplace(ErrorCode::io, "");
  TROUPE_TRY_DO(schemas::read(in.getCode(), error->code));
  return read_name(in.getMessage(), error->message);
}

Result<void> read(experts::ExpertResults::Reader in, ExpertResultsFrame& results) {
  results.number = in.getNumber();
  results.protocol = in.getProtocol();
  results.hidden = in.getHidden();
  switch (in.which()) {
    case experts::ExpertResults::VALUES:
      return read_field("values", [&] { return read_floats(in.getValues(), results.hidden, results.values); });
    case experts::ExpertResults::ERROR: return read_field("error", [&] { return read_error(in.getError(), results.error); });
  }
  return Error{ErrorCode::corrupt,
               "kind " + std::to_string(static_cast<unsigned>(in.which())) + "; this version knows 0 and 1"};
}

template <class Root, class Frame>
Result<Frame> decode(std::string_view name, std::span<const std::byte> bytes) {
  Frame frame;
  const auto done = read_field(name, [&]() -> Result<void> {
    TROUPE_TRY_DO(check_bytes(bytes));
    return open<Root>(bytes, [&](typename Root::Reader root) { return read(root, frame); });
  });
  if (!done) return done.error();
  return frame;
}

}  // namespace

Result<ExpertFrame> encode_expert_work(const ExpertWorkHead& head, std::size_t rows, std::span<const ExpertRowSlot> slots) {
  TROUPE_CHECK(head.hidden >= 1 && head.hidden <= Limits::hidden_max && !slots.empty(), "a work has rows, and they a width");
  TROUPE_TRY_DO(check_slots(slots.size(), head.hidden));
  const std::size_t row_bytes = rows * static_cast<std::size_t>(head.hidden) * sizeof(float);
  const std::size_t words = 1 + capnp::sizeInWords<experts::ExpertWork>() + capnp::sizeInWords<records::ModelClass>() +
                            words_of(head.model.fingerprint) + words_of(head.model.numeric_class) + words_for(row_bytes) + 1 +
                            slots.size() * capnp::sizeInWords<experts::ExpertWork::Slot>();
  if (words * word_bytes >= Limits::bytes_max) {
    return Error{ErrorCode::too_large, std::to_string(rows) + " rows of " + std::to_string(head.hidden) +
                                           " numbers for experts elsewhere, expected at most " +
                                           std::to_string(Limits::bytes_max) + " bytes; lower the tokens of a batch"};
  }
  return build(words, [&](capnp::MessageBuilder& message) {
    auto out = message.initRoot<experts::ExpertWork>();
    out.setNumber(head.number);
    out.setProtocol(head.protocol);
    out.setLayer(head.layer);
    out.setHidden(head.hidden);
    auto model = out.initModel();
    model.setFingerprint(text_of(head.model.fingerprint));
    model.setNumericClass(text_of(head.model.numeric_class));
    auto listed = out.initSlots(static_cast<unsigned>(slots.size()));
    for (unsigned i = 0; i < listed.size(); ++i) {
      listed[i].setRow(slots[i].row);
      listed[i].setExpert(slots[i].expert);
    }
    return out.initRows(static_cast<unsigned>(row_bytes));
  });
}

ExpertFrame encode_expert_results(std::uint64_t number, std::int32_t hidden, std::size_t slots) {
  TROUPE_CHECK(check_slots(slots, hidden).has_value(), "an answer is to a work that was within the limits");
  const std::size_t bytes = slots * static_cast<std::size_t>(hidden) * sizeof(float);
  return build(1 + capnp::sizeInWords<experts::ExpertResults>() + words_for(bytes), [&](capnp::MessageBuilder& message) {
    auto out = message.initRoot<experts::ExpertResults>();
    out.setNumber(number);
    out.setProtocol(expert_protocol);
    out.setHidden(hidden);
    return out.initValues(static_cast<unsigned>(bytes));
  });
}

ExpertFrame encode_expert_error(std::uint64_t number, const Error& error) {
  const std::string message_text = error.message.substr(0, error_bytes_max);
  const std::size_t words = 1 + capnp::sizeInWords<experts::ExpertResults>() + words_of(message_text);
  return build(words, [&](capnp::MessageBuilder& message) {
    auto out = message.initRoot<experts::ExpertResults>();
    out.setNumber(number);
    out.setProtocol(expert_protocol);
    auto told = out.initError();
    told.setCode(to_wire(error.code));
    told.setMessage(text_of(message_text));
    return capnp::Data::Builder();
  });
}

Result<ExpertWorkFrame> decode_expert_work(std::span<const std::byte> bytes) {
  return decode<experts::ExpertWork, ExpertWorkFrame>("ExpertWork", bytes);
}

Result<ExpertResultsFrame> decode_expert_results(std::span<const std::byte> bytes) {
  return decode<experts::ExpertResults, ExpertResultsFrame>("ExpertResults", bytes);
}

std::optional<std::uint64_t> number_of_expert_work(std::span<const std::byte> bytes) {
  std::optional<std::uint64_t> number;
  const auto read = read_field("number", [&]() -> Result<void> {
    TROUPE_TRY_DO(check_bytes(bytes));
    number = open<experts::ExpertWork>(bytes, [](experts::ExpertWork::Reader root) { return root.getNumber(); });
    return {};
  });
  if (!read) return std::nullopt;
  return number;
}

}  // namespace troupe::schemas
