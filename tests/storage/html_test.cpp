#include "storage/html.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.hpp"
#include "model/utf8.hpp"
#include "storage/markdown.hpp"

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
  EXPECT_EQ(converted("<p># no heading</p><p>```code</p><p>~~ kept</p><p>say ``` so</p>"),
            "# page\n # no heading\n code\n ~~ kept\n say ``` so\n");
  for (const char* marks : {"~~~~~~", "```", "&#96;``", "``` ~~~", "~~~`"}) {
    // A fence would swallow the section behind it.
    const std::string markdown = converted("<h2>One</h2><p>" + std::string(marks) + "</p><p>text</p><h2>Two</h2><p>more");
    EXPECT_EQ(markdown, "# page\n## One\n text\n## Two\n more\n") << marks;
    EXPECT_EQ(*parse_markdown(markdown, "p"),
              (std::vector<Section>{{"p#one", "page: One", "text"}, {"p#two", "page: Two", "more"}}));
  }
}

TEST(Html, HasHeadingsWithAnythingInThem) {
  EXPECT_EQ(converted("<h2>Install <img src=x></h2>a<h2><div>Install</div></h2>b<h2>One<br>Two</h2>c"),
            "# page\n## Install\n a\n## Install\n b\n## One Two\n c\n");
  EXPECT_EQ(converted("<h2></h2><h3><p></p></h3>text<h2>Ends otherwise</h3>more"), "# page\n text\n## Ends otherwise\n more\n");
}

TEST(Html, HasTheFirstLineOfAHeadingThatDoesNotEndAsOne) {
  EXPECT_EQ(converted("<h2>One<p>text</p><p>more</p><h3>Two</h3>end"), "# page\n## One\n text\n more\n### Two\n end\n");
  EXPECT_EQ(converted("<div><h2>One</div>text"), "# page\n## One\n text\n");
  const std::string long_text(3000, 'x');
  EXPECT_EQ(converted("<h2>One<p>" + long_text + "</p>text</h2>more"), "# page\n## One\n " + long_text + "\n text\n more\n");
}

TEST(Html, KeepsNumbersApartThatStandAboveOrBelowEachOther) {
  EXPECT_EQ(
      converted(
          "5<sup>1</sup> years, 10<sup>6</sup>5, 10<sup>&minus;6</sup>, 1<sup>st</sup>, m<sup>2</sup>, kept.<sup>3</sup>"),
      "# page\n 5^1 years, 10^6 5, 10^\u22126, 1st, m^2, kept.^3\n");
  EXPECT_EQ(converted("H<sub>2</sub>O, 10<sub>2</sub>, x<sup>[1]</sup>, 5 <sup>1</sup>"), "# page\n H2O, 10 2, x[1], 5 1\n");
}

TEST(Html, LeavesOutWhatIsStruckOutOrHidden) {
  EXPECT_EQ(converted("for <del>5</del> <s>6</s> <strike>7</strike> 8 years"), "# page\n for 8 years\n");
  EXPECT_EQ(converted("<s>a<p>b</s>c<p>d</p><table><tr><td><s>e<td>f</table>g"), "# page\n c\n d\n f\n g\n");
  for (const char* hidden : {"hidden", "HIDDEN=''", "style=\"color:red; Display : NONE !important\"", "style=visibility:hidden",
                             "aria-hidden=true"}) {
    const std::string tag = std::string("<div ") + hidden + ">";
    EXPECT_EQ(converted("a " + tag + "no<h2>no</h2><div>no</div>no</div>b"), "# page\n a\n b\n") << tag;
  }
  EXPECT_EQ(converted("<body hidden><p aria-hidden=false style='display:none;display:block' title=hidden>seen"),
            "# page\n seen\n");
}

TEST(Html, EndsWhatIsHiddenWhereHtmlDoes) {
  EXPECT_EQ(converted("<p hidden>no<p>a<p hidden>no<div>b</div>"), "# page\n a\n b\n");
  EXPECT_EQ(converted("<ul><li hidden>no<ul><li>no</ul>no<li>a</ul><dl><dt hidden>no<dd>b</dl>"), "# page\n a\n b\n");
  EXPECT_EQ(converted("<table><tr hidden><td>no<tr><td hidden>no<th>a<tbody hidden><tr><td>no</table>b"), "# page\n a\n b\n");
  EXPECT_EQ(converted("<div hidden><table><td></div>no</table>no</nothing></p></span>no</div>a"), "# page\n a\n");
  EXPECT_EQ(converted("<svg><title>no</title><g/><![CDATA[</svg>]]>no</svg>a<svg/>b<math>no<p>c"), "# page\n ab\n c\n");
  EXPECT_EQ(converted("<select><option>no<option>no</select>a<img hidden>b"), "# page\n a\n b\n");
  EXPECT_EQ(converted("<div>a<select>no</div>no<select>b"), "# page\n a\n b\n");
}

TEST(Html, HasNoTagsInCommentsScriptsAndTexts) {
  EXPECT_EQ(converted("<!-- <h1>no</h1> -- > -->a<!-->b<!x>c</>d</ 1>e"), "# page\n abcde\n");
  EXPECT_EQ(converted("<script>if (i<n) x = '<p>'; // <!-- <script></script> --></script>a<style><p></style>b"),
            "# page\n ab\n");
  EXPECT_EQ(converted("<title>A &lt; <b></TITLE >a<xmp><b>&lt;</xmp>1 < 2 <3 &<b>lt;</b><p title='>'>b<p"),
            "# A < <b>\n a\n <b>&lt;\n 1 < 2 <3 &lt;\n b\n");
  EXPECT_EQ(converted("a<script>no"), "# page\n a\n");
}

TEST(Html, MayHaveAnythingOpenAndHoweverDeep) {
  const auto times = [](const std::string& text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  EXPECT_EQ(converted(times("<div>", 20000) + "in" + times("</div>", 20000) + "out"), "# page\n in\n out\n");
  // A parser that made a tree of these took minutes, or gigabytes.
  for (const char* part :
       {"<x></>", "<div></>", "<b>", "<a><p>", "<b><i></b></i>", "<table><tr><td>", "<span></x>", "<svg><g>"}) {
    EXPECT_EQ(converted(times(part, 20000)), "# page\n") << part;
  }
  std::string fonts = "<p>";
  for (int i = 0; i < 1000; ++i) fonts += "<font x=" + std::to_string(i) + ">";
  EXPECT_EQ(converted(fonts + times("<p>x", 1000)), "# page\n" + times(" x\n", 1000));
  std::string list = "<ul>";
  for (int i = 0; i < 5000; ++i) list += "<li>x";
  EXPECT_EQ(converted(list + "</ul><script>" + times("i<n;", 5000) + "</script>"), "# page\n" + times(" x\n", 5000));
  EXPECT_EQ(converted(times("ab &amp; ", 20000) + "<p>c"), "# page\n " + times("ab & ", 19999) + "ab &\n c\n") << "in pieces";
}

TEST(Html, OfAnyKindIsReadToItsEnd) {
  const std::string alphabet[] = {"<",      ">",       "/",    "p",    "h1",   "div",       "<b>",   "</b>",  "&amp;", "&#0;",
                                  "\"",     "=",       " ",    "ü",    "<!--", "<![CDATA[", "title", "<h2>",  "</h2>", "<sup>",
                                  "hidden", "<table>", "<td>", "<li>", "<s>",  "</s>",      "<svg>", "script"};
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
