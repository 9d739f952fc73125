#include "storage/html.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/random.hpp"
#include "model/utf8.hpp"

namespace troupe::storage {
namespace {

std::string converted(std::string_view html) {
  const auto markdown = markdown_of_html(html, "page");
  EXPECT_TRUE(markdown) << markdown.error().message;
  return markdown ? *markdown : std::string();
}

TEST(Html, BecomesHeadingsAndLines) {
  EXPECT_EQ(
      converted("<html><head><title>The  Manual</title></head><body><h1>First <b>Steps</b></h1><p>Do\n this &amp; <i>that</i>."
                "<ul><li>One<li>Two</ul><h3>§3.2 Logs</h3><table><tr><td>a</td><td>b</td></tr></table></body></html>"),
      "# The Manual\n# First Steps\n Do this & that.\n One\n Two\n### §3.2 Logs\n a\n b\n");
}

TEST(Html, LeavesOutWhatNobodySees) {
  EXPECT_EQ(converted("<title>T</title><script>x()</script><style>p{}</style><p>seen<!-- not --></p><noscript>no</noscript>"),
            "# T\n seen\n");
}

TEST(Html, WithoutATitleIsNamedAfterItsFile) {
  EXPECT_EQ(converted("plain"), "# page\n plain\n");
  EXPECT_EQ(converted(""), "# page\n");
}

TEST(Html, HasNoMarkdownOfItsOwn) {
  EXPECT_EQ(converted("<p># no heading</p><p>```</p><p>```code</p><p>~~ kept</p>"),
            "# page\n # no heading\n ```\n code\n ~~ kept\n");
}

TEST(Html, MayBeNestedOnlySoDeep) {
  std::string deep;
  for (int i = 0; i < 3000; ++i) deep += "<div>";
  EXPECT_EQ(converted(deep + "in"), "# page\n in\n");
  for (int i = 0; i < 2000; ++i) deep += "<DIV class=x>";
  const auto refused = markdown_of_html(deep, "page");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::too_large);
  EXPECT_NE(refused.error().message.find("5000"), std::string::npos) << refused.error().message;
  std::string flat;
  for (int i = 0; i < 10000; ++i) flat += "<br><img src=x>";
  EXPECT_EQ(converted(flat), "# page\n");
}

TEST(Html, OfAnyKindIsReadToItsEnd) {
  const std::string alphabet[] = {"<",    ">",  "/", "p", "h1", "div",  "<b>",       "</b>", "&amp;",
                                  "&#0;", "\"", "=", " ", "ü",  "<!--", "<![CDATA[", "title"};
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::string html;
    for (std::uint64_t i = random.below(60); i > 0; --i) html += alphabet[random.below(std::size(alphabet))];
    EXPECT_FALSE(model::find_invalid_utf8(converted(html)));
  }
}

}  // namespace
}  // namespace troupe::storage
