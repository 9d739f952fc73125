#include "model/tokenizer_file.hpp"

#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "model/byte_level.hpp"
#include "model/json.hpp"
#include "model/unicode_compose.hpp"

namespace troupe::model {

namespace {

using Json = nlohmann::json;

constexpr std::size_t added_tokens_max = 65536;
constexpr std::size_t merges_max = std::size_t{1} << 22;
constexpr std::size_t steps_max = 16;  // of a pre-tokenizer, a post-processor, a template
constexpr std::size_t expression_bytes_max = 16384;

// What "use_regex" of a ByteLevel pre-tokenizer stands for: the expression of GPT-2.
constexpr std::string_view gpt2_expression = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

using Ids = std::unordered_map<std::string_view, TokenId>;  // by content as it stands in the file

Error unsupported(const JsonObject& object, std::string_view field, std::string_view expected) {
  return object.unexpected(field, expected, ErrorCode::unsupported);
}

Result<void> require_absent(const JsonObject& object, std::string_view field) {
  const Json* value = object.find(field);
  if (value == nullptr || (value->is_string() && value->get_ref<const std::string&>().empty())) return {};
  return unsupported(object, field, "null, all that is supported");
}

Result<void> require_boolean(const JsonObject& object, std::string_view field, bool fallback, bool expected) {
  TROUPE_TRY(const bool value, object.boolean_or(field, fallback));
  if (value == expected) return {};
  return unsupported(object, field, expected ? "true, all that is supported" : "false, all that is supported");
}

// The parts of a {"type": "Sequence", NAME: [...]}, or the object itself as the only part.
Result<std::vector<JsonObject>> parts_of(const JsonObject& object, std::string_view name) {
  std::vector<JsonObject> parts;
  TROUPE_TRY(const std::string_view type, object.string("type"));
  if (type != "Sequence") {
    parts.push_back(object);
    return parts;
  }
  TROUPE_TRY(const Json* list, object.array(name, steps_max));
  for (std::size_t i = 0; i < list->size(); ++i) {
    TROUPE_TRY(auto part, JsonObject::of((*list)[i], object.file(), object.path_of(name) + "[" + std::to_string(i) + "]"));
    parts.push_back(std::move(part));
  }
  return parts;
}

Result<void> read_added_tokens(const JsonObject& root, TokenizerDefinition& definition) {
  if (!root.has("added_tokens")) return {};
  TROUPE_TRY(const Json* list, root.array("added_tokens", added_tokens_max));
  std::unordered_set<std::string_view> contents;
  std::unordered_set<TokenId> ids;
  for (std::size_t i = 0; i < list->size(); ++i) {
    TROUPE_TRY(const auto entry, JsonObject::of((*list)[i], root.file(), "added_tokens[" + std::to_string(i) + "]"));
    for (const char* field : {"single_word", "lstrip", "rstrip"}) TROUPE_TRY_DO(require_boolean(entry, field, false, false));
    TROUPE_TRY(const auto id, entry.integer("id", 0, vocabulary_max - 1));
    TROUPE_TRY(const auto content, entry.string("content", token_bytes_max));
    TROUPE_TRY(const bool special, entry.boolean_or("special", false));
    TROUPE_TRY(const bool normalized, entry.boolean_or("normalized", !special));
    if (content.empty()) return entry.unexpected("content", "at least one character");
    if (!contents.insert(content).second)
      return entry.unexpected("content", "a text that is not added twice", ErrorCode::corrupt);
    if (!ids.insert(static_cast<TokenId>(id)).second)
      return entry.unexpected("id", "an id that is not added twice", ErrorCode::corrupt);
    definition.added.push_back({static_cast<TokenId>(id), std::string(content), special, normalized});
  }
  return {};
}

Result<void> read_normalizer(const JsonObject& root, TokenizerDefinition& definition) {
  if (!root.has("normalizer")) return {};
  TROUPE_TRY(const auto normalizer, root.object("normalizer"));
  TROUPE_TRY(const auto type, normalizer.string("type"));
  if (type != "NFC") return unsupported(normalizer, "type", "NFC or no normalizer, all that is supported");
  definition.compose = true;
  for (const AddedToken& added : definition.added) {
    if (!added.normalized || compose_canonically(added.content) == added.content) continue;
    return Error{ErrorCode::unsupported, root.file() + ": added token " + describe(Json(added.content)) +
                                             " is normalized but not in normalization form C, and so is never found"};
  }
  return {};
}

Result<void> read_pre_tokenizer(const JsonObject& root, TokenizerDefinition& definition) {
  TROUPE_TRY(const auto pre_tokenizer, root.object("pre_tokenizer"));
  TROUPE_TRY(const auto parts, parts_of(pre_tokenizer, "pretokenizers"));
  bool byte_level = false;
  for (const JsonObject& part : parts) {
    TROUPE_TRY(const auto type, part.string("type"));
    if (byte_level) return unsupported(part, "type", "nothing after ByteLevel");
    if (type == "Split") {
      TROUPE_TRY(const auto pattern, part.object("pattern"));
      if (!pattern.has("Regex")) return unsupported(part, "pattern", "an object with the field Regex, all that is supported");
      TROUPE_TRY(const auto expression, pattern.string("Regex", expression_bytes_max));
      TROUPE_TRY(const auto behavior, part.string("behavior"));
      if (behavior != "Isolated") return unsupported(part, "behavior", "Isolated, all that is supported");
      TROUPE_TRY_DO(require_boolean(part, "invert", false, false));
      definition.split_expressions.emplace_back(expression);
    } else if (type == "ByteLevel") {
      byte_level = true;
      TROUPE_TRY_DO(require_boolean(part, "add_prefix_space", true, false));
      TROUPE_TRY(const bool use_expression, part.boolean_or("use_regex", true));
      if (use_expression) definition.split_expressions.emplace_back(gpt2_expression);
    } else {
      return unsupported(part, "type", "Split or ByteLevel, all that is supported");
    }
  }
  if (!byte_level) return unsupported(root, "pre_tokenizer", "one that ends with ByteLevel");
  return {};
}

// Fills in the bytes of the vocabulary's tokens; `ids` then has the name of each, as a view of the document.
Result<void> read_vocabulary(const JsonObject& model, TokenizerDefinition& definition, Ids& ids) {
  TROUPE_TRY(const auto vocabulary, model.object("vocab"));
  const auto& entries = vocabulary.value().get_ref<const Json::object_t&>();
  TokenId last = -1;
  for (const AddedToken& added : definition.added) last = std::max(last, added.id);
  for (const auto& [name, value] : entries) {
    if (name.size() > token_bytes_max) {
      return Error{ErrorCode::too_large, vocabulary.file() + ": model.vocab has a token of " + std::to_string(name.size()) +
                                             " bytes, at most " + std::to_string(token_bytes_max) + " are accepted"};
    }
    TROUPE_TRY(const auto id, vocabulary.integer(name, 0, vocabulary_max - 1));
    ids.emplace(name, static_cast<TokenId>(id));
    last = std::max(last, static_cast<TokenId>(id));
  }

  auto& tokens = definition.bpe.tokens;
  const std::size_t named = entries.size() + definition.added.size();
  if (static_cast<std::size_t>(last) + 1 > named) {  // before anything of that size is allocated
    return Error{ErrorCode::corrupt, vocabulary.file() + ": model.vocab and added_tokens name " + std::to_string(named) +
                                         " tokens, but ids go up to " + std::to_string(last) +
                                         "; expected each id once, without gaps"};
  }
  tokens.resize(static_cast<std::size_t>(last) + 1);
  std::vector<bool> seen(tokens.size(), false);
  for (const auto& [name, id] : ids) {
    const auto index = static_cast<std::size_t>(id);
    if (seen[index]) return vocabulary.unexpected(name, "an id that no other token has", ErrorCode::corrupt);
    seen[index] = true;
    auto bytes = bytes_from_byte_level(name);
    // A name with characters from outside the alphabet stands for itself; no text is encoded with it.
    tokens[index].mergeable = bytes.has_value() && !bytes->empty();
    tokens[index].bytes = bytes ? *std::move(bytes) : std::string(name);
  }
  for (const AddedToken& added : definition.added) {
    const auto index = static_cast<std::size_t>(added.id);
    const auto place = ids.find(added.content);
    if (place == ids.end() ? seen[index] : place->second != added.id) {
      return Error{ErrorCode::corrupt,
                   vocabulary.file() + ": added token " + describe(Json(added.content)) + " has id " +
                       std::to_string(added.id) + ", but model.vocab gives " +
                       (seen[index] ? "that id to another token" : "it id " + std::to_string(place->second))};
    }
    seen[index] = true;
    tokens[index] = {added.content, place != ids.end() && !added.special && tokens[index].mergeable};
  }
  for (std::size_t index = 0; index < seen.size(); ++index) {
    if (!seen[index])
      return Error{ErrorCode::corrupt, vocabulary.file() + ": no token has id " + std::to_string(index) + ", expected no gaps"};
  }
  return {};
}

Result<void> read_byte_tokens(const JsonObject& model, TokenizerDefinition& definition, const Ids& ids) {
  for (unsigned byte = 0; byte < definition.bpe.byte_tokens.size(); ++byte) {
    const std::string name = byte_level_from_bytes(std::string(1, static_cast<char>(byte)));
    const auto place = ids.find(name);
    if (place == ids.end() || !definition.bpe.tokens[static_cast<std::size_t>(place->second)].mergeable) {
      return Error{ErrorCode::unsupported, model.file() + ": model.vocab has no ordinary token \"" + name + "\" for byte " +
                                               std::to_string(byte) + "; expected one for every byte (byte-level BPE)"};
    }
    definition.bpe.byte_tokens[byte] = place->second;
  }
  return {};
}

// ["a", "b"] or "a b".
bool split_merge(const Json& value, std::string_view& left, std::string_view& right) {
  if (value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_string()) {
    left = value[0].get_ref<const std::string&>();
    right = value[1].get_ref<const std::string&>();
    return true;
  }
  if (!value.is_string()) return false;
  const std::string_view text = value.get_ref<const std::string&>();
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) return false;
  left = text.substr(0, space);
  right = text.substr(space + 1);
  return true;
}

Result<void> read_merges(const JsonObject& model, TokenizerDefinition& definition, const Ids& ids) {
  TROUPE_TRY(const Json* list, model.array("merges", merges_max));
  definition.bpe.merges.reserve(list->size());
  std::unordered_set<std::uint64_t> pairs;
  pairs.reserve(list->size());
  std::string joined;
  for (std::size_t rank = 0; rank < list->size(); ++rank) {
    const Json& value = (*list)[rank];
    const auto wrong = [&](ErrorCode code, std::string_view what) {
      const std::string shown =
          value.is_array() && value.size() == 2 ? "[" + describe(value[0]) + ", " + describe(value[1]) + "]" : describe(value);
      return Error{code, model.file() + ": model.merges[" + std::to_string(rank) + "] is " + shown + ", " + std::string(what)};
    };
    std::string_view left;
    std::string_view right;
    if (!split_merge(value, left, right)) return wrong(ErrorCode::invalid_argument, "expected two tokens");
    joined.assign(left).append(right);
    BpeMerge merge{};
    for (const auto& [name, id] :
         {std::pair(left, &merge.left), std::pair(right, &merge.right), std::pair(std::string_view(joined), &merge.result)}) {
      const auto place = ids.find(name);
      if (place == ids.end())
        return wrong(ErrorCode::corrupt, "but model.vocab has no token " + describe(Json(std::string(name))));
      if (!definition.bpe.tokens[static_cast<std::size_t>(place->second)].mergeable) {
        return wrong(ErrorCode::unsupported, "but " + describe(Json(std::string(name))) + " is special or not byte-level text");
      }
      *id = place->second;
    }
    const std::uint64_t pair =
        std::uint64_t{static_cast<std::uint32_t>(merge.left)} << 32 | static_cast<std::uint32_t>(merge.right);
    if (!pairs.insert(pair).second) return wrong(ErrorCode::corrupt, "which an earlier merge is already");
    definition.bpe.merges.push_back(merge);
  }
  return {};
}

Result<void> read_model(const JsonObject& root, TokenizerDefinition& definition) {
  TROUPE_TRY(const auto model, root.object("model"));
  TROUPE_TRY(const auto type, model.string_or("type", "BPE"));
  if (type != "BPE") return unsupported(model, "type", "BPE, all that is supported");
  for (const char* field : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"})
    TROUPE_TRY_DO(require_absent(model, field));
  TROUPE_TRY_DO(require_boolean(model, "byte_fallback", false, false));
  TROUPE_TRY(definition.bpe.ignore_merges, model.boolean_or("ignore_merges", false));
  Ids ids;
  TROUPE_TRY_DO(read_vocabulary(model, definition, ids));
  TROUPE_TRY_DO(read_byte_tokens(model, definition, ids));
  return read_merges(model, definition, ids);
}

// {"SpecialToken": {"id": "<|begin_of_text|>"}} ... {"Sequence": {"id": "A"}}
Result<void> read_template(const JsonObject& part, TokenizerDefinition& definition) {
  TROUPE_TRY(const Json* single, part.array("single", steps_max));
  bool text_seen = false;
  for (std::size_t i = 0; i < single->size(); ++i) {
    TROUPE_TRY(const auto step,
               JsonObject::of((*single)[i], part.file(), part.path_of("single") + "[" + std::to_string(i) + "]"));
    if (text_seen) return unsupported(part, "single", "nothing after the text");
    if (step.has("Sequence")) {
      text_seen = true;
      continue;
    }
    TROUPE_TRY(const auto token, step.object("SpecialToken"));
    TROUPE_TRY(const auto content, token.string("id"));
    const AddedToken* found = nullptr;
    for (const AddedToken& added : definition.added) found = added.content == content ? &added : found;
    if (found == nullptr) return token.unexpected("id", "one of added_tokens", ErrorCode::corrupt);
    definition.text_prefix.push_back(found->id);
  }
  if (!text_seen) return part.unexpected("single", "a list that contains the text (Sequence)");
  return {};
}

Result<void> read_post_processor(const JsonObject& root, TokenizerDefinition& definition) {
  if (!root.has("post_processor")) return {};
  TROUPE_TRY(const auto processor, root.object("post_processor"));
  TROUPE_TRY(const auto parts, parts_of(processor, "processors"));
  bool template_seen = false;
  for (const JsonObject& part : parts) {
    TROUPE_TRY(const auto type, part.string("type"));
    if (type == "ByteLevel") continue;  // it only trims offsets, which nothing here reports
    if (type != "TemplateProcessing" || template_seen) {
      return unsupported(part, "type", "ByteLevel or one TemplateProcessing, all that is supported");
    }
    template_seen = true;
    TROUPE_TRY_DO(read_template(part, definition));
  }
  return {};
}

}  // namespace

Result<TokenizerDefinition> parse_tokenizer_file(std::string_view json, std::string_view file) {
  TROUPE_TRY(const Json document, parse_json(json, file, tokenizer_bytes_max));
  TROUPE_TRY(const auto root, JsonObject::of(document, file));
  TROUPE_TRY(const auto version, root.string_or("version", "1.0"));
  if (version != "1.0") return unsupported(root, "version", "\"1.0\", all that is supported");
  for (const char* field : {"truncation", "padding"}) TROUPE_TRY_DO(require_absent(root, field));
  TROUPE_TRY(const auto decoder, root.object("decoder"));
  TROUPE_TRY(const auto decoder_type, decoder.string("type"));
  if (decoder_type != "ByteLevel") return unsupported(decoder, "type", "ByteLevel, all that is supported");

  TokenizerDefinition definition;
  TROUPE_TRY_DO(read_added_tokens(root, definition));
  TROUPE_TRY_DO(read_normalizer(root, definition));
  TROUPE_TRY_DO(read_pre_tokenizer(root, definition));
  TROUPE_TRY_DO(read_model(root, definition));
  TROUPE_TRY_DO(read_post_processor(root, definition));
  return definition;
}

}  // namespace troupe::model
