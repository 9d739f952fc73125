#include "model/tokenizer.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/random.hpp"
#include "model/byte_level.hpp"
#include "model/file.hpp"
#include "model/utf8.hpp"

namespace troupe::model {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<TokenId>;
constexpr auto as_text = Tokenizer::SpecialTokens::as_text;
const std::string root = TROUPE_SOURCE_DIR;

const Tokenizer& bundled() {
  static const Tokenizer tokenizer = *Tokenizer::load(root + "/portfolio/mini/tokenizer.json");
  return tokenizer;
}

const std::vector<Json>& parity_rows() {
  static const std::vector<Json> rows = [] {
    std::vector<Json> read;
    std::ifstream stream(root + "/tests/fixtures/tokenizer.jsonl");
    for (std::string line; std::getline(stream, line);) read.push_back(Json::parse(line));
    return read;
  }();
  return rows;
}

// An initializer list of pairs of strings would become an object.
Json pairs(const std::vector<std::pair<std::string, std::string>>& list) {
  Json array = Json::array();
  for (const auto& [left, right] : list) array.push_back(Json::array({left, right}));
  return array;
}

Json added(int id, const std::string& content, bool special, bool normalized = false) {
  return {{"id", id}, {"content", content}, {"special", special}, {"normalized", normalized}};
}

// A tokenizer.json with the 256 bytes (ids 0 to 255), "ab", "abc" and "bc" from merges, " a", and one special token, <s> (260).
Json small_file() {
  Json vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary[byte_level_from_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  const std::string space = byte_level_from_bytes(" ");
  vocabulary["ab"] = 256;
  vocabulary["abc"] = 257;
  vocabulary["bc"] = 258;
  vocabulary[space + "a"] = 259;
  const Json merges = pairs({{"b", "c"}, {"a", "b"}, {"ab", "c"}, {space, "a"}});
  return {{"version", "1.0"},
          {"added_tokens", Json::array({added(260, "<s>", true)})},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}}};
}

Tokenizer parse(const Json& file) {
  auto tokenizer = Tokenizer::parse(file.dump(), "t.json");
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return *std::move(tokenizer);
}

/// The error that a file gives once `change` has been merged into it.
Error error_of(const Json& change) {
  Json file = small_file();
  file.merge_patch(change);
  const auto tokenizer = Tokenizer::parse(file.dump(), "t.json");
  return tokenizer ? Error{ErrorCode::unavailable, "no error"} : tokenizer.error();
}

TEST(Tokenizer, EncodesAndDecodesTheParityStringsLikeHuggingFace) {
  ASSERT_EQ(parity_rows().size(), 1000U);
  for (const char* tier : {"mini", "medium", "heavy"}) {
    const auto tokenizer = Tokenizer::load(root + "/portfolio/" + tier + "/tokenizer.json");
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    EXPECT_EQ(tokenizer->vocabulary_size(), 4096);
    for (const Json& row : parity_rows()) {
      const auto text = row.at("text").get<std::string>();
      const auto ids = tokenizer->encode(text);
      ASSERT_TRUE(ids) << ids.error().message;
      ASSERT_EQ(*ids, row.at("ids").get<Ids>()) << row.dump();
      ASSERT_EQ(tokenizer->decode(*ids, false), text);
    }
  }
}

TEST(Tokenizer, MergesWhatWasLearnedFirstThenWhatStandsLeft) {
  const Tokenizer tokenizer = parse(small_file());
  EXPECT_EQ(tokenizer.encode("abc").value(), (Ids{'a', 258}));  // b c before a b
  EXPECT_EQ(tokenizer.encode("abab").value(), (Ids{256, 256}));
  EXPECT_EQ(tokenizer.encode("x ab").value(), (Ids{'x', ' ', 256}));
  EXPECT_EQ(tokenizer.encode("").value(), Ids{});
}

TEST(Tokenizer, TakesMergesAsPairsOrAsText) {
  Json file = small_file();
  file["model"]["merges"] = {"b c", "a b", "ab c", byte_level_from_bytes(" ") + " a"};
  EXPECT_EQ(parse(file).encode("abcab a").value(), parse(small_file()).encode("abcab a").value());
}

TEST(Tokenizer, WithIgnoreMergesTakesAPieceThatIsATokenWhole) {
  Json file = small_file();
  file["model"]["ignore_merges"] = true;
  EXPECT_EQ(parse(file).encode("abc").value(), Ids{257});
  EXPECT_EQ(parse(file).encode("abca").value(), (Ids{'a', 258, 'a'}));  // not a token: merged as usual
}

