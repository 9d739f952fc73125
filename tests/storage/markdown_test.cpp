#include "storage/markdown.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.hpp"

namespace troupe::storage {
namespace {

namespace fs = std::filesystem;
using Sections = std::vector<Section>;

Sections parsed(std::string_view text, std::string_view stem = "doc") {
  auto sections = parse_markdown(text, stem);
  EXPECT_TRUE(sections) << sections.error().message;
  return sections ? *sections : Sections();
}

class MarkdownFolder : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_.path() / name) << text; }
  void expect_refused(ErrorCode code, const std::vector<std::string>& words, const MarkdownLimits& limits = {}) {
    const auto result = read_markdown(folder_.path(), limits);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message;
    for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
  }
  tests::TemporaryFolder folder_;
};

TEST(Markdown, HasASectionForEachNumberedHeading) {
  const std::string text =
      "# Records Policy (2024-02-15)\n\n*In force*\n\n## 1 Purpose\n\n### §1.1 Scope\n\nThese rules hold.\nAlways.\n\n"
      "## 2 Rules\n\n### §2.1 Logs\n  Mark logs.  \n\n#5 is no text\n### No number\nMore.\n### §2.2 Empty\n";
  EXPECT_EQ(parsed(text, "records"),
            (Sections{{"records#1.1", "Records Policy (2024-02-15) §1.1", "These rules hold. Always.", "Scope"},
                      {"records#2.1", "Records Policy (2024-02-15) §2.1", "Mark logs. More.", "Logs"},
                      {"records#2.2", "Records Policy (2024-02-15) §2.2", "", "Empty"}}));
}

TEST(Markdown, HasASectionForEachOtherHeadingThatHasText) {
  const std::string text =
      "# The Manual\nIntro.\n\n## First Steps!\nDo this.\n#tag stays\n### Empty\n#### Zürich & Co. ##\nText.\n"
      "```sh\n# no heading\n```\n## First Steps!\nAgain.\n##\nNameless.\n";
  EXPECT_EQ(parsed(text), (Sections{{"doc#the-manual", "The Manual", "Intro."},
                                    {"doc#first-steps", "The Manual: First Steps!", "Do this. #tag stays"},
                                    {"doc#zürich-co", "The Manual: Zürich & Co.", "Text. # no heading"},
                                    {"doc#first-steps-2", "The Manual: First Steps!", "Again."},
                                    {"doc#the-manual-2", "The Manual", "Nameless."}}));
}

TEST(Markdown, HasNoHeadingsInFencesAndOnlyThere) {
  // Each has "# B" in a fence, or not.
  for (const char* fenced : {"```\n# B\n```", "~~~ a`b\n# B\n~~~~  ", "   ````sh\n```\n# B\n````", "```\n~~~\n# B\n```",
                             "```\n``` sh\n# B\n```", "```\n    ```\n# B\n```"}) {
    EXPECT_EQ(parsed("# A\n" + std::string(fenced) + "\n# C\nc").size(), 2U) << fenced;
  }
  for (const char* open : {"```x``` starts", "    ```", "``", "`~~", "```a`", "```\n```"}) {
    EXPECT_EQ(parsed("# A\na\n" + std::string(open) + "\n# B\nb\n# C\nc").size(), 3U) << open;
  }
  EXPECT_EQ(parsed("# A\n```x``` starts\n# B\nb"), (Sections{{"doc#a", "A", "```x``` starts"}, {"doc#b", "A: B", "b"}}));
}

TEST(Markdown, WithoutATitleIsNamedAfterItsFile) {
  EXPECT_EQ(parsed("Just text.\n\nMore.", "note"), (Sections{{"note#note", "note", "Just text. More."}}));
  EXPECT_EQ(parsed("text\n# C#\nx", "§"), (Sections{{"§#§", "§", "text"}, {"§#c", "§: C#", "x"}}));
  EXPECT_EQ(parsed("\n### §1 One\nx", "note"), (Sections{{"note#1", "note §1", "x", "One"}}));
}

TEST(Markdown, MayEndItsLinesAnyWay) {
  const Sections expected{{"doc#1.1", "T §1.1", "a b", "x"}};
  for (const char* end : {"\n", "\r\n", "\r"}) {
    std::string text = "\xEF\xBB\xBF# T";
    for (const char* line : {"### §1.1 x", "a", "", "b"}) text += std::string(end) + line;
    EXPECT_EQ(parsed(text), expected);
  }
}

