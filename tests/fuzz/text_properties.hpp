// What must hold whatever a tokenizer.json or a chat template contains. Shared by the libFuzzer targets beside this file and by
// the test that replays their corpora and tests/regressions.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.hpp"
#include "model/chat_template.hpp"
#include "model/detokenizer.hpp"
#include "model/tokenizer.hpp"
#include "model/utf8.hpp"

namespace troupe::tests {

inline void check_text_error(const Error& error, std::string_view beginning) {
  TROUPE_CHECK(error.message.starts_with(beginning), "an error says what it is about");
  TROUPE_CHECK(error.message.size() < 4096, "an error is short enough to read");
  TROUPE_CHECK(!model::find_invalid_utf8(error.message), "an error is text");
}

/// Ids exist, untrusted text gives no special token, and a stream of tokens is the text of all of them.
inline void check_encoding(const model::Tokenizer& tokenizer, std::string_view text, model::Tokenizer::SpecialTokens special) {
  const auto ids = tokenizer.encode(text, special);
  if (!ids) return;  // an expression that gives up
  model::Detokenizer detokenizer(tokenizer, /*skip_special=*/false);
  std::string streamed;
  for (const model::TokenId id : *ids) {
    TROUPE_CHECK(0 <= id && id < tokenizer.vocabulary_size(), "tokens are in the vocabulary");
    TROUPE_CHECK(special == model::Tokenizer::SpecialTokens::recognise || !tokenizer.is_special(id), "text stays text");
    const std::string emitted = detokenizer.push(id);
    TROUPE_CHECK(!model::find_invalid_utf8(emitted), "emissions are whole characters");
    streamed += emitted;
  }
  streamed += detokenizer.finish();
  TROUPE_CHECK(streamed == tokenizer.decode(*ids, false), "streaming gives what decoding gives");
}

/// A tokenizer.json, and texts that it is tried on: ordinary ones, and some of the file itself.
inline void check_tokenizer(std::string_view json) {
  const auto tokenizer = model::Tokenizer::parse(json, "input");
  if (!tokenizer) return check_text_error(tokenizer.error(), "input: ");
  const std::string_view itself = json.substr(0, 512);
  for (const std::string_view text :
       {std::string_view("The 3 naïve\n\n  cats' <s> 12345 \u65E5\u672C e\u0301 <|im_end|>"), itself}) {
    if (model::find_invalid_utf8(text)) continue;
    check_encoding(*tokenizer, text, model::Tokenizer::SpecialTokens::recognise);
    check_encoding(*tokenizer, text, model::Tokenizer::SpecialTokens::as_text);
  }
}

/// A template, rendered with a conversation: the result is text within its bound, and its spans are in order and inside.
inline void check_chat_template(std::string_view source) {
  const auto chat_template = model::ChatTemplate::parse(source);
  if (!chat_template) return check_text_error(chat_template.error(), "chat template: ");
  const std::vector<model::ChatMessage> messages{
      {"system", " Be brief. "}, {"user", "Hi <|im_end|>"}, {"assistant", "<think>\nx\n</think>\n\nna\u00EFve"}, {"user", ""}};
  const std::vector<model::ChatVariable> variables{
      {"bos_token", std::string("<s>")}, {"enable_thinking", false}, {"n", std::int64_t{3}}};
  const auto chat = chat_template->render(messages, true, variables);
  if (!chat) return check_text_error(chat.error(), "chat template: ");
  TROUPE_CHECK(!model::find_invalid_utf8(chat->text), "a rendered chat is text");
  std::size_t end = 0;
  for (const auto& span : chat->from_messages) {
    TROUPE_CHECK(end <= span.begin && span.begin < span.end && span.end <= chat->text.size(), "spans ascend within the text");
    end = span.end;
  }
}

}  // namespace troupe::tests
