#include "policy/terms.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace troupe::policy {
namespace {

using Words = std::vector<std::string>;
using Views = std::vector<std::string_view>;

TEST(Terms, AreSmallWordsWithoutPluralEndings) {
  EXPECT_EQ(terms("Donor files, class C; it's 24 hours. ID-42x gas bus buses"),
            (Words{"donor", "file", "clas", "c", "it", "s", "24", "hour", "id", "42x", "gas", "bus", "buse"}));
  EXPECT_EQ(terms(" §, é!\xff"), Words{});
  EXPECT_EQ(terms(""), Words{});
}

TEST(Terms, OfContentAreWhatAQuestionIsAbout) {
  EXPECT_EQ(content_terms("How long may the audit logs, the logs of audits, be kept?"),
            (Words{"long", "audit", "log", "kept"}));
  EXPECT_EQ(content_terms("Who is this?"), (Words{"who", "is", "thi"})) << "better those than none";
  EXPECT_EQ(content_terms(""), Words{});
  EXPECT_TRUE(is_function_word("doe")) << "terms have lost their plural endings";
  EXPECT_FALSE(is_function_word("does"));
  EXPECT_FALSE(is_function_word(""));
}

TEST(Terms, StandInPairs) {
  EXPECT_EQ(term_pairs({"class", "d", "file"}), (Words{"class d", "d file"}));
  EXPECT_EQ(term_pairs({"class"}), Words{});
  EXPECT_EQ(term_pairs({}), Words{});
}

TEST(Sentences, EndInAMarkBeforeWhiteSpace) {
  EXPECT_EQ(sentences("One. Two at 4.5 °C; three!  Who? The rest"),
            (Views{"One.", "Two at 4.5 °C;", "three!", "Who?", "The rest"}));
  EXPECT_EQ(sentences("  a.b  "), (Views{"a.b  "}));
  EXPECT_EQ(sentences("..."), (Views{"..."}));
  EXPECT_EQ(sentences(" \n"), Views{});
  EXPECT_EQ(sentences(""), Views{});
}

TEST(Terms, CutsATextBetweenCharacters) {
  EXPECT_EQ(first_bytes("abc", 3), "abc");
  EXPECT_EQ(first_bytes("abc", 2), "ab");
  EXPECT_EQ(first_bytes("a\u00a7b", 3), "a\u00a7");
  EXPECT_EQ(first_bytes("a\u00a7b", 2), "a") << "half a character is none";
  EXPECT_EQ(first_bytes("\u00a7", 1), "");
  EXPECT_EQ(first_bytes("", 0), "");
}

}  // namespace
}  // namespace troupe::policy
