#include "model/tokenizer.hpp"

#include <algorithm>
#include <iterator>

#include "model/file.hpp"
#include "model/tokenizer_file.hpp"
#include "model/unicode_compose.hpp"
#include "model/utf8.hpp"

namespace troupe::model {

namespace {

AddedTokens pass_of(const std::vector<AddedToken>& added, bool normalized) {
  std::vector<AddedToken> chosen;
  std::copy_if(added.begin(), added.end(), std::back_inserter(chosen),
               [&](const auto& token) { return token.normalized == normalized; });
  return AddedTokens(chosen);
}

}  // namespace

struct Tokenizer::Work {
  std::vector<TokenId> tokens;
  std::vector<std::string_view> pieces;
  Bpe::Scratch scratch;
};

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& file) {
  TROUPE_TRY(const std::string json, read_file(file, tokenizer_bytes_max));
  return parse(json, file.string());
}

Result<Tokenizer> Tokenizer::parse(std::string_view json, std::string_view file_name) {
  TROUPE_TRY(TokenizerDefinition definition, parse_tokenizer_file(json, file_name));
  auto pre_tokenizer = PreTokenizer::compile(definition.split_expressions);
  if (!pre_tokenizer) return std::move(pre_tokenizer).error().within(std::string(file_name) + ": pre_tokenizer");
  return Tokenizer(std::move(definition), *std::move(pre_tokenizer));
}

Tokenizer::Tokenizer(TokenizerDefinition definition, PreTokenizer pre_tokenizer)
    : bpe_(std::move(definition.bpe)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      added_(std::move(definition.added)),
      passes_{pass_of(added_, false), pass_of(added_, true)},
      compose_(definition.compose),
      special_(static_cast<std::size_t>(bpe_.size()), false),
      text_prefix_(std::move(definition.text_prefix)) {
  for (const AddedToken& token : added_) special_[static_cast<std::size_t>(token.id)] = token.special;
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  const TextSpan all{0, text.size()};
  return encode(text, std::span(&all, special == SpecialTokens::as_text ? 1 : 0));
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, std::span<const TextSpan> untrusted) const {
  if (text.size() > text_bytes_max) {
    return Error{ErrorCode::too_large, "text of " + std::to_string(text.size()) + " bytes, at most " +
                                           std::to_string(text_bytes_max) + " are encoded at once"};
  }
  if (const auto offset = find_invalid_utf8(text)) {
    return Error{ErrorCode::invalid_argument,
                 "text is not valid UTF-8 at byte " + std::to_string(*offset) + " of " + std::to_string(text.size())};
  }
  Work work;
  TROUPE_TRY_DO(encode_segments(text, 0, {untrusted, 0}, work));
  return std::move(work.tokens);
}

Result<void> Tokenizer::encode_segments(std::string_view text, std::size_t pass, UntrustedText untrusted, Work& work) const {
  if (text.empty()) return {};
  if (pass == passes_.size()) return encode_segment(text, work);
  std::string composed;
  TextSpan all;
  if (pass == 1 && compose_) {
    composed = compose_canonically(text);
    // Bytes have moved: the segment is trusted as a whole or not at all.
    const bool is_untrusted = touches(untrusted.spans, untrusted.shift, untrusted.shift + text.size());
    text = composed;
    all = {0, text.size()};
    untrusted = {std::span(&all, is_untrusted ? 1 : 0), 0};
  }
  std::size_t position = 0;
  while (true) {
    const AddedTokens::Match match = passes_[pass].find(text, position, untrusted);
    const std::size_t end = match.length == 0 ? text.size() : match.offset;
    TROUPE_TRY_DO(
        encode_segments(text.substr(position, end - position), pass + 1, {untrusted.spans, untrusted.shift + position}, work));
    if (match.length == 0) return {};
    work.tokens.push_back(match.id);
    position = match.offset + match.length;
  }
}

Result<void> Tokenizer::encode_segment(std::string_view text, Work& work) const {
  work.pieces.clear();
  TROUPE_TRY_DO(pre_tokenizer_.split(text, work.pieces));
  for (const std::string_view piece : work.pieces) bpe_.encode(piece, work.scratch, work.tokens);
  return {};
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, bool skip_special) const {
  std::string bytes;
  for (const TokenId token : tokens) {
    if (!skip_special || !is_special(token)) bytes += bytes_of(token);
  }
  std::string text;
  take_utf8(bytes, text);
  if (!bytes.empty()) text += replacement_character;
  return text;
}

std::string_view Tokenizer::bytes_of(TokenId token) const {
  return token >= 0 && token < bpe_.size() ? bpe_.bytes_of(token) : std::string_view();
}

bool Tokenizer::is_special(TokenId token) const {
  return token >= 0 && token < bpe_.size() && special_[static_cast<std::size_t>(token)];
}

std::optional<TokenId> Tokenizer::id_of(std::string_view bytes) const {
  for (const AddedToken& token : added_) {
    if (token.content == bytes) return token.id;
  }
  return bpe_.find(bytes);
}

}  // namespace troupe::model