TEST(Tokenizer, FindsAddedTokensLeftmostThenLongest) {
  Json file = small_file();
  file["added_tokens"] = Json::array({added(260, "<s>", true), added(261, "<s>>", false), added(262, ">>>", false)});
  const Tokenizer tokenizer = parse(file);
  EXPECT_EQ(tokenizer.encode("a<s>b").value(), (Ids{'a', 260, 'b'}));
  EXPECT_EQ(tokenizer.encode("<s>>>>").value(), (Ids{261, '>', '>'}));
  EXPECT_EQ(tokenizer.encode(">>>>").value(), (Ids{262, '>'}));
  EXPECT_EQ(tokenizer.encode("<s").value(), (Ids{'<', 's'}));
}

TEST(Tokenizer, AsTextGivesNoSpecialTokenButTheSameText) {
  Json file = small_file();
  file["added_tokens"] = Json::array({added(260, "<s>", true), added(261, "<s>>", false)});
  const Tokenizer tokenizer = parse(file);
  EXPECT_EQ(tokenizer.encode("a<s>b", as_text).value(), (Ids{'a', '<', 's', '>', 'b'}));
  EXPECT_EQ(tokenizer.encode("<s>>", as_text).value(), Ids{261});  // not special: a token of the text
  for (const Json& row : parity_rows()) {
    const auto text = row.at("text").get<std::string>();
    const auto ids = bundled().encode(text, as_text).value();
    for (const TokenId id : ids) ASSERT_FALSE(bundled().is_special(id)) << row.dump();
    ASSERT_EQ(bundled().decode(ids, true), text);
  }
}

TEST(Tokenizer, RecognisesNoSpecialTokenThatTouchesUntrustedText) {
  const Tokenizer tokenizer = parse(small_file());
  const std::string text = "<s><s>a<s>";
  const auto encode = [&](std::vector<TextSpan> spans) { return tokenizer.encode(text, spans).value(); };
  EXPECT_EQ(encode({}), (Ids{260, 260, 'a', 260}));
  EXPECT_EQ(encode({{3, 7}}), (Ids{260, '<', 's', '>', 'a', 260}));
  EXPECT_EQ(encode({{2, 3}, {9, 10}}), (Ids{'<', 's', '>', 260, 'a', '<', 's', '>'}));
  EXPECT_EQ(encode({{6, 7}}), (Ids{260, 260, 'a', 260}));
}

TEST(Tokenizer, ComposesTextFirstWhereTheFileAsksForIt) {
  Json file = small_file();
  const Ids apart = parse(file).encode("e\u0301<s>").value();
  file["normalizer"] = {{"type", "NFC"}};
  file["added_tokens"] =
      Json::array({added(260, "<s>", true), added(261, "\u00E9t\u00E9", false, true), added(262, "<n>", true, true)});
  const Tokenizer tokenizer = parse(file);
  EXPECT_EQ(tokenizer.encode("e\u0301<s>").value(), (Ids{0xC3, 0xA9, 260}));
  EXPECT_EQ(apart, (Ids{'e', 0xCC, 0x81, 260}));
  EXPECT_EQ(tokenizer.encode("e\u0301te\u0301").value(), Ids{261});  // looked for after composition
  EXPECT_EQ(tokenizer.encode("<n>").value(), Ids{262});
  const std::vector<TextSpan> span{{0, 1}};
  EXPECT_EQ(tokenizer.encode("e\u0301<n>", span).value(), (Ids{0xC3, 0xA9, '<', 'n', '>'}));
}

TEST(Tokenizer, KnowsTheTokenThatATextBeginsWith) {
  Json file = small_file();
  const Json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  file["post_processor"] = {
      {"type", "Sequence"},
      {"processors", {{{"type", "ByteLevel"}}, {{"type", "TemplateProcessing"}, {"single", {bos, text}}}}}};
  const Tokenizer tokenizer = parse(file);
  EXPECT_EQ(Ids(tokenizer.text_prefix().begin(), tokenizer.text_prefix().end()), Ids{260});
  EXPECT_TRUE(bundled().text_prefix().empty());
  file["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {text, bos}}};
  EXPECT_EQ(error_of(file).code, ErrorCode::unsupported);
}

TEST(Tokenizer, CutsWithSeveralExpressionsOneAfterTheOther) {
  Json file = small_file();
  const auto split = [](const char* expression) {
    return Json{{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
  };
  const Json last = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split("x"), split("c"), last}}};
  EXPECT_EQ(parse(file).encode("abcxbc").value(), (Ids{256, 'c', 'x', 'b', 'c'}));  // never "bc" across a cut
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {last}}};
  EXPECT_EQ(parse(file).encode("abcxbc").value(), (Ids{'a', 258, 'x', 258}));
}

