#include "model/chat_template.hpp"

#include <nlohmann/json.hpp>
#include <optional>

#include "model/file.hpp"
#include "model/json.hpp"
#include "model/template_interpreter.hpp"
#include "model/template_parser.hpp"
#include "model/utf8.hpp"

namespace troupe::model {

namespace {

constexpr std::size_t config_bytes_max = std::size_t{8} << 20;  // those of large vocabularies list every added token
constexpr std::size_t template_bytes_max = 65536;
constexpr const char* template_name = "chat_template.jinja";

// "bos_token": "<s>", or {"content": "<s>", ...}, or null.
Result<std::optional<std::string>> token_in(const JsonObject& config, std::string_view field) {
  const nlohmann::json* value = config.find(field);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_object()) {
    TROUPE_TRY(const auto text, config.string(field));
    return std::optional<std::string>(text);
  }
  TROUPE_TRY(const auto token, config.object(field));
  TROUPE_TRY(const auto text, token.string("content"));
  return std::optional<std::string>(text);
}

Result<std::string> template_source(const std::filesystem::path& folder, const JsonObject& config) {
  std::error_code ignored;
  if (const auto file = folder / template_name; std::filesystem::exists(file, ignored)) {
    return read_file(file, template_bytes_max);
  }
  if (!config.has("chat_template")) return config.unexpected("chat_template", "the model's chat template");
  TROUPE_TRY(const auto source, config.string("chat_template", template_bytes_max));
  return std::string(source);
}

TemplateValue value_of(const ChatVariable& variable) {
  if (const auto* text = std::get_if<std::string>(&variable.second)) return TemplateValue::text(*text);
  if (const auto* truth = std::get_if<bool>(&variable.second)) return *truth;
  return std::get<std::int64_t>(variable.second);
}

Result<TemplateValue> value_of(std::span<const ChatMessage> messages) {
  std::vector<TemplateValue> list;
  list.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    for (const auto& [name, text] : {std::pair("role", &message.role), std::pair("content", &message.content)}) {
      const auto offset = find_invalid_utf8(*text);
      if (!offset) continue;
      return Error{ErrorCode::invalid_argument, std::string(name) + " of message " + std::to_string(list.size() + 1) +
                                                    " is not valid UTF-8 at byte " + std::to_string(*offset) + " of " +
                                                    std::to_string(text->size())};
    }
    TemplateMap map;
    map.entries = {{"role", TemplateText(message.role, true)}, {"content", TemplateText(message.content, true)}};
    list.emplace_back(std::move(map));
  }
  return TemplateValue::list(std::move(list));
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  auto block = parse_template(source);
  if (!block) return std::move(block).error().within("chat template");
  return ChatTemplate(*std::move(block));
}

Result<ChatTemplate> ChatTemplate::load(const std::filesystem::path& model_folder) {
  const auto file = model_folder / "tokenizer_config.json";
  std::error_code ignored;
  const bool template_alone =
      !std::filesystem::exists(file, ignored) && std::filesystem::exists(model_folder / template_name, ignored);
  std::string text = "{}";
  if (!template_alone) {
    TROUPE_TRY(text, read_file(file, config_bytes_max));
  }
  TROUPE_TRY(const auto document, parse_json(text, file.string(), config_bytes_max));
  TROUPE_TRY(const auto config, JsonObject::of(document, file.string()));
  TROUPE_TRY(const std::string source, template_source(model_folder, config));
  auto result = parse(source);
  if (!result) return std::move(result).error().within(model_folder.string());
  for (const char* name : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    auto token = token_in(config, name);
    // That there is no template is `not_found`, and nothing else.
    if (!token) return Error{ErrorCode::invalid_argument, token.error().message};
    if (*token) result->defaults_.emplace_back(name, **std::move(token));
  }
  return result;
}

Result<RenderedChat> ChatTemplate::render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                                          std::span<const ChatVariable> variables) const {
  if (messages.size() > messages_max) {
    return Error{ErrorCode::too_large,
                 std::to_string(messages.size()) + " messages, at most " + std::to_string(messages_max) + " are rendered"};
  }
  TemplateVariables values;
  for (const char* name : {"tools", "documents"})
    values.emplace_back(name, TemplateValue());  // Hugging Face always defines them
  for (const ChatVariable& variable : defaults_) values.emplace_back(variable.first, value_of(variable));
  for (const ChatVariable& variable : variables) values.emplace_back(variable.first, value_of(variable));
  TROUPE_TRY(TemplateValue list, value_of(messages));
  values.emplace_back("messages", std::move(list));
  values.emplace_back("add_generation_prompt", add_generation_prompt);
  auto text = run_template(block_, std::move(values));
  if (!text) return std::move(text).error().within("chat template");
  return RenderedChat{std::move(text->bytes), std::move(text->from_messages)};
}

}  // namespace troupe::model
