#include "schemas/expert_frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::schemas {
namespace {

/// Bytes somewhere else in memory, aligned as a fabric would have them. What stands behind them belongs to nobody.
class Aligned {
 public:
  explicit Aligned(std::span<const std::byte> bytes) : words_((bytes.size() + 7) / 8), size_(bytes.size()) {
    if (size_ > 0) std::memcpy(words_.data(), bytes.data(), size_);
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(words_)).first(size_); }
  std::byte& operator[](std::size_t place) { return reinterpret_cast<std::byte*>(words_.data())[place]; }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t size_;
};

const policy::ModelClass model{std::string(64, 'a'), "cpu-f32-v1"};

struct Drawn {
  explicit Drawn(std::uint64_t seed) {
    Random random(seed);
    head = {random.below(1ULL << 60), expert_protocol, model, static_cast<std::int32_t>(random.below(100)),
            static_cast<std::int32_t>(16 * random.between(1, 8))};
    rows.resize(random.between(1, 9) * static_cast<std::int64_t>(head.hidden));
    for (float& value : rows) value = std::bit_cast<float>(random.next());
    for (std::uint64_t i = 1 + random.below(20); i > 0; --i) {
      slots.push_back({static_cast<std::uint32_t>(random.below(rows.size() / static_cast<std::size_t>(head.hidden))),
                       static_cast<std::uint32_t>(random.below(128))});
    }
  }
  ExpertFrame encoded() const {
    auto frame = encode_expert_work(head, rows.size() / static_cast<std::size_t>(head.hidden), slots).value();
    EXPECT_EQ(frame.values.size(), rows.size());
    std::memcpy(frame.values.data(), rows.data(), rows.size() * sizeof(float));
    return frame;
  }
  ExpertWorkHead head;
  std::vector<float> rows;
  std::vector<ExpertRowSlot> slots;
};

bool same_bytes(std::span<const float> one, std::span<const float> other) {
  return one.size() == other.size() && (one.empty() || std::memcmp(one.data(), other.data(), one.size_bytes()) == 0);
}

TEST(ExpertFrames, ArriveAsTheyWereSentAndAreReadWhereTheyLie) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Drawn drawn(seed);
    const ExpertFrame sent = drawn.encoded();
    const Aligned arrived(sent.bytes);
    const auto work = decode_expert_work(arrived.bytes());
    ASSERT_TRUE(work) << work.error().message;
    EXPECT_EQ(work->head, drawn.head);
    EXPECT_EQ(work->slots, drawn.slots);
    EXPECT_TRUE(same_bytes(work->rows, drawn.rows));
    EXPECT_GE(std::as_bytes(work->rows).data(), arrived.bytes().data());
    EXPECT_LT(std::as_bytes(work->rows).data(), arrived.bytes().data() + arrived.bytes().size());
    EXPECT_EQ(number_of_expert_work(arrived.bytes()), drawn.head.number);

    const ExpertFrame answer = encode_expert_results(drawn.head.number, drawn.head.hidden, drawn.slots.size());
    ASSERT_EQ(answer.values.size(), drawn.slots.size() * static_cast<std::size_t>(drawn.head.hidden));
    for (std::size_t i = 0; i < answer.values.size(); ++i) answer.values[i] = drawn.rows[i % drawn.rows.size()];
    const Aligned there(answer.bytes);
    const auto results = decode_expert_results(there.bytes());
    ASSERT_TRUE(results) << results.error().message;
    EXPECT_EQ(results->number, drawn.head.number);
    EXPECT_EQ(results->hidden, drawn.head.hidden);
    EXPECT_TRUE(same_bytes(results->values, answer.values));
    EXPECT_FALSE(results->error);
  }
}

TEST(ExpertFrames, CarryErrors) {
  const auto frame = encode_expert_error(7, {ErrorCode::overloaded, "a queue of 256"});
  const auto results = decode_expert_results(Aligned(frame.bytes).bytes());
  ASSERT_TRUE(results) << results.error().message;
  ASSERT_TRUE(results->error);
  EXPECT_EQ(results->number, 7U);
  EXPECT_EQ(results->error->code, ErrorCode::overloaded);
  EXPECT_EQ(results->error->message, "a queue of 256");
  EXPECT_TRUE(results->values.empty());
  const auto long_one = encode_expert_error(7, {ErrorCode::io, std::string(5000, 'x')});
  const auto cut = decode_expert_results(long_one.bytes);
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->error->message.size(), 1024U);
}

