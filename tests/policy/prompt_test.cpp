#include "policy/prompt.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace troupe::policy {
namespace {

const std::vector<Exchange> recent = {{"Who am I?", "Your name is Ada."}, {"Open?", "Yes [Records Policy §3.2]."}};

TEST(Prompt, OfAnAnswerHasSummaryTurnsNumberedPassagesAndQuestion) {
  const ContextParts parts{.task = Task::answer,
                           .summary = "User: Ada",
                           .recent = recent,
                           .passages = {{"Access Rules §1.1", "Doors are shut."}, {"Records Policy §3.2", "Files are open."}},
                           .question = "Are doors shut?"};
  EXPECT_EQ(
      messages_of(parts),
      (std::vector<Message>{{"system", "You answer from the numbered sources and cite them.\n\nSummary so far:\nUser: Ada"},
                            {"user", "Who am I?"},
                            {"assistant", "Your name is Ada."},
                            {"user", "Open?"},
                            {"assistant", "Yes [Records Policy §3.2]."},
                            {"user",
                             "[1] Access Rules §1.1: Doors are shut.\n[2] Records Policy §3.2: Files are open.\n\n"
                             "Question: Are doors shut?"}}));
}

TEST(Prompt, HasNoTraceOfWhatIsNotThere) {
  EXPECT_EQ(
      messages_of({.task = Task::answer, .summary = {}, .recent = {}, .passages = {}, .question = "Why?"}),
      (std::vector<Message>{{"system", "You answer from the numbered sources and cite them."}, {"user", "Question: Why?"}}));
  EXPECT_EQ(messages_of({.task = Task::chat, .summary = {}, .recent = {}, .passages = {{"n", "t"}}, .question = "Why?"}),
            (std::vector<Message>{{"system", "You are a handbook assistant. You answer from the conversation so far."},
                                  {"user", "Why?"}}));
}

TEST(Prompt, MakesAQuestionStandAloneByTheLastExchanges) {
  EXPECT_EQ(rewrite_messages({}, "And for files?")[1].content, "User: And for files?");
  EXPECT_EQ(rewrite_messages(recent, "And for files?"),
            (std::vector<Message>{{"system", "You rewrite the last question so that it stands alone."},
                                  {"user",
                                   "User: Who am I?\nAssistant: Your name is Ada.\nUser: Open?\n"
                                   "Assistant: Yes [Records Policy §3.2].\nUser: And for files?"}}));
  std::vector<Exchange> many(5, {"q", "a"});
  many[1].question = "too old";
  many[2].question = "just in";
  const std::string text = rewrite_messages(many, "x")[1].content;
  EXPECT_EQ(text.find("too old"), std::string::npos);
  EXPECT_NE(text.find("just in"), std::string::npos);
}

TEST(Prompt, AsksForASummaryAndKnowsWhenThereIsNone) {
  EXPECT_EQ(summary_messages("", std::vector<Exchange>{recent[0]}),
            (std::vector<Message>{{"system", "You summarize the conversation and keep every fact."},
                                  {"user", "New turns:\nUser: Who am I?\nAssistant: Your name is Ada."}}));
  EXPECT_EQ(summary_messages("User: Ada", std::vector<Exchange>{recent[1]})[1].content,
            "Summary so far:\nUser: Ada\n\nNew turns:\nUser: Open?\nAssistant: Yes [Records Policy §3.2].");
  EXPECT_EQ(summary_of(" User: Ada\nOpen: x\n"), "User: Ada\nOpen: x");
  EXPECT_EQ(summary_of("Nothing to keep."), "");
  EXPECT_EQ(summary_of("  \n"), "");
}

TEST(Prompt, SaysWhatTheModelsWereTrainedOn) {
  std::ifstream file(TROUPE_SOURCE_DIR "/portfolio/training/chat.py");
  std::stringstream profile;
  profile << file.rdbuf();
  const auto system_of = [](const std::vector<Message>& messages) { return messages.at(0).content; };
  const auto of_task = [](Task task) {
    return messages_of({.task = task, .summary = {}, .recent = {}, .passages = {}, .question = "q"});
  };
  const std::vector<std::pair<std::string, std::string>> prompts = {{"answer", system_of(of_task(Task::answer))},
                                                                    {"chat", system_of(of_task(Task::chat))},
                                                                    {"summarize", system_of(summary_messages("", {}))},
                                                                    {"rewrite", system_of(rewrite_messages({}, "q"))}};
  for (const auto& [task, prompt] : prompts) {
    EXPECT_NE(profile.str().find("\"" + task + "\": \"" + prompt + "\","), std::string::npos) << task;
  }
}

TEST(Prompt, NamesItsTasksBothWays) {
  EXPECT_EQ(task_of("answer"), Task::answer);
  EXPECT_EQ(task_of("chat"), Task::chat);
  EXPECT_FALSE(task_of("unknown"));
  EXPECT_EQ(to_string(Task::chat), "chat");
}

}  // namespace
}  // namespace troupe::policy