TEST(Tokenizer, TellsBytesAndIdsOfTokens) {
  EXPECT_EQ(bundled().bytes_of(1), "<|im_start|>");
  EXPECT_EQ(bundled().id_of("<|im_end|>"), 2);
  EXPECT_TRUE(bundled().is_special(2));
  for (TokenId id = 0; id < bundled().vocabulary_size(); ++id) ASSERT_EQ(bundled().id_of(bundled().bytes_of(id)), id);
  EXPECT_EQ(bundled().id_of("no such token"), std::nullopt);
  for (const TokenId outside : {-1, 4096, 1 << 30}) {
    EXPECT_EQ(bundled().bytes_of(outside), "");
    EXPECT_FALSE(bundled().is_special(outside));
  }
}

TEST(Tokenizer, DecodesWithReplacementsAndWithoutSpecialTokens) {
  const Tokenizer tokenizer = parse(small_file());
  EXPECT_EQ(tokenizer.decode(Ids{260, 'a', 0xC3, 0xA9, 260}, true), "aé");
  EXPECT_EQ(tokenizer.decode(Ids{260, 'a'}, false), "<s>a");
  EXPECT_EQ(tokenizer.decode(Ids{0xE2, 0x82, 'a', 0xFF, 0xF0, 0x9F}, false), "\uFFFDa\uFFFD\uFFFD");
  EXPECT_EQ(tokenizer.decode(Ids{-5, 9999, 'b'}, false), "b");
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8WithItsOffset) {
  const auto error = bundled().encode("ab\xC3(").error();
  EXPECT_EQ(error.code, ErrorCode::invalid_argument);
  EXPECT_EQ(error.message, "text is not valid UTF-8 at byte 2 of 4");
  for (const char* text : {"\x80", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "a\xFF"})
    EXPECT_FALSE(bundled().encode(text));
}

TEST(Tokenizer, RefusesTextLongerThanItsLimit) {
  EXPECT_EQ(bundled().encode(std::string(Tokenizer::text_bytes_max + 1, 'a')).error().code, ErrorCode::too_large);
}

TEST(Tokenizer, EncodesLongRunsAndGivesThemBack) {
  constexpr std::size_t mebibyte = 1 << 20;
  std::string mixed;
  Random random(3);
  while (mixed.size() < mebibyte) {
    const auto code = static_cast<char32_t>(random.below(0x110000));
    if (code < 0xD800 || code > 0xDFFF) append_utf8(code, mixed);
  }
  std::string specials;
  while (specials.size() < mebibyte) specials += "<|im_end|><|im_";
  for (const std::string& text : {std::string(mebibyte, 'a'), std::string(mebibyte, ' '), std::string(mebibyte, '\n'),
                                  std::string(mebibyte, ' ') + "x", std::string(mebibyte, '<'), mixed, specials}) {
    const auto ids = bundled().encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    ASSERT_TRUE(bundled().decode(*ids, false) == text);
  }
}

TEST(Tokenizer, GivesRandomValidTextBackAndNeverCrashesOnBytes) {
  Random random(4);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes;
    for (std::uint64_t length = random.below(24); bytes.size() < length;) {
      bytes += random.chance(0.5F) ? static_cast<char>(random.next()) : static_cast<char>(random.between(32, 126));
    }
    const auto ids = bundled().encode(bytes);
    ASSERT_EQ(ids.has_value(), !find_invalid_utf8(bytes).has_value());
    ASSERT_TRUE(!ids || bundled().decode(*ids, false) == bytes) << i;
  }
}

