#include "model/safetensors.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "tests/support/safetensors_writer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::model {
namespace {

using tests::safetensors_bytes;
using tests::safetensors_prefix;

Result<TensorTable> parse(const std::string& file) {
  return TensorTable::parse(std::as_bytes(std::span(file)), "t.safetensors");
}

/// The message of a file that must be refused with `code`.
std::string refusal(const std::string& file, ErrorCode code) {
  const auto table = parse(file);
  if (table) return "was accepted";
  EXPECT_EQ(to_string(table.error().code), to_string(code)) << table.error().message;
  EXPECT_NE(table.error().message.find("t.safetensors"), std::string::npos) << table.error().message;
  return table.error().message;
}

void expect_in(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << "\"" << part << "\" is not in: " << message;
}

std::string header_of(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"x":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

TEST(Safetensors, ReadsWhatWasWritten) {
  const std::vector<float> floats = {1.5F, -2, 3};
  const std::vector<std::int32_t> integers = {7, -8};
  const std::vector<tests::TensorToWrite> tensors = {{"b", "F32", {3, 1}, tests::bytes_of(floats)},
                                                     {"a", "I32", {2}, tests::bytes_of(integers)}};
  const std::string file = safetensors_bytes(tensors);
  const auto table = parse(file);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->names(), (std::vector<std::string_view>{"a", "b"}));
  const auto b = table->find("b");
  ASSERT_TRUE(b);
  EXPECT_EQ(describe(*b), "F32 [3, 1]");
  EXPECT_EQ(b->elements(), 3);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(b->bytes.data()), b->bytes.size()), tests::bytes_of(floats));
  const auto a = table->find("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(a->bytes.data()), a->bytes.size()), tests::bytes_of(integers));
}

TEST(Safetensors, NamesTheTensorThatIsNotThere) {
  const auto file = safetensors_bytes(std::vector<tests::TensorToWrite>{});
  const auto table = parse(file);
  ASSERT_TRUE(table);
  const auto missing = table->find("model.norm.weight");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  expect_in(missing.error().message, "model.norm.weight");
}

TEST(Safetensors, AcceptsScalarsAndEmptyTensors) {
  const std::string header = R"({"scalar":{"dtype":"U8","shape":[],"data_offsets":[0,1]},)"
                             R"("none":{"dtype":"F64","shape":[3,0],"data_offsets":[1,1]},)"
                             R"("none_at_zero":{"dtype":"BF16","shape":[0],"data_offsets":[0,0]}})";
  const auto file = safetensors_bytes(header, "z");
  const auto table = parse(file);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->find("scalar")->elements(), 1);
  EXPECT_EQ(table->find("none")->elements(), 0);
}

TEST(Safetensors, ReadsTheBundledModelsAndFixtures) {
  const std::filesystem::path root = TROUPE_SOURCE_DIR;
  const auto mini = SafetensorsFile::open(root / "portfolio/mini/model.safetensors");
  ASSERT_TRUE(mini) << mini.error().message;
  EXPECT_EQ(mini->names().size(), 2 + 4 * 9U);
  EXPECT_EQ(describe(*mini->find("model.embed_tokens.weight")), "BF16 [4096, 192]");
  const auto fixture = SafetensorsFile::open(root / "tests/fixtures/mini.safetensors");
  ASSERT_TRUE(fixture) << fixture.error().message;
  EXPECT_EQ(describe(*fixture->find("p0.logits")), "F32 [2, 4096]");
  EXPECT_EQ(describe(*fixture->find("p0.greedy")), "I32 [64]");
}

TEST(Safetensors, SaysWhichFileIsMissing) {
  const auto file = SafetensorsFile::open("/nowhere/model.safetensors");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::not_found);
  expect_in(file.error().message, "/nowhere/model.safetensors");
  const auto folder = SafetensorsFile::open(TROUPE_SOURCE_DIR);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, ErrorCode::invalid_argument);
}

