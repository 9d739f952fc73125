#include "bench/set_form.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace troupe::bench {
namespace {

SetForm form_of_file(const std::string& name) {
  std::ifstream file(std::string(TROUPE_SOURCE_DIR "/portfolio/") + name);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_GT(text.str().size(), 1000U) << name;
  return form_of(text.str());
}

TEST(SetForm, OfTheBundledSets) {
  EXPECT_EQ(form_of_file("handbook/questions.jsonl"), SetForm::questions);
  EXPECT_EQ(form_of_file("eval/grounded.jsonl"), SetForm::questions);
  EXPECT_EQ(form_of_file("eval/intent.jsonl"), SetForm::intents);
  EXPECT_EQ(form_of_file("eval/clinc_test.jsonl"), SetForm::intents);
}

TEST(SetForm, IsThatOfTheFirstRowWhateverFollows) {
  const std::string intent = R"({"messages": [], "answer": "chat"})";
  const std::string question = R"({"question": "Why?"})";
  EXPECT_EQ(form_of("\n \t\n" + intent + "\n" + question + "\n"), SetForm::intents);
  EXPECT_EQ(form_of(question + "\n" + intent + "\n"), SetForm::questions);
  EXPECT_EQ(form_of(intent + "\n{"), SetForm::intents);
}

TEST(SetForm, OfWhatIsNoSetIsLeftToTheReaderOfQuestions) {
  for (const char* text : {"", "\n", "{", "[]", "5", "{}", R"({"messages": [], "answer": "x", "facts": []})",
                           R"({"messages": [], "answer": "x", "citations": []})"}) {
    EXPECT_EQ(form_of(text), SetForm::questions) << text;
  }
}

}  // namespace
}  // namespace troupe::bench
