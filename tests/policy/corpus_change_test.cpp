#include "policy/corpus_change.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace troupe::policy {
namespace {

Document document(const std::string& name, const std::string& text = "text") {
  return {name, "hash of " + text, {{name + "#1", name + " §1", text}}};
}

std::string names(const std::vector<Document>& documents) {
  std::string all;
  for (const Document& each : documents) all += each.name + "=" + each.sections.front().text + " ";
  return all;
}

void expect_refused(const Result<std::vector<Document>>& result, ErrorCode code, const std::string& said) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code);
  EXPECT_NE(result.error().message.find(said), std::string::npos) << result.error().message;
}

TEST(CorpusChange, AddsReplacesAndRemovesByName) {
  const auto result = changed({document("b"), document("a")}, {{document("c"), document("a", "new")}, {"b"}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(names(*result), "a=new c=text ") << "ascending, whatever the order was";
  EXPECT_EQ(changed(*result, {})->size(), 2U);
  EXPECT_EQ(*changed(*result, {{document("c"), document("a", "new")}, {}}), *result) << "once more is the same";
  EXPECT_TRUE(changed({document("a")}, {{}, {"a"}})->empty());
}

TEST(CorpusChange, OfDifferentDocumentsComeToTheSameInAnyOrder) {
  const CorpusChange one{{document("a", "1")}, {"z"}};
  const CorpusChange two{{document("b", "2"), document("c")}, {}};
  const std::vector<Document> before{document("c", "old"), document("z")};
  EXPECT_EQ(*changed(*changed(before, one), two), *changed(*changed(before, two), one));
}

TEST(CorpusChange, JoinsADocumentThatStoodInTwoPlaces) {
  Document rest = document("a");
  rest.sections[0].key = "a#2";
  const auto result = changed({document("a"), document("b"), rest}, {});
  ASSERT_EQ(result->size(), 2U);
  EXPECT_EQ(result->front().sections.size(), 2U);
}

TEST(CorpusChange, IsRefusedWholeIfAnyOfItIsWrong) {
  const std::vector<Document> before{document("a")};
  expect_refused(changed(before, {{document("b")}, {"c"}}), ErrorCode::not_found, "no document \"c\"");
  expect_refused(changed(before, {{document("b"), document("b")}, {}}), ErrorCode::invalid_argument, "\"b\" is named twice");
  expect_refused(changed(before, {{document("a")}, {"a"}}), ErrorCode::invalid_argument, "\"a\" is named twice");
  expect_refused(changed(before, {{}, {"a", "a"}}), ErrorCode::invalid_argument, "named twice");
  expect_refused(changed(before, {{document("")}, {}}), ErrorCode::invalid_argument, "has no name");
  expect_refused(changed(before, {{{"b", "", {}}}, {}}), ErrorCode::invalid_argument, "has no sections");
  Document thief = document("b");
  thief.sections[0].key = "a#7";
  expect_refused(changed(before, {{thief}, {}}), ErrorCode::invalid_argument, "section \"a#7\" of another one");
}

}  // namespace
}  // namespace troupe::policy
