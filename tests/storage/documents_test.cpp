#include "storage/documents.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "model/utf8.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::storage {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class Documents : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) {
    const fs::path path = folder_.path() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }
  Names names(const DocumentLimits& limits = {}) {
    const auto found = find_documents(folder_.path(), limits);
    EXPECT_TRUE(found) << found.error().message;
    Names names;
    if (found) {
      for (const auto& file : found->files) names.push_back(file.name);
    }
    return names;
  }
  static Result<Document> parse(const std::string& name, const std::string& bytes, const DocumentLimits& limits = {}) {
    const std::string stem = name.ends_with(".md") ? name.substr(0, name.size() - 3) : name;
    return parse_document({name, stem}, {bytes, "hash"}, limits);
  }
  static std::vector<Section> sections(const std::string& name, const std::string& bytes, const DocumentLimits& limits = {}) {
    const auto document = parse(name, bytes, limits);
    EXPECT_TRUE(document) << document.error().message;
    return document ? document->sections : std::vector<Section>();
  }
  static void expect_refused(const Result<Document>& document, const std::vector<std::string>& words,
                             ErrorCode code = ErrorCode::invalid_argument) {
    ASSERT_FALSE(document);
    EXPECT_EQ(document.error().code, code);
    for (const auto& word : words)
      EXPECT_NE(document.error().message.find(word), std::string::npos) << document.error().message;
  }
  tests::TemporaryFolder folder_;
};

TEST_F(Documents, AreFoundInAllFoldersByTheirKind) {
  for (const char* name : {"b.md", "a.html", "c/d/e.txt", "f.MD", "g.markdown"}) write(name, "x");
  for (const char* name : {"README.md", "c/README.md", ".hidden.md", ".git/x.md", "image.png", "no-ending"}) write(name, "x");
  EXPECT_EQ(names(), (Names{"a.html", "b", "c/d/e.txt", "f.MD", "g.markdown"}));
  EXPECT_EQ(find_documents(folder_.path())->others, 2U);
}

TEST_F(Documents, MayBeOneFile) {
  const auto path = write("b.md", "# B\nb");
  const auto found = find_documents(path);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->files.size(), 1U);
  EXPECT_EQ(found->files[0].name, "b");
}

TEST_F(Documents, AreNotLookedForBehindLinks) {
  write("b.md", "x");
  fs::create_symlink(folder_.path() / "b.md", folder_.path() / "l.md");
  fs::create_directory_symlink(folder_.path(), folder_.path() / "loop");
  EXPECT_EQ(names(), Names{"b"});
  EXPECT_EQ(find_documents(folder_.path())->links.size(), 2U);
}

TEST_F(Documents, AreWhereALinkLeadsThatIsNamed) {
  write("a/b.md", "x");
  fs::create_symlink(folder_.path() / "a" / "b.md", folder_.path() / "l.md");
  fs::create_directory_symlink(folder_.path() / "a", folder_.path() / "f");
  EXPECT_EQ(find_documents(folder_.path() / "l.md")->files.at(0).name, "l");
  EXPECT_EQ(find_documents(folder_.path() / "f")->files.at(0).name, "b");
}

TEST_F(Documents, ThatWouldBeTheSameAreRefusedButForTheFirst) {
  for (const char* name : {"x.html.md", "x.html", "y.md"}) write(name, "x");
  EXPECT_EQ(names(), (Names{"x.html", "y"}));
  const auto found = find_documents(folder_.path());
  EXPECT_EQ(found->files[0].path.filename(), "x.html");
  ASSERT_EQ(found->refused.size(), 1U);
  EXPECT_NE(found->refused[0].find("x.html.md: "), std::string::npos) << found->refused[0];
  EXPECT_NE(found->refused[0].find("would be the same document"), std::string::npos) << found->refused[0];
}

TEST_F(Documents, AreFoundBesideAFolderThatCannotBeRead) {
  for (const char* name : {"a.md", "b/c.md", "d/e.md"}) write(name, "x");
  fs::permissions(folder_.path(), static_cast<fs::perms>(0755));
  fs::permissions(folder_.path() / "b", fs::perms::none);
  const bool root = geteuid() == 0;  // whom nothing stops: for so long, this is somebody else
  ASSERT_TRUE(!root || seteuid(65534) == 0);
  const auto found = find_documents(folder_.path());
  const auto only = find_documents(folder_.path() / "b");
  ASSERT_TRUE(!root || seteuid(0) == 0);
  fs::permissions(folder_.path() / "b", fs::perms::owner_all);
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_TRUE(only) << only.error().message;
  EXPECT_EQ(found->files.size(), 2U);
  for (const auto& refused : {found->refused, only->refused}) {
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_NE(refused[0].find("/b: this folder cannot be read: Permission denied"), std::string::npos) << refused[0];
  }
}

