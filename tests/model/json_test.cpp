#include "model/json.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/random.hpp"

namespace troupe::model {
namespace {

using Json = nlohmann::json;
constexpr std::size_t bytes_max = 1 << 20;

Error error_of(const std::string& text) {
  const auto result = parse_json(text, "x.json", bytes_max);
  return result ? Error{ErrorCode::unavailable, "no error"} : result.error();
}

TEST(Json, ParsesADocumentAsTheLibraryDoes) {
  const std::string text = R"({"a": [1, -2, 3.5, true, null, "é\n", {"b": {}, "c": []}], "d": 18446744073709551615})";
  const auto document = parse_json(text, "x.json", bytes_max);
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(*document, Json::parse(text));
}

TEST(Json, NamesFileAndByteOfASyntaxError) {
  const Error error = error_of(R"({"a": 1,, })");
  EXPECT_EQ(error.code, ErrorCode::invalid_argument);
  EXPECT_TRUE(error.message.starts_with("x.json: not valid JSON at byte 9: syntax error")) << error.message;
}

TEST(Json, RefusesWhatIsCutShortOrContinuesAfterTheEnd) {
  const std::string whole = R"({"a": [1, "two"]})";
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(parse_json(whole.substr(0, length), "x.json", 100));
  EXPECT_FALSE(parse_json(whole + "1", "x.json", 100));
}

TEST(Json, RefusesAKeyGivenTwice) {
  const Error error = error_of(R"({"a": {"b": 1, "b": 1}})");
  EXPECT_EQ(error.code, ErrorCode::corrupt);
  EXPECT_EQ(error.message, "x.json: key \"b\" is given twice in one object");
}

TEST(Json, LimitsBytesAndNesting) {
  EXPECT_EQ(parse_json("[1]", "x.json", 2).error().code, ErrorCode::too_large);
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']'), "x.json", bytes_max));
  EXPECT_EQ(error_of(std::string(65, '[') + std::string(65, ']')).code, ErrorCode::too_large);
  EXPECT_EQ(error_of(std::string(500000, '[')).code, ErrorCode::too_large);
}

TEST(Json, RefusesStringsThatAreNotUtf8AndNumbersThatOverflow) {
  EXPECT_EQ(error_of("[\"\xFF\"]").code, ErrorCode::invalid_argument);
  EXPECT_EQ(error_of("[1e999]").code, ErrorCode::invalid_argument);
}

TEST(Json, NeverCrashesOnRandomChangesOfADocument) {
  const std::string whole = R"({"a": [1, -2, 3.5e2, true, null, "\u00e9\n"], "b": {"c": {}}})";
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string text = whole;
    for (int change = 0; change < 3; ++change) text[random.below(text.size())] = static_cast<char>(random.next());
    const auto document = parse_json(text, "x.json", bytes_max);
    EXPECT_TRUE(document || document.error().message.starts_with("x.json: ")) << document.error().message;
  }
}

class Fields : public testing::Test {
 protected:
  const Json document =
      Json::parse(R"({"n": 7, "big": 18446744073709551615, "x": 2.5, "s": "text", "t": true, "null": null, "o": {"k": "v"},
                                        "list": [1, 2, 300], "mixed": [1, "2"]})");
  const JsonObject object = *JsonObject::of(document, "x.json", "model");
};

TEST_F(Fields, AreReadByType) {
  EXPECT_EQ(object.integer("n", 7, 7).value(), 7);
  EXPECT_EQ(object.number("x", 0, 3).value(), 2.5);
  EXPECT_EQ(object.number("n", 0, 7).value(), 7.0);
  EXPECT_EQ(object.boolean("t").value(), true);
  EXPECT_EQ(object.string("s").value(), "text");
  EXPECT_EQ(object.object("o")->string("k").value(), "v");
  EXPECT_EQ(object.array("list", 3).value()->size(), 3U);
  EXPECT_EQ(object.integers("list", 3, 1, 300).value(), (std::vector<std::int64_t>{1, 2, 300}));
}

TEST_F(Fields, HaveFallbacksWhereTheyAreAbsentOrNull) {
  for (const char* field : {"absent", "null"}) {
    EXPECT_FALSE(object.has(field));
    EXPECT_EQ(object.integer_or(field, 5, 0, 9).value(), 5);
    EXPECT_EQ(object.number_or(field, 0.5, 0, 9).value(), 0.5);
    EXPECT_EQ(object.boolean_or(field, true).value(), true);
    EXPECT_EQ(object.string_or(field, "f").value(), "f");
  }
  EXPECT_FALSE(object.integer_or("s", 5, 0, 9));
}

TEST_F(Fields, SayWhatWasSeenAndWhatWasExpected) {
  EXPECT_EQ(object.integer("n", 8, 9).error().message, "x.json: model.n is 7, expected an integer from 8 to 9");
  EXPECT_EQ(object.integer("n", 8, 9).error().code, ErrorCode::out_of_range);
  EXPECT_EQ(object.integer("big", 0, 9).error().message,
            "x.json: model.big is 18446744073709551615, expected an integer from 0 to 9");
  EXPECT_EQ(object.integer("x", 0, 9).error().message, "x.json: model.x is 2.5, expected an integer from 0 to 9");
  EXPECT_EQ(object.integer("t", 0, 9).error().message, "x.json: model.t is true, expected an integer from 0 to 9");
  EXPECT_EQ(object.integer("absent", 0, 9).error().message, "x.json: model.absent is missing, expected an integer from 0 to 9");
  EXPECT_EQ(object.integer("absent", 0, 9).error().code, ErrorCode::not_found);
  EXPECT_EQ(object.number("x", 0, 1.5).error().message, "x.json: model.x is 2.5, expected a number from 0.0 to 1.5");
  EXPECT_EQ(object.string("o").error().message, "x.json: model.o is an object of 1 fields, expected a string");
  EXPECT_EQ(object.string("s", 3).error().message, "x.json: model.s is \"text\", expected a string of at most 3 bytes");
  EXPECT_EQ(object.object("list").error().message, "x.json: model.list is a list of 3 values, expected an object");
  EXPECT_EQ(object.array("list", 2).error().code, ErrorCode::too_large);
  EXPECT_EQ(object.integers("list", 9, 0, 255).error().message,
            "x.json: model.list[2] is 300, expected an integer from 0 to 255");
  EXPECT_FALSE(object.integers("mixed", 9, 0, 255));
  EXPECT_EQ(JsonObject::of(document["list"], "x.json").error().message,
            "x.json: the document is a list of 3 values, expected an object");
}

TEST_F(Fields, AreCutShortInMessages) {
  const Json longer = {{"s", std::string(100000, 'a')}, {std::string(5000, 'k'), 1}};
  const auto wide = *JsonObject::of(longer, "x.json");
  EXPECT_LT(wide.integer("s", 0, 1).error().message.size(), 300U);
  EXPECT_LT(wide.string(std::string(5000, 'k')).error().message.size(), 300U);
}

}  // namespace
}  // namespace troupe::model