TEST(ExpertFrames, AreRefusedWhenCutOrPadded) {
  const Drawn drawn(3);
  const auto work = drawn.encoded();
  const auto results = encode_expert_results(1, 16, 4);
  const auto error = encode_expert_error(1, {ErrorCode::io, "a message"});
  for (const ExpertFrame& frame : {work, results, error}) {
    for (std::size_t length = 0; length < frame.bytes.size(); ++length) {
      const Aligned cut(frame.bytes.first(length));
      ASSERT_FALSE(decode_expert_work(cut.bytes())) << length;
      const auto refused = decode_expert_results(cut.bytes());
      ASSERT_FALSE(refused) << length;
      EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
      EXPECT_FALSE(number_of_expert_work(cut.bytes()));
    }
    std::vector<std::byte> padded(frame.bytes.begin(), frame.bytes.end());
    padded.resize(padded.size() + 8);
    EXPECT_FALSE(decode_expert_work(Aligned(padded).bytes()));
    EXPECT_FALSE(decode_expert_results(Aligned(padded).bytes()));
  }
}

TEST(ExpertFrames, SurviveFlippedBits) {
  constexpr std::uint64_t seed = 5;
  Random random(seed);
  const Drawn drawn(seed);
  const auto work = drawn.encoded();
  const auto results = encode_expert_results(1, 16, 4);
  const auto error = encode_expert_error(1, {ErrorCode::io, "a message"});
  for (const ExpertFrame& frame : {work, results, error}) {
    // Every bit of the structure once, and then several at a time anywhere.
    for (std::size_t bit = 0; bit < std::min<std::size_t>(frame.bytes.size(), 400) * 8 + 2000; ++bit) {
      Aligned flipped(frame.bytes);
      if (bit < std::min<std::size_t>(frame.bytes.size(), 400) * 8) {
        flipped[bit / 8] ^= std::byte{1} << (bit % 8);
      } else {
        for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
          flipped[random.below(frame.bytes.size())] ^= std::byte{1} << random.below(8);
        }
      }
      if (const auto read = decode_expert_work(flipped.bytes())) {
        const std::size_t rows = read->rows.size() / static_cast<std::size_t>(read->head.hidden);
        EXPECT_FALSE(read->slots.empty());
        EXPECT_TRUE(std::ranges::all_of(read->slots, [&](const ExpertRowSlot& slot) { return slot.row < rows; }));
        EXPECT_TRUE(encode_expert_work(read->head, rows, read->slots));
      }
      if (const auto read = decode_expert_results(flipped.bytes()); read && !read->error) {
        EXPECT_EQ(read->values.size() % static_cast<std::size_t>(read->hidden), 0U);
      }
      number_of_expert_work(flipped.bytes());
    }
  }
}

TEST(ExpertFrames, AreBoundedBeforeAnythingIsAllocated) {
  const ExpertWorkHead wide{1, expert_protocol, model, 0, 65536};
  // A short question must not ask for an answer that no frame can hold.
  const std::vector<ExpertRowSlot> many(300);
  const auto answer = encode_expert_work(wide, 1, many);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::too_large);
  const std::vector<ExpertRowSlot> one(1);
  const auto rows = encode_expert_work(wide, 256, one);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::too_large);
  EXPECT_NE(rows.error().message.find("256 rows of 65536"), std::string::npos) << rows.error().message;
  ASSERT_TRUE(encode_expert_work(wide, 1, one));
}

TEST(ExpertFrames, NameTheFieldThatIsWrong) {
  const auto refused = [](const ExpertFrame& frame, ErrorCode code, const std::vector<std::string>& words) {
    const auto work = decode_expert_work(frame.bytes);
    ASSERT_FALSE(work);
    EXPECT_EQ(work.error().code, code);
    for (const auto& word : words) EXPECT_NE(work.error().message.find(word), std::string::npos) << work.error().message;
  };
  const ExpertWorkHead head{9, expert_protocol, model, 0, 16};
  const std::vector<ExpertRowSlot> row{{2, 0}};
  refused(encode_expert_work(head, 2, row).value(), ErrorCode::corrupt, {"ExpertWork: slots: row 2", "2 rows"});
  const std::vector<ExpertRowSlot> expert{{0, 4096}};
  const auto beyond = encode_expert_work(head, 1, expert).value();
  refused(beyond, ErrorCode::corrupt, {"ExpertWork: slots", "expert 4096", "below 4096"});
  EXPECT_EQ(number_of_expert_work(beyond.bytes), 9U) << "it can be answered";
  auto name = head;
  name.model.fingerprint.assign(2000, 'f');
  refused(encode_expert_work(name, 1, std::vector<ExpertRowSlot>(1)).value(), ErrorCode::too_large,
          {"ExpertWork: model", "2000"});
}

}  // namespace
}  // namespace troupe::schemas
