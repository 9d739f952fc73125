#include "policy/form.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

std::string times(std::string_view piece, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += piece;
  return text;
}

void expect_wrong(const std::optional<std::string>& wrong, const std::string& words) {
  ASSERT_TRUE(wrong) << words;
  EXPECT_NE(wrong->find(words), std::string::npos) << *wrong;
}

TEST(Form, TakesWhatIsText) {
  for (const char* text :
       {"So.", "lookup", "Zürich, 7 €, 日本, 😀", "- a\n- b\r\n\tc", "no, no, no, no", "ha ha ha ha ha ha ha ha"}) {
    EXPECT_FALSE(malformed_text(text)) << text << ": " << *malformed_text(text);
  }
}

TEST(Form, FindsNothingAndWhatIsNoText) {
  expect_wrong(malformed_text(""), "is empty");
  expect_wrong(malformed_text(" \n\t "), "is empty");
  expect_wrong(malformed_text("abc\xef\xbf\xbd"), "no text, from byte 3");
  for (const std::string bad :
       {"\x80", "a\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    expect_wrong(malformed_text("ab" + bad), "no text");
  }
  expect_wrong(malformed_text(std::string("a\0b", 3)), "control character, at byte 1");
  expect_wrong(malformed_text("a\x1b[31m"), "control character");
}

TEST(Form, FindsWhatGoesRoundInCircles) {
  expect_wrong(malformed_text("The file is kept. " + times("and so on ", 20)), "\"and so on\" 20 times over");
  expect_wrong(malformed_text(times("x", 160)), "\"x\" 160 times over");
  expect_wrong(malformed_text(times("The director approves requests above the limit of the year. ", 4)), "4 times over");
  expect_wrong(malformed_text("It is " + times("very ", 40) + "ve"), "times over");
  EXPECT_FALSE(malformed_text(times("x", 159)));
  EXPECT_FALSE(malformed_text(times("The director approves requests above the limit of the year. ", 3)));
  EXPECT_FALSE(malformed_text(times("and so on ", 20) + "but then it ended well."));
}

TEST(Form, OfASummaryIsShorterThanWhatItSumsUp) {
  EXPECT_FALSE(malformed_summary("The case number is 92153.", 100));
  EXPECT_FALSE(malformed_summary("Nothing to keep.", 0)) << "it is kept as nothing";
  expect_wrong(malformed_summary("", 100), "is empty");
  expect_wrong(malformed_summary("The case number is 92153.", 10), "25 bytes, more than the 10");
}

TEST(Form, IsCutAtTheEndOfASentenceOrWord) {
  EXPECT_EQ(whole_sentences("One thing is so. Another is not so. And a th"), "One thing is so. Another is not so.");
  EXPECT_EQ(whole_sentences("- one\n- two\n- th"), "- one\n- two");
  EXPECT_EQ(whole_sentences("One. " + times("word ", 20)), "One. " + times("word ", 20)) << "too much would be lost";
  EXPECT_EQ(whole_sentences("All of it."), "All of it.");
  EXPECT_EQ(beginning_of("one two three", 8), "one two");
  EXPECT_EQ(beginning_of("one two", 20), "one two");
  EXPECT_EQ(beginning_of("ääää", 5), "ää") << "never within a character";
}

/// Whatever bytes come, each check ends and says the same of the same.
TEST(Form, IsJudgedOfAnyBytes) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    Random random(seed, 0);
    std::string bytes(random.below(600), '\0');
    const std::uint64_t letters = 1 + random.below(256);
    for (char& each : bytes) each = static_cast<char>(random.below(letters) + (letters < 26 ? 'a' : 0));
    EXPECT_EQ(malformed_text(bytes), malformed_text(std::string(bytes))) << "seed " << seed;
    EXPECT_LE(whole_sentences(bytes).size(), bytes.size());
    EXPECT_LE(beginning_of(bytes, 50).size(), 50U);
  }
}

}  // namespace
}  // namespace troupe::policy