TEST_F(Documents, ThatNoCorpusTakesAreRefusedByName) {
  const std::string long_text(1025, 'x');
  expect_refused(parse("a.md", "# " + long_text + "\nx"), {"a.md: ", "expected at most 1024"}, ErrorCode::too_large);
  expect_refused(parse("a.html", "<h2>" + long_text + "</h2>x"), {"a.html: ", "a name of 10"}, ErrorCode::too_large);
  expect_refused(parse("a.md", "# A\n### §1 " + long_text + "\nx"), {"a.md: ", "a heading of 1025"}, ErrorCode::too_large);
  expect_refused(parse("a\nb.md", "x"), {"a\nb.md: ", "the name of a document ends a line at byte 1"});
  expect_refused(parse("a\xFF.txt", "x"), {"the name of a document is not UTF-8 at byte 1"});
  expect_refused(parse("a.md", "# A\n### §1 a\none two three. four\n### §1/2 b\nx", {.section_bytes_max = 15}),
                 {"a.md: ", "a#1/2 is there twice"});
}

TEST_F(Documents, AreRefusedIfThereAreNoneOrTooMany) {
  EXPECT_EQ(find_documents(folder_.path()).error().code, ErrorCode::not_found);
  EXPECT_EQ(find_documents(folder_.path() / "none").error().code, ErrorCode::not_found);
  write("a.md", "x");
  write("b.md", "x");
  const auto many = find_documents(folder_.path(), {.files_max = 1});
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, ErrorCode::too_large);
}

TEST_F(Documents, AreNamedByTheHashOfTheirBytes) {
  const auto path = write("a.md", "abc");
  const auto bytes = read_document({path, "a"});
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->content_hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(read_document({path, "a"}, {.file_bytes_max = 2}).error().code, ErrorCode::too_large);
}

TEST_F(Documents, HaveSectionsByTheirKind) {
  EXPECT_EQ(sections("a.md", "# A\n## B\nbb"), (std::vector<Section>{{"a#b", "A: B", "bb"}}));
  EXPECT_EQ(sections("a.html", "<h1>B</h1><p>bb"), (std::vector<Section>{{"a.html#b", "a: B", "bb"}}));
  EXPECT_EQ(sections("a.txt", "One\nline.\r\n\r\nTwo."), (std::vector<Section>{{"a.txt#1", "a.txt", "One line. Two."}}));
  EXPECT_EQ(sections("a.txt", " \n\n"), std::vector<Section>{});
}

TEST_F(Documents, OfOtherEncodingsAreRefusedWithThePlace) {
  expect_refused(parse("a.md", "# caf\xE9 x"), {"a.md", "0xE9 at byte 5", "Latin-1", "iconv"});
  expect_refused(parse("a.txt", "cut \xE2\x82"), {"0xE2 at byte 4"});
  expect_refused(parse("a.txt", std::string("\xFF\xFE") + "a"), {"UTF-16"});
  expect_refused(parse("a.html", std::string("<p>\0x", 5)), {"no text", "zero at byte 3"});
  EXPECT_EQ(sections("a.txt", "\xEF\xBB\xBFtext")[0].text, "text") << "a byte order mark is no text";
}

TEST_F(Documents, HaveLongSectionsDividedBetweenSentences) {
  const DocumentLimits limits{.section_bytes_max = 20};
  EXPECT_EQ(sections("a.md", "# A\n## B\nOne two three. Four five six. Seven.\n## C\nc", limits),
            (std::vector<Section>{{"a#b", "A: B", "One two three."},
                                  {"a#b/2", "A: B (2)", "Four five six."},
                                  {"a#b/3", "A: B (3)", "Seven."},
                                  {"a#c", "A: C", "c"}}));
  EXPECT_EQ(sections("a.txt", "One two three.\n\nFour five six.", limits),
            (std::vector<Section>{{"a.txt#1", "a.txt", "One two three."}, {"a.txt#2", "a.txt (2)", "Four five six."}}));
}

TEST_F(Documents, HaveEnormousSentencesDividedWithoutCuttingACharacter) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += i % 7 == 0 ? "ü " : "ü";
  for (const std::size_t bytes_max : {1U, 2U, 3U, 10U, 100U, 2048U}) {
    const auto parts = sections("a.txt", text, {.section_bytes_max = bytes_max});
    std::string whole;
    for (const Section& section : parts) {
      EXPECT_LE(section.text.size(), std::max<std::size_t>(bytes_max, 2));
      EXPECT_FALSE(model::find_invalid_utf8(section.text)) << bytes_max;
      whole += section.text;
    }
    std::string expected = text;
    std::erase(expected, ' ');
    std::erase(whole, ' ');
    EXPECT_EQ(whole, expected);
  }
}

}  // namespace
}  // namespace troupe::storage