TEST(Markdown, MayHaveNothingInIt) {
  for (const char* text : {"", "\n", "# Title", "# Title\n## Other\n", "#", "```", "\xEF\xBB\xBF", "### §1.1 a title"}) {
    EXPECT_EQ(parsed(text), Sections{}) << text;
  }
}

TEST(Markdown, IsRefusedIfANumberIsThereTwiceOrItIsNoText) {
  const auto twice = parse_markdown("# T\n### §1.1 a\nx\n### §1.1 b\n", "doc");
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("line 4: §1.1 is there twice"), std::string::npos) << twice.error().message;
  const auto bytes = parse_markdown("# T\n\xff", "doc");
  ASSERT_FALSE(bytes);
  EXPECT_NE(bytes.error().message.find("byte 4"), std::string::npos) << bytes.error().message;
  EXPECT_EQ(parse_markdown("# a\nx\n# b\ny", "doc", {.sections_max = 1}).error().code, ErrorCode::too_large);
  EXPECT_EQ(parse_markdown("1234", "doc", {.file_bytes_max = 3}).error().code, ErrorCode::too_large);
}

TEST_F(MarkdownFolder, IsReadInTheOrderOfItsFiles) {
  write("b.md", "# B\nbb");
  write("a-1.md", "# A1\naa");
  write("a.md", "# A\na");
  write("README.md", "# About\nnot read");
  write("notes.txt", "# N\nn");
  fs::create_directory(folder_.path() / "sub.md");
  fs::create_symlink("b.md", folder_.path() / "link.md");
  const auto sections = read_markdown(folder_.path());
  ASSERT_TRUE(sections) << sections.error().message;
  EXPECT_EQ(*sections, (Sections{{"a-1#a1", "A1", "aa"}, {"a#a", "A", "a"}, {"b#b", "B", "bb"}}));
}

TEST_F(MarkdownFolder, IsRefusedByTheNameOfTheFileThatIsWrong) {
  expect_refused(ErrorCode::not_found, {folder_.path().string(), "no Markdown file"});
  write("a.md", "# A\na");
  EXPECT_TRUE(read_markdown(folder_.path()));
  expect_refused(ErrorCode::too_large, {"a.md", "3"}, {.file_bytes_max = 3});
  write("b.md", "# B\n\xc3");
  expect_refused(ErrorCode::invalid_argument, {"b.md", "UTF-8"});
  write("b.md", "# B\nb");
  expect_refused(ErrorCode::too_large, {"more than 1 "}, {.files_max = 1});
  expect_refused(ErrorCode::too_large, {"b.md", "sections"}, {.sections_max = 1});
  EXPECT_EQ(read_markdown(folder_.path() / "absent").error().code, ErrorCode::not_found);
  EXPECT_EQ(read_markdown(folder_.path() / "a.md").error().code, ErrorCode::not_found);
  write("\xff.md", "# X\nx");
  expect_refused(ErrorCode::invalid_argument, {"name that is not UTF-8"});
}

TEST_F(MarkdownFolder, IsRefusedByTheNamesOfAllFilesThatAreWrong) {
  write("a.md", "# A\n### §1.1 a\nx\n### §1.1 b\n");
  write("b.md", "# B\nb");
  write("c.md", "# C\n\xc3");
  write("d.md", std::string(100, 'd'));
  expect_refused(ErrorCode::invalid_argument, {"3 files of ", "/a.md: line 4: §1.1", "/c.md: not UTF-8", "/d.md", "99"},
                 {.file_bytes_max = 99});
  for (int i = 0; i < 30; ++i) write("e" + std::to_string(i) + ".md", "\xc3");
  expect_refused(ErrorCode::invalid_argument, {"33 files of ", "... and 13 more"}, {.file_bytes_max = 99});
}

TEST(Markdown, OfTheHandbookIsComplete) {
  const auto sections = read_markdown(TROUPE_SOURCE_DIR "/portfolio/handbook");
  ASSERT_TRUE(sections) << sections.error().message;
  EXPECT_EQ(sections->size(), 148U);
  EXPECT_EQ(sections->front().key.rfind("access-rules#", 0), 0U);
  for (const Section& section : *sections) EXPECT_FALSE(section.text.empty()) << section.key;
}

}  // namespace
}  // namespace troupe::storage
