#include "bench/story_page.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/page_check.hpp"

namespace troupe::bench {
namespace {

using tests::count_of;
using tests::problems_of_page;
using Problems = std::vector<std::string>;

StoryRow chain_row() {
  StoryRow row;
  row.name = "chain";
  row.asked = 10;
  row.answered = 8;
  row.out_of_memory = 2;
  row.cut = 3;
  row.mean_ms = 1500;
  row.p50_ms = 1400;
  row.p95_ms = 2500;
  row.consistency = 0.25;
  row.right = 0.4;
  row.work = {450089, 0, 2888000000000};
  row.latencies_ms = {900, 1000, 1200, 1400, 1400, 1600, 2000, 2500};
  return row;
}

StoryRow troupe_row() {
  StoryRow row;
  row.name = "troupe";
  row.asked = row.answered = 10;
  row.mean_ms = 250;
  row.p50_ms = 200;
  row.p95_ms = 600;
  row.consistency = 1;
  row.right = 0.9;
  row.work = {130925, 45040, 624000000000};
  row.latencies_ms = {100, 120, 150, 180, 200, 210, 250, 290, 400, 600};
  return row;
}

TEST(StoryTable, HasBothSidesBesideWhatWasReported) {
  const TextTable table = story_table(chain_row(), troupe_row());
  EXPECT_TRUE(std::ranges::all_of(table, [](const auto& line) { return line.size() == 6; }));
  EXPECT_EQ(table[1], (std::vector<std::string>{"mean latency, ms", "1500", "250", "6.0", "1.8 to 0.42 s", "factor 4.3: met"}));
  const auto line_of = [&](const std::string& name) {
    return *std::ranges::find_if(table, [&](const auto& line) { return line.front() == name; });
  };
  EXPECT_EQ(line_of("tokens computed"), (std::vector<std::string>{"tokens computed", "450089", "130925", "3.4", "", ""}));
  EXPECT_EQ(line_of("tokens reused")[2], "45040");
  EXPECT_EQ(line_of("out of memory")[5], "0: met");
}

TEST(StoryPages, AreWholeAndNeedNothingFromElsewhere) {
  StorySetting setting;
  setting.questions = "<set> & more.jsonl";
  setting.machine = "cpu, \"avx2\"";
  setting.conversations = 2;
  setting.questions_count = 5;
  setting.turns = 3;
  setting.clients = 2;
  setting.runs = 2;
  setting.temperature = 0.7F;
  setting.forget_passages = true;
  const std::string page = page_of(setting, chain_row(), troupe_row());
  EXPECT_EQ(problems_of_page(page), Problems());
  EXPECT_EQ(count_of(page, "<svg"), 3U);
  for (const char* has :
       {"&lt;set&gt; &amp; more.jsonl", "cpu, &quot;avx2&quot;", "temperature 0.70", "without their passages",
        "<td>1500</td><td>250</td><td>6.0</td><td>1.8 to 0.42 s</td><td>factor 4.3: met</td>", "<td>450089</td><td>130925</td>",
        "<td>25.0</td><td>100.0</td>", "all marks are met", "as teams do it, computed: 450.089", "troupe, reused: 45.04",
        "as teams do it, out of memory: 20", "troupe, right: 90"})
    EXPECT_NE(page.find(has), std::string::npos) << has;
}

/// The curve of the chain ends where its answers end: at eight of ten, which is a fifth of the plot's height below the top.
TEST(StoryPages, DrawOnlyWhatWasAnswered) {
  const std::string page = page_of({}, chain_row(), troupe_row());
  const std::size_t line = page.find("<polyline fill=\"none\" stroke=\"#d55e00\"");
  ASSERT_NE(line, std::string::npos);
  const std::string points = page.substr(line, page.find("/>", line) - line);
  EXPECT_NE(points.find(",90.4 "), std::string::npos) << points;
  EXPECT_EQ(points.find(",36.0 "), std::string::npos) << points;
}

TEST(StoryPages, AreWholeWhereNothingWasAnswered) {
  StoryRow nothing;
  nothing.asked = 4;
  nothing.refused = 4;
  for (const auto& [chain, troupe] : {std::pair(nothing, nothing), {chain_row(), nothing}, {StoryRow{}, StoryRow{}}}) {
    const std::string page = page_of({}, chain, troupe);
    EXPECT_EQ(problems_of_page(page), Problems());
    EXPECT_NE(page.find("not all marks are met"), std::string::npos);
  }
}

}  // namespace
}  // namespace troupe::bench
