#include "bench/chart.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "bench/escaped.hpp"
#include "tests/support/page_check.hpp"

namespace troupe::bench {
namespace {

using Ticks = std::vector<double>;

void expect_ticks(const ChartAxis& axis, const Ticks& expected) {
  const Ticks ticks = ticks_of(axis);
  ASSERT_EQ(ticks.size(), expected.size());
  for (std::size_t i = 0; i < ticks.size(); ++i) EXPECT_NEAR(ticks[i], expected[i], 1e-9 * std::max(1.0, expected[i]));
}

TEST(Charts, HaveRoundTicks) {
  expect_ticks({"", 0, 1}, {0, 0.2, 0.4, 0.6, 0.8, 1});
  expect_ticks({"", 0, 100}, {0, 20, 40, 60, 80, 100});
  expect_ticks({"", 0, 230}, {0, 50, 100, 150, 200});
  expect_ticks({"", -3, 3}, {-3, -2, -1, 0, 1, 2, 3});
}

TEST(Charts, HaveTicksOfPowers) {
  expect_ticks({"", 15, 300, true}, {20, 50, 100, 200});
  expect_ticks({"", 0.5, 2e6, true}, {1, 10, 100, 1e3, 1e4, 1e5, 1e6});
}

TEST(Charts, OfNoRangeHaveNoTicks) {
  expect_ticks({"", 1, 1}, {});
  expect_ticks({"", 2, 1}, {});
  expect_ticks({"", 0, 10, true}, {});
}

TEST(Charts, DrawLinesPointsAndNames) {
  const Chart chart{"A & B", {"x", 0, 1}, {"y", 0, 1}, {{"one", "#123456", {{0, 0}, {1, 1}}, true, true}}, true};
  const std::string svg = svg_of(chart);
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("points=\"64.0,308.0 436.0,36.0 \""), std::string::npos) << svg;
  EXPECT_NE(svg.find("A &amp; B"), std::string::npos);
  EXPECT_NE(svg.find("<title>one: 1, 1</title>"), std::string::npos);
  EXPECT_NE(svg.find("stroke-dasharray"), std::string::npos);
}

TEST(Charts, KeepWhatLiesOutsideWithin) {
  const std::string svg = svg_of({"", {"x", 0, 1}, {"y", 0, 1}, {{"one", "red", {{-5, 9}}, false, true}}, false});
  EXPECT_NE(svg.find("cx=\"64.0\" cy=\"36.0\""), std::string::npos) << svg;
}

TEST(Charts, StayWithinTheirBordersWithManySeries) {
  Chart chart{"Many", {"milliseconds", 0.02, 7e5, true}, {"y", 0, 100}, {}, false};
  for (int i = 0; i < 20; ++i)
    chart.series.push_back({"series number " + std::to_string(i), "red", {{0.01 * i, 1e9}, {1e9, -5}}, true, true});
  EXPECT_EQ(tests::problems_of_svg(svg_of(chart)), std::vector<std::string>());
}

TEST(Charts, LeaveOutNumbersThatHaveNoRoom) {
  const std::string svg = svg_of({"", {"milliseconds", 50, 30000, true}, {"y", 0, 1}, {}, false});
  EXPECT_EQ(tests::problems_of_svg(svg), std::vector<std::string>());
  EXPECT_EQ(ticks_of({"", 50, 30000, true}).size(), 9U);
  EXPECT_NE(svg.find(">5000</text>"), std::string::npos);
  EXPECT_EQ(svg.find(">10000</text>"), std::string::npos) << "it would touch the number before";
  EXPECT_NE(svg.find(">20000</text>"), std::string::npos);
}

TEST(Charts, EscapeText) { EXPECT_EQ(escaped("<a b=\"c\">&'"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;"); }

}  // namespace
}  // namespace troupe::bench
