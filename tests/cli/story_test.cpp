// troupe bench story: what it measures with the bundled models, and what it refuses.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/cli/run_troupe.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe {
namespace {

using tests::expect_refusal;
using tests::troupe;

TEST(StoryCommand, AsksTheSameOfBothAndComparesThem) {
  const tests::TemporaryFolder folder;
  const std::string page = (folder.path() / "story.html").string();
  const auto run = troupe("bench story --limit 8 --turns 4 --clients 2 --runs 2 --json --html " + page);
  ASSERT_EQ(run.status, 0) << run.output;
  const auto object = nlohmann::json::parse(run.output.substr(run.output.find("{\n")));
  EXPECT_EQ(object["temperature"], 0.7) << "a float's decimals, not those of the double beside it";
  ASSERT_EQ(object["rows"].size(), 2U);
  const auto& chain = object["rows"][0];
  const auto& troupe = object["rows"][1];
  EXPECT_EQ(chain["name"], "chain");
  EXPECT_EQ(troupe["name"], "troupe");
  for (const auto& row : object["rows"]) {
    EXPECT_EQ(row["asked"], 16);
    EXPECT_EQ(row["answered"], 16) << row.dump();
    EXPECT_EQ(row["out_of_memory"], 0);
    EXPECT_GT(row["computed_tokens"], 0);
  }
  EXPECT_EQ(chain["reused_tokens"], 0);
  EXPECT_GT(troupe["reused_tokens"], 0);
  EXPECT_LT(troupe["computed_tokens"], chain["computed_tokens"]);
  EXPECT_EQ(troupe["consistency"], 1.0);
  EXPECT_TRUE(object["marks"]["no_failures"]);
  EXPECT_TRUE(object["marks"]["consistent"]);
  std::ostringstream text;
  text << std::ifstream(page).rdbuf();
  EXPECT_NE(text.str().find("8 questions of portfolio/handbook/questions.jsonl"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("<td>" + std::to_string(chain["computed_tokens"].get<int>()) + "</td>"), std::string::npos);
}

TEST(StoryCommand, RefusesWhatItCannotMeasure) {
  expect_refusal("bench story --memory 60", 1, "MiB");
  expect_refusal("bench story --questions portfolio/eval/grounded.jsonl", 1, "brings its sources along");
  expect_refusal("bench story --questions portfolio/none.jsonl", 2, "none.jsonl");
  expect_refusal("bench story --corpus portfolio/mini --limit 1", 1, "portfolio/mini");
  expect_refusal("bench story --turns 0", 2, "--turns");
  expect_refusal("bench story --answers /nonexistent/a.jsonl", 1, "cannot write to");
  expect_refusal("bench story --html /nonexistent/a.html", 1, "cannot write to /nonexistent/a.html");
}

}  // namespace
}  // namespace troupe
