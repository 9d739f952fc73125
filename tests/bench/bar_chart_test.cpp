#include "bench/bar_chart.hpp"

#include <gtest/gtest.h>

#include "tests/support/page_check.hpp"

namespace troupe::bench {
namespace {

using tests::count_of;
using tests::problems_of_svg;
using Problems = std::vector<std::string>;

TEST(BarCharts, StandSideBySideFromTheAxisUp) {
  const BarChart chart{
      "A & B", "groups", {"one", "two"}, {"y", 0, 100}, {{"first", "red", {50, 100}}, {"second", "blue", {25, {}}}}};
  const std::string svg = svg_of(chart);
  EXPECT_EQ(problems_of_svg(svg), Problems());
  // The plot is 372 wide from 64 on and 272 high down to 308; of a group's 186, two bars of 56 have the middle.
  EXPECT_NE(
      svg.find("<rect x=\"101.0\" y=\"172.0\" width=\"56.0\" height=\"136.0\" fill=\"red\"><title>one, first: 50</title>"),
      std::string::npos)
      << svg;
  EXPECT_NE(
      svg.find("<rect x=\"157.0\" y=\"240.0\" width=\"56.0\" height=\"68.0\" fill=\"blue\"><title>one, second: 25</title>"),
      std::string::npos)
      << svg;
  EXPECT_NE(svg.find("two, first: 100"), std::string::npos);
  EXPECT_EQ(svg.find("two, second"), std::string::npos) << "there is no bar for what was not measured";
  EXPECT_NE(svg.find("A &amp; B"), std::string::npos);
}

TEST(BarCharts, TellZeroFromNothing) {
  const std::string svg = svg_of({"", "", {"one", "two"}, {"y", 0, 100}, {{"first", "red", {0, {}}}}});
  EXPECT_EQ(problems_of_svg(svg), Problems());
  EXPECT_NE(svg.find("y=\"307.0\" width=\"56.0\" height=\"1.0\" fill=\"red\"><title>one, first: 0</title>"), std::string::npos)
      << svg;
  EXPECT_EQ(count_of(svg, "</title></rect>"), 1U);
}

TEST(BarCharts, StandUponOneAnother) {
  const BarChart chart{"", "", {"one"}, {"y", 0, 100}, {{"first", "red", {50}}, {"second", "blue", {25}}}, true};
  const std::string svg = svg_of(chart);
  EXPECT_NE(svg.find("<rect x=\"222.0\" y=\"172.0\" width=\"56.0\" height=\"136.0\" fill=\"red\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("<rect x=\"222.0\" y=\"104.0\" width=\"56.0\" height=\"68.0\" fill=\"blue\""), std::string::npos) << svg;
}

TEST(BarCharts, StayWithinTheirBorders) {
  BarChart chart{"", "groups", {}, {"y", 0, 10}, {{"first", "red", {}}, {"second", "blue", {}}}};
  EXPECT_EQ(problems_of_svg(svg_of(chart)), Problems()) << "nothing was measured";
  for (int i = 0; i < 200; ++i) {
    chart.groups.push_back("after " + std::to_string(i));
    chart.series[0].values.emplace_back(i);
    chart.series[1].values.emplace_back(0);
  }
  for (const bool stacked : {false, true}) {
    chart.stacked = stacked;
    const std::string svg = svg_of(chart);
    EXPECT_EQ(problems_of_svg(svg), Problems());
    EXPECT_EQ(count_of(svg, "</title></rect>"), 400U);
    EXPECT_LT(count_of(svg, "\"middle\">after "), 10U) << "names that have no room are left out";
  }
}

}  // namespace
}  // namespace troupe::bench
