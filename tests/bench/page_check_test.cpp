// The check of pages, shown what is wrong, so that a check that finds nothing cannot pass for a sound page.
#include "tests/support/page_check.hpp"

#include <gtest/gtest.h>

namespace troupe::tests {
namespace {

std::string page_with(const std::string& body) { return "<!doctype html>\n<html><body>" + body + "</body></html>\n"; }
std::string svg_with(const std::string& shapes) { return "<svg width=\"100\" height=\"50\">" + shapes + "</svg>"; }

void expect_problem(const std::vector<std::string>& problems, const std::string& part) {
  ASSERT_EQ(problems.size(), 1U) << part;
  EXPECT_NE(problems.front().find(part), std::string::npos) << problems.front();
}

TEST(PageCheck, FindsNothingWrongWithAPlainPage) {
  EXPECT_EQ(problems_of_page(page_with("<p>A &lt; b</p>" + svg_with("<line x1=\"0\" y1=\"0\" x2=\"100\" y2=\"50\"/>"))),
            std::vector<std::string>());
}

TEST(PageCheck, FindsWhatIsNoWholeDocument) {
  expect_problem(problems_of_page("<!doctype html>\n<html></html>"), "no whole document");
  expect_problem(problems_of_page(page_with("<p>")), "ends p");
  expect_problem(problems_of_page(page_with("</p>")), "ends body");
  expect_problem(problems_of_page(page_with("1 < 2")), "no end");
}

TEST(PageCheck, FindsWhatComesFromElsewhere) {
  expect_problem(problems_of_page(page_with("<a href=\"x\"></a>")), "href=");
  expect_problem(problems_of_page(page_with("<p>nan</p>")), ">nan");
}

TEST(PageCheck, FindsWhatLiesOutsideOrIsNoNumber) {
  expect_problem(problems_of_svg(svg_with("<circle cx=\"101\" cy=\"1\"/>")), "circle's cx");
  EXPECT_EQ(problems_of_svg(svg_with("<circle cx=\"nan\" cy=\"1\"/>")).front(), "no number: \"nan\"");
  expect_problem(problems_of_svg(svg_with("<rect x=\"90\" y=\"1\" width=\"11\" height=\"1\"/>")), "rect's width");
  expect_problem(problems_of_svg(svg_with("<rect x=\"9\" y=\"1\" width=\"1\" height=\"-1\"/>")), "rect's height");
  expect_problem(problems_of_svg(svg_with("<polyline points=\"1,2 3,51 \"/>")), "point's y");
  expect_problem(problems_of_page(page_with(svg_with("<line x1=\"-1\"/>"))), "line's x1");
}

TEST(PageCheck, FindsTextsThatOverlap) {
  const auto text = [](const char* x, const char* anchor, const char* what) {
    return std::string("<text x=\"") + x + "\" y=\"9\" text-anchor=\"" + anchor + "\">" + what + "</text>";
  };
  EXPECT_TRUE(problems_of_svg(svg_with(text("10", "start", "ab") + text("40", "middle", "cd"))).empty());
  expect_problem(problems_of_svg(svg_with(text("10", "start", "abcd") + text("40", "middle", "cd"))), "overlap");
  expect_problem(problems_of_svg(svg_with(text("10", "end", "abc"))), "left end");
  expect_problem(problems_of_svg(svg_with(text("90", "start", "abc"))), "right end");
}

}  // namespace
}  // namespace troupe::tests
