#include "bench/dialogue_set.hpp"

#include "bench/set_form.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe::bench {
namespace {

const std::string turns =
    R"("turns":[{"role":"user","content":"My site is Split."},{"role":"assistant","content":"Noted: site Split."},)"
    R"({"role":"user","content":"What is the fee?"},{"role":"assistant","content":"It is USD 5 [Rules §1]."}])";

std::string row(const std::string& probes, const std::string& facts = R"(["site Split","fee: USD 5 [Rules §1]"])") {
  return R"({"id":"d1",)" + turns + R"(,"facts":)" + facts + R"(,"probes":[)" + probes + "]}\n";
}
std::string probe(const std::string& answer, const std::string& value, const std::string& more = "") {
  return R"({"question":"?","answer":")" + answer + R"(","values":[")" + value + R"("],"kind":"k")" + more + "}";
}

void expect_refused(const std::string& text, const std::string& word) {
  const auto set = parse_dialogues(text, "d.jsonl");
  ASSERT_FALSE(set);
  EXPECT_NE(set.error().message.find("d.jsonl"), std::string::npos) << set.error().message;
  EXPECT_NE(set.error().message.find(word), std::string::npos) << set.error().message;
}

TEST(DialogueSet, HasTurnsAndProbesWithThePlaceOfTheirAnswer) {
  const auto set =
      parse_dialogues("\n" + row(probe("Your site is Split.", "split") + "," + probe("The fee is USD 5 [Rules §1].", "USD 5") +
                                 "," + probe("The fee is USD 5 [Rules §2].", "USD 5")),
                      "d.jsonl");
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_EQ(set->dialogues.size(), 1U);
  const Dialogue& dialogue = set->dialogues[0];
  EXPECT_EQ(dialogue.line, 2);
  EXPECT_EQ(dialogue.exchanges[1], (policy::Exchange{"What is the fee?", "It is USD 5 [Rules §1]."}));
  ASSERT_EQ(dialogue.probes.size(), 3U);
  EXPECT_EQ(dialogue.probes[0].since, 1U) << "in any case";
  EXPECT_EQ(dialogue.probes[1].since, 2U);
  EXPECT_EQ(dialogue.probes[2].since, 0U) << "nothing was said with that source";
  EXPECT_EQ(dialogue.probes_after(1).size(), 2U);
  EXPECT_EQ(dialogue.probes_after(2).size(), 3U);
  EXPECT_TRUE(dialogue.probes_after(3).empty());
  EXPECT_EQ(fact_of(dialogue, dialogue.probes[1]), "fee: USD 5 [Rules §1]");
  EXPECT_EQ(fact_of(dialogue, dialogue.probes[2]), "");
}

TEST(DialogueSet, AsksAProbeWhenItSays) {
  const auto set = parse_dialogues(row(probe("Your site is Split.", "Split", R"(,"asked":2,"since":1)")), "d.jsonl");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_TRUE(set->dialogues[0].probes_after(1).empty());
  EXPECT_EQ(set->dialogues[0].probes_after(2).size(), 1U);
}

TEST(DialogueSet, IsToldFromQuestionsByItsFirstRow) {
  EXPECT_EQ(form_of("\n" + row("")), SetForm::dialogues);
  for (const char* other : {"", "\n", "{", "[]", R"({"id":"q","question":"?"})"})
    EXPECT_EQ(form_of(other), SetForm::questions) << other;
}

TEST(DialogueSet, RefusesWhatItCannotRead) {
  expect_refused("\n", "no conversations");
  expect_refused("{\n", "d.jsonl:1");
  expect_refused(row("1"), "probes[0]");
  expect_refused(row(probe("a", "b", R"(,"asked":3)")), "asked");
  expect_refused(row(R"({"question":"?","answer":"a","values":[]})"), "values");
  expect_refused(row(probe("a", "b"), R"([1])"), "facts");
  expect_refused(R"({"id":"d","turns":[{"role":"user","content":"a"}],"probes":[]})", "alternately");
  expect_refused(R"({"id":"d","turns":[{"role":"assistant","content":"a"},{"role":"user","content":"a"}],"probes":[]})",
                 "alternately");
}

TEST(DialogueSet, TakesAnAnswerWithAllValuesForRecalled) {
  const Probe probe{.question = "?", .answer = "", .values = {"USD 5", "Split"}, .kind = ""};
  EXPECT_TRUE(recalls(probe, "usd 5 at split"));
  EXPECT_FALSE(recalls(probe, "USD 5"));
}

}  // namespace
}  // namespace troupe::bench