TEST(Safetensors, RefusesTruncatedFiles) {
  expect_in(refusal("", ErrorCode::corrupt), "0 bytes");
  expect_in(refusal("1234567", ErrorCode::corrupt), "7 bytes");
  expect_in(refusal(safetensors_prefix(100, "{}"), ErrorCode::corrupt), "claims a header of 100 bytes, but only 2 follow");
  const std::string whole = safetensors_bytes(header_of(R"("F32")", "[2]", "[0,8]"), "12345678");
  ASSERT_TRUE(parse(whole));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) EXPECT_FALSE(parse(whole.substr(0, bytes))) << bytes;
  expect_in(refusal(whole.substr(0, whole.size() - 1), ErrorCode::corrupt), "reach past the data, which has 7 bytes");
}

TEST(Safetensors, RefusesAHeaderThatClaimsTooMuch) {
  expect_in(refusal(safetensors_prefix(std::uint64_t{1} << 40, "{}"), ErrorCode::too_large), "1099511627776");
  expect_in(refusal(safetensors_prefix(~std::uint64_t{0}, "{}"), ErrorCode::too_large), "18446744073709551615");
  refusal(safetensors_prefix(safetensors_header_bytes_max + 1, "{}"), ErrorCode::too_large);
  refusal(safetensors_prefix(safetensors_header_bytes_max, "{}"), ErrorCode::corrupt);
}