TEST(Tokenizer, EncodesTheSameOnManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::array<int, 4> differing{};
  for (int& count : differing) {
    threads.emplace_back([&count] {
      for (std::size_t row = 0; row < 500; ++row) {
        const Json& expected = parity_rows()[row];
        count += bundled().encode(expected.at("text").get<std::string>()).value() == expected.at("ids").get<Ids>() ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(differing, (std::array<int, 4>{}));
}

TEST(Tokenizer, RefusesByNameWhatItDoesNotImplement) {
  const std::pair<Json, const char*> cases[] = {
      {{{"version", "2.0"}}, "t.json: version is \"2.0\", expected \"1.0\""},
      {{{"truncation", {{"max_length", 512}}}}, "t.json: truncation is an object"},
      {{{"padding", {{"strategy", "BatchLongest"}}}}, "t.json: padding is an object"},
      {{{"normalizer", {{"type", "Lowercase"}}}}, "t.json: normalizer.type is \"Lowercase\", expected NFC"},
      {{{"pre_tokenizer", {{"type", "Whitespace"}}}},
       "t.json: pre_tokenizer.type is \"Whitespace\", expected Split or ByteLevel"},
      {{{"pre_tokenizer", {{"add_prefix_space", true}}}}, "t.json: pre_tokenizer.add_prefix_space is true, expected false"},
      {{{"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "Isolated"}}}},
       "t.json: pre_tokenizer.pattern is an object of 1 fields, expected an object with the field Regex"},
      {{{"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Removed"}}}},
       "t.json: pre_tokenizer.behavior is \"Removed\", expected Isolated"},
      {{{"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Isolated"}, {"invert", true}}}},
       "t.json: pre_tokenizer.invert is true, expected false"},
      {{{"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Isolated"}}}},
       "t.json: pre_tokenizer is an object of 5 fields, expected one that ends with ByteLevel"},
      {{{"decoder", {{"type", "WordPiece"}}}}, "t.json: decoder.type is \"WordPiece\", expected ByteLevel"},
      {{{"post_processor", {{"type", "BertProcessing"}}}},
       "t.json: post_processor.type is \"BertProcessing\", expected ByteLevel"},
      {{{"model", {{"type", "Unigram"}}}}, "t.json: model.type is \"Unigram\", expected BPE"},
      {{{"model", {{"dropout", 0.1}}}}, "t.json: model.dropout is 0.1, expected null"},
      {{{"model", {{"end_of_word_suffix", "</w>"}}}}, "t.json: model.end_of_word_suffix is \"</w>\", expected null"},
      {{{"model", {{"byte_fallback", true}}}}, "t.json: model.byte_fallback is true, expected false"},
      {{{"added_tokens", Json::array({Json{{"id", 260}, {"content", "<s>"}, {"lstrip", true}}})}},
       "t.json: added_tokens[0].lstrip is true, expected false"},
      {{{"added_tokens", Json::array({Json{{"id", 260}, {"content", "<s>"}, {"single_word", true}}})}},
       "t.json: added_tokens[0].single_word is true, expected false"},
  };
  for (const auto& [change, message] : cases) {
    const Error error = error_of(change);
    EXPECT_EQ(error.code, ErrorCode::unsupported) << error.message;
    EXPECT_TRUE(error.message.starts_with(message)) << error.message << "\nexpected " << message;
  }
}

TEST(Tokenizer, RefusesFilesThatContradictThemselves) {
  const auto with_vocabulary = [](const char* token, const Json& id) { return Json{{"model", {{"vocab", {{token, id}}}}}}; };
  const std::tuple<Json, ErrorCode, const char*> cases[] = {
      {with_vocabulary("abc", 256), ErrorCode::corrupt, "expected an id that no other token has"},
      {with_vocabulary("abc", 261), ErrorCode::corrupt, "name 261 tokens, but ids go up to 261"},
      {{{"model", {{"vocab", {{"abc", 261}}}}},
        {"added_tokens", Json::array({added(260, "<s>", true), added(256, "ab", false)})}},
       ErrorCode::corrupt,
       "no token has id 257"},
      {{{"model", {{"vocab", {{"a", nullptr}, {"zz", 97}}}}}}, ErrorCode::unsupported, "no ordinary token \"a\" for byte 97"},
      {with_vocabulary("abc", 1000), ErrorCode::corrupt, "name 261 tokens, but ids go up to 1000"},
      {with_vocabulary("abc", 1 << 30), ErrorCode::out_of_range, "expected an integer from 0 to 1048575"},
      {with_vocabulary("abc", -1), ErrorCode::out_of_range, "model.vocab.abc is -1"},
      {with_vocabulary("abc", "x"), ErrorCode::invalid_argument, "model.vocab.abc is \"x\""},

      {{{"model", {{"merges", pairs({{"a", "x"}})}}}},
       ErrorCode::corrupt,
       "model.merges[0] is [\"a\", \"x\"], but model.vocab has no token \"ax\""},
      {{{"model", {{"merges", pairs({{"a", "b"}, {"zz", "b"}})}}}},
       ErrorCode::corrupt,
       "model.merges[1] is [\"zz\", \"b\"], but model.vocab has no token \"zz\""},
      {{{"model", {{"merges", pairs({{"a", "b"}, {"a", "b"}})}}}}, ErrorCode::corrupt, "which an earlier merge is already"},
      {{{"model", {{"merges", Json::array({"a b c"})}}}}, ErrorCode::invalid_argument, "expected two tokens"},
      {{{"model", {{"merges", Json::array({1})}}}}, ErrorCode::invalid_argument, "model.merges[0] is 1, expected two tokens"},
      {{{"model", {{"merges", nullptr}}}}, ErrorCode::not_found, "model.merges is missing"},
      {{{"added_tokens", Json::array({added(256, "<s>", true)})}},
       ErrorCode::corrupt,
       "but model.vocab gives that id to another token"},
      {{{"added_tokens", Json::array({added(260, "ab", true)})}}, ErrorCode::corrupt, "but model.vocab gives it id 256"},
      {{{"added_tokens", Json::array({added(260, "<s>", true), added(260, "<t>", true)})}},
       ErrorCode::corrupt,
       "an id that is not added twice"},
      {{{"added_tokens", Json::array({added(260, "<s>", true), added(261, "<s>", true)})}},
       ErrorCode::corrupt,
       "a text that is not added twice"},
      {{{"added_tokens", Json::array({added(260, "", true)})}}, ErrorCode::invalid_argument, "expected at least one character"},
  };
  for (const auto& [change, code, message] : cases) {
    const Error error = error_of(change);
    EXPECT_EQ(error.code, code) << error.message << "\nexpected " << message;
    EXPECT_TRUE(error.message.starts_with("t.json: ")) << error.message;
    EXPECT_NE(error.message.find(message), std::string::npos) << error.message << "\nexpected " << message;
  }
}

