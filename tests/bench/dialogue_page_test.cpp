#include "bench/dialogue_page.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/page_check.hpp"

namespace troupe::bench {
namespace {

using tests::count_of;
using tests::problems_of_page;
using Problems = std::vector<std::string>;

DialogueRow row_of(const char* method, std::size_t exchanges, double recall, double tokens) {
  DialogueRow row;
  row.method = method;
  row.exchanges = exchanges;
  row.probes = 8;
  row.recall = recall;
  row.early_probes = 4;
  row.early_recall = recall / 2;
  row.prompt_tokens = tokens;
  row.prompt_tokens_max = static_cast<std::int64_t>(tokens) + 7;
  row.whole = 0.5;
  return row;
}

std::vector<DialogueRow> some_rows() {
  std::vector<DialogueRow> rows;
  for (const std::size_t exchanges : {std::size_t{30}, std::size_t{300}, std::size_t{0}}) {
    rows.push_back(row_of(with_summaries, exchanges, 0.875, 451));
    rows.push_back(row_of(with_pins, exchanges, 1, 460));
    rows.back().verbatim = 1;
    rows.push_back(row_of(with_everything, exchanges, 0.625, 1132));
    rows.push_back(row_of(with_truncation, exchanges, 0.125, 444));
  }
  return rows;
}

TEST(DialogueTable, HasALineForEachRow) {
  const TextTable table = dialogue_table(some_rows());
  ASSERT_EQ(table.size(), 13U);
  EXPECT_EQ(table[1], (std::vector<std::string>{"30", "summaries", "87.5", "43.8", "451", "458", "8", "50.0", "-"}));
  EXPECT_EQ(table[6][8], "100.0");
  EXPECT_EQ(table[12][0], "all");
}

TEST(DialoguePages, AreWholeAndNeedNothingFromElsewhere) {
  const DialogueSetting setting{"<set>.jsonl", 40, "heavy", "mini", "a & b.toml", "cpu"};
  const std::string page = page_of(setting, some_rows());
  EXPECT_EQ(problems_of_page(page), Problems());
  EXPECT_EQ(count_of(page, "<svg"), 3U);
  EXPECT_EQ(count_of(page, "</title></rect>"), 36U) << "a bar for each row in each of the diagrams";
  for (const char* has :
       {"40 conversations of &lt;set&gt;.jsonl", "heavy answers, mini summarises", "a &amp; b.toml",
        "<td>30</td><td>summaries</td><td>87.5</td>", "300, everything: 62.5", "all, pinned: 100", "30, truncated: 444",
        "30, summaries: 43.75", "summaries recall 25.0 points more than everything, with 0.40 of its tokens"})
    EXPECT_NE(page.find(has), std::string::npos) << has;
}

TEST(DialoguePages, ShowWhatWasMeasuredAndNoMore) {
  DialogueRow row = row_of(with_summaries, 10, 0.5, 100);
  row.early_recall.reset();
  const std::string page = page_of({}, std::vector{row});
  EXPECT_EQ(problems_of_page(page), Problems());
  EXPECT_EQ(count_of(page, "</title></rect>"), 2U) << "there is no bar for early facts";
  EXPECT_EQ(page.find("In short"), std::string::npos);
  EXPECT_EQ(problems_of_page(page_of({}, {})), Problems());
}

TEST(DialoguePages, HaveRoomForManyNumbersOfExchanges) {
  std::vector<DialogueRow> rows;
  for (std::size_t exchanges = 10; exchanges <= 10000; exchanges += 10)
    rows.push_back(row_of(with_summaries, exchanges, 0.9, static_cast<double>(exchanges)));
  EXPECT_EQ(problems_of_page(page_of({}, rows)), Problems());
}

}  // namespace
}  // namespace troupe::bench