TEST(Safetensors, KnowsWhatGitLfsLeavesInAFilesPlace) {
  expect_in(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", ErrorCode::corrupt), "git lfs pull");
}

TEST(Safetensors, RefusesHeadersThatAreNoJsonObject) {
  refusal(safetensors_bytes("", ""), ErrorCode::corrupt);
  refusal(safetensors_bytes(" {}", ""), ErrorCode::corrupt);
  refusal(safetensors_bytes("[]", ""), ErrorCode::corrupt);
  refusal(safetensors_bytes("{\"x\":", ""), ErrorCode::invalid_argument);
  refusal(safetensors_bytes("{} {}", ""), ErrorCode::invalid_argument);
  refusal(safetensors_bytes("{\"\xff\":1}", ""), ErrorCode::invalid_argument);
  refusal(safetensors_bytes(std::string("{\"x\":") + std::string(100000, '['), ""), ErrorCode::too_large);
}

TEST(Safetensors, RefusesFieldsOfTheWrongKind) {
  expect_in(refusal(safetensors_bytes(R"({"x":3})", ""), ErrorCode::invalid_argument), "x is 3");
  expect_in(refusal(safetensors_bytes(R"({"x":{"shape":[0],"data_offsets":[0,0]}})", ""), ErrorCode::not_found), "x.dtype");
  expect_in(refusal(safetensors_bytes(header_of("7", "[0]", "[0,0]"), ""), ErrorCode::invalid_argument), "x.dtype");
  expect_in(refusal(safetensors_bytes(header_of(R"("F4")", "[0]", "[0,0]"), ""), ErrorCode::unsupported), "F4");
  expect_in(refusal(safetensors_bytes(header_of(R"("F32")", "3", "[0,0]"), ""), ErrorCode::invalid_argument), "x.shape");
  expect_in(refusal(safetensors_bytes(header_of(R"("F32")", "[-1]", "[0,0]"), ""), ErrorCode::out_of_range), "x.shape[0]");
  expect_in(refusal(safetensors_bytes(header_of(R"("F32")", "[1.5]", "[0,0]"), ""), ErrorCode::out_of_range), "1.5");
  expect_in(refusal(safetensors_bytes(header_of(R"("F32")", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "1234"), ErrorCode::too_large),
            "at most 8");
  expect_in(refusal(safetensors_bytes(header_of(R"("F32")", "[0]", "[0]"), ""), ErrorCode::invalid_argument), "two offsets");
  refusal(safetensors_bytes(header_of(R"("F32")", "[0]", "[0,0,0]"), ""), ErrorCode::too_large);
  refusal(safetensors_bytes(header_of(R"("F32")", "[1]", "[-4,0]"), ""), ErrorCode::out_of_range);
  refusal(safetensors_bytes(header_of(R"("F32")", "[1]", "[0,18446744073709551615]"), ""), ErrorCode::out_of_range);
  refusal(safetensors_bytes(R"({"__metadata__":{"a":1}})", ""), ErrorCode::invalid_argument);
  refusal(safetensors_bytes(R"({"__metadata__":[]})", ""), ErrorCode::invalid_argument);
  refusal(safetensors_bytes(R"({")" + std::string(tensor_name_bytes_max + 1, 'n') + R"(":{}})", ""), ErrorCode::too_large);
}

TEST(Safetensors, RefusesSizesThatContradictEachOther) {
  expect_in(refusal(safetensors_bytes(header_of(R"("F32")", "[2]", "[0,4]"), "1234"), ErrorCode::corrupt),
            "[0, 4] hold 4 bytes, but F32 [2] takes 8");
  expect_in(refusal(safetensors_bytes(header_of(R"("F32")", "[1]", "[4,0]"), "1234"), ErrorCode::corrupt), "end before");
  // 2^62 * 4 * 4 bytes wrap around to 0.
  expect_in(refusal(safetensors_bytes(header_of(R"("F32")", "[4611686018427387904,4]", "[0,0]"), ""), ErrorCode::corrupt),
            "more than 2^64");
}

TEST(Safetensors, RefusesOverlapsGapsAndLeftovers) {
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + first + R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" +
           second + "}}";
  };
  ASSERT_TRUE(parse(safetensors_bytes(two("[2,4]", "[0,2]"), "1234")));
  expect_in(refusal(safetensors_bytes(two("[0,2]", "[1,3]"), "123"), ErrorCode::corrupt), "\"b\": data_offsets [1, 3] overlap");
  expect_in(refusal(safetensors_bytes(two("[0,2]", "[0,2]"), "12"), ErrorCode::corrupt), "overlap");
  expect_in(refusal(safetensors_bytes(two("[0,2]", "[3,5]"), "12345"), ErrorCode::corrupt), "leave a gap after \"a\"");
  expect_in(refusal(safetensors_bytes(two("[1,3]", "[3,5]"), "12345"), ErrorCode::corrupt), "leave a gap");
  expect_in(refusal(safetensors_bytes(two("[0,2]", "[2,4]"), "12345"), ErrorCode::corrupt),
            "end at byte 4 of the data, which has 5");
}

TEST(Safetensors, RefusesATensorThatIsGivenTwice) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  expect_in(refusal(safetensors_bytes(header, "1"), ErrorCode::corrupt), "\"a\"");
}

// Whatever single byte of a good file changes, reading it gives an error or tensors that lie in the file.
TEST(Safetensors, SurvivesAnyDamagedByte) {
  const std::vector<tests::TensorToWrite> tensors = {{"a", "F32", {2, 3}, std::string(24, 'a')},
                                                     {"b", "BF16", {4}, std::string(8, 'b')}};
  const std::string good = safetensors_bytes(tensors);
  constexpr std::uint64_t seed = 20;
  Random random(seed);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good;
    bad[random.below(bad.size())] = static_cast<char>(random.below(256));
    const auto table = parse(bad);
    if (!table) continue;
    ++accepted;
    for (const auto name : table->names()) {
      const auto tensor = table->find(name);
      ASSERT_TRUE(tensor);
      const auto* begin = reinterpret_cast<const std::byte*>(bad.data());
      EXPECT_GE(tensor->bytes.data(), begin);
      EXPECT_LE(tensor->bytes.data() + tensor->bytes.size(), begin + bad.size());
      EXPECT_EQ(tensor->bytes.size(), static_cast<std::size_t>(tensor->elements()) * element_bytes(tensor->dtype));
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace troupe::model