TEST(Tokenizer, RefusesASpecialTokenThatTextCouldMerge) {
  Json file = small_file();
  file["added_tokens"].push_back(added(256, "ab", true));
  const auto error = Tokenizer::parse(file.dump(), "t.json").error();
  EXPECT_EQ(error.message, "t.json: model.merges[1] is [\"a\", \"b\"], but \"ab\" is special or not byte-level text");
}

TEST(Tokenizer, RefusesExpressionsThatDoNotWork) {
  const auto with = [](const std::string& expression) {
    const Json split = {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}};
    return Json{{"pre_tokenizer",
                 {{"type", "Sequence"}, {"pretokenizers", {split, {{"type", "ByteLevel"}, {"add_prefix_space", false}}}}}}};
  };
  EXPECT_NE(error_of(with("a(b"))
                .message.find(
                    "t.json: pre_tokenizer: regular expression of 3 bytes is refused at byte 3: missing closing parenthesis"),
            std::string::npos)
      << error_of(with("a(b")).message;
  EXPECT_EQ(error_of(with("a*")).code, ErrorCode::unsupported);
  EXPECT_EQ(error_of(with("(?=a)")).code, ErrorCode::unsupported);
  EXPECT_EQ(error_of(with("\\C")).code, ErrorCode::invalid_argument);
  EXPECT_EQ(error_of(with(std::string(20000, 'a'))).code, ErrorCode::too_large);
  EXPECT_EQ(error_of(with("(((a{1000}){1000}){1000})")).code, ErrorCode::invalid_argument);
}

TEST(Tokenizer, GivesUpOnExpressionsThatBacktrackWithoutEnd) {
  Json file = small_file();
  const Json split = {{"type", "Split"}, {"pattern", {{"Regex", "(a+)+b|(a|aa)+$|x"}}}, {"behavior", "Isolated"}};
  file["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", {split, {{"type", "ByteLevel"}, {"add_prefix_space", false}}}}};
  const auto error = parse(file).encode(std::string(5000, 'a') + "c").error();
  EXPECT_EQ(error.code, ErrorCode::too_large);
  EXPECT_NE(error.message.find("gives up at byte 0 of 5001: match limit exceeded"), std::string::npos) << error.message;
}

TEST(Tokenizer, RefusesAMissingFileByName) {
  const auto error = Tokenizer::load(root + "/none/tokenizer.json").error();
  EXPECT_EQ(error.code, ErrorCode::not_found);
  EXPECT_NE(error.message.find("/none/tokenizer.json"), std::string::npos);
}

TEST(Tokenizer, NeverCrashesOnAChangedFile) {
  const std::string whole = small_file().dump();
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    std::string text = whole.substr(0, random.chance(0.3F) ? random.below(whole.size()) : whole.size());
    for (int change = 0; change < 2 && !text.empty(); ++change)
      text[random.below(text.size())] = static_cast<char>(random.between(32, 126));
    const auto tokenizer = Tokenizer::parse(text, "t.json");
    if (!tokenizer) {
      EXPECT_TRUE(tokenizer.error().message.starts_with("t.json: ")) << tokenizer.error().message;
    } else {
      EXPECT_EQ(tokenizer->decode(tokenizer->encode("abc <s> ab").value(), false), "abc <s> ab");
    }
  }
}

}  // namespace
}  // namespace troupe::model
