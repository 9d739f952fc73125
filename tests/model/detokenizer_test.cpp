#include "model/detokenizer.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "model/utf8.hpp"

namespace troupe::model {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<TokenId>;
const std::string root = TROUPE_SOURCE_DIR;

class Detokenizing : public testing::Test {
 protected:
  static const Tokenizer& tokenizer() {
    static const Tokenizer loaded = *Tokenizer::load(root + "/portfolio/mini/tokenizer.json");
    return loaded;
  }
  /// One token per byte.
  static Ids ids_of_bytes(std::string_view bytes) {
    Ids ids;
    for (const char byte : bytes) ids.push_back(*tokenizer().id_of(std::string_view(&byte, 1)));
    return ids;
  }
  /// What comes out, one entry a token and one for the end; each of them is valid UTF-8.
  static std::vector<std::string> stream(const Ids& ids, bool skip_special) {
    Detokenizer detokenizer(tokenizer(), skip_special);
    std::vector<std::string> emissions;
    for (const TokenId id : ids) emissions.push_back(detokenizer.push(id));
    emissions.push_back(detokenizer.finish());
    for (const std::string& emission : emissions) EXPECT_FALSE(find_invalid_utf8(emission)) << emission;
    return emissions;
  }
  static std::string joined(const std::vector<std::string>& parts) {
    std::string whole;
    for (const std::string& part : parts) whole += part;
    return whole;
  }
};

TEST_F(Detokenizing, EmitsWhatDecodingTheWholeGivesForAllParityStrings) {
  std::ifstream rows(root + "/tests/fixtures/tokenizer.jsonl");
  int count = 0;
  for (std::string line; std::getline(rows, line); ++count) {
    const Json row = Json::parse(line);
    const auto ids = row.at("ids").get<Ids>();
    ASSERT_EQ(joined(stream(ids, false)), row.at("text").get<std::string>());
    ASSERT_EQ(joined(stream(ids, true)), tokenizer().decode(ids, true));
  }
  EXPECT_EQ(count, 1000);
}

TEST_F(Detokenizing, HoldsACharacterBackUntilItIsWhole) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(stream(ids_of_bytes("a\u20ACb"), false), (Strings{"a", "", "", "\u20AC", "b", ""}));
  EXPECT_EQ(stream(ids_of_bytes("\U0001F600"), false), (Strings{"", "", "", "\U0001F600", ""}));
}

TEST_F(Detokenizing, ReplacesOnlyWhatNoContinuationMakesValid) {
  using Strings = std::vector<std::string>;
  const std::string r = "\uFFFD";
  EXPECT_EQ(stream(ids_of_bytes("\xE2\x82"), false), (Strings{"", "", r}));
  EXPECT_EQ(stream(ids_of_bytes("\xE2\x82"
                                "a"),
                   false),
            (Strings{"", "", r + "a", ""}));
  EXPECT_EQ(stream(ids_of_bytes("\xFF"), false), (Strings{r, ""}));
  EXPECT_EQ(stream(ids_of_bytes("\xED\xA0\x80"), false), (Strings{"", r + r, r, ""}));  // a surrogate
  EXPECT_EQ(stream(ids_of_bytes("\xF0\x9F\xF0\x9F\x98\x80"), false), (Strings{"", "", r, "", "", "\U0001F600", ""}));
}

TEST_F(Detokenizing, BeginsAnewAfterFinish) {
  Detokenizer detokenizer(tokenizer(), false);
  EXPECT_EQ(detokenizer.push(ids_of_bytes("\xE2")[0]), "");
  EXPECT_TRUE(detokenizer.holds_back());
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_FALSE(detokenizer.holds_back());
  EXPECT_EQ(detokenizer.push(ids_of_bytes("a")[0]), "a");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST_F(Detokenizing, SkipsSpecialTokensWithinACharacter) {
  Ids ids = ids_of_bytes("\u20AC");
  ids.insert(ids.begin() + 1, 2);  // <|im_end|>
  EXPECT_EQ(joined(stream(ids, true)), "\u20AC");
  EXPECT_EQ(joined(stream(ids, false)), "\uFFFD<|im_end|>\uFFFD\uFFFD");
}

TEST_F(Detokenizing, AgreesWithDecodingOnAnyTokens) {
  Random random(6);
  for (int i = 0; i < 5000; ++i) {
    Ids ids;
    for (int length = 0; length < 12; ++length)
      ids.push_back(static_cast<TokenId>(random.between(-2, random.chance(0.7F) ? 260 : 4100)));
    for (const bool skip_special : {false, true})
      ASSERT_EQ(joined(stream(ids, skip_special)), tokenizer().decode(ids, skip_special));
  }
}

}  // namespace
}  // namespace troupe::model
