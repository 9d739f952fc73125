#include "cli/prompts.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "model/file.hpp"
#include "model/json.hpp"

namespace troupe::cli {

namespace {

constexpr std::size_t input_bytes_max = std::size_t{64} << 20;
constexpr std::size_t prompts_max = 100'000;

Result<std::string> read_input(const std::string& name) {
  if (name == "-") return model::read_file("/dev/stdin", input_bytes_max);
  return model::read_file(name, input_bytes_max);
}

Prompt plain_prompt(std::string id, std::string text, const PromptSources& sources) {
  Prompt prompt{std::move(id), {}, {}};
  if (sources.raw) {
    prompt.text = std::move(text);
    return prompt;
  }
  if (!sources.system.empty()) prompt.messages.push_back({"system", sources.system});
  prompt.messages.push_back({"user", std::move(text)});
  return prompt;
}

Result<Prompt> parse_line(std::string_view line, const std::string& where, std::string id) {
  TROUPE_TRY(const nlohmann::json json, model::parse_json(line, where, input_bytes_max));
  TROUPE_TRY(const auto object, model::JsonObject::of(json, where));
  TROUPE_TRY(const std::string_view given, object.string_or("id", id));
  Prompt prompt{std::string(given), {}, {}};
  if (object.has("prompt") == object.has("messages")) {
    return Error{ErrorCode::invalid_argument, where + ": expected either \"prompt\" (a text) or \"messages\" (a chat)"};
  }
  if (object.has("prompt")) {
    TROUPE_TRY(const std::string_view text, object.string("prompt", input_bytes_max));
    prompt.text = text;
    return prompt;
  }
  TROUPE_TRY(const nlohmann::json* messages, object.array("messages", 10'000));
  for (std::size_t i = 0; i < messages->size(); ++i) {
    TROUPE_TRY(const auto message, model::JsonObject::of((*messages)[i], where, "messages[" + std::to_string(i) + "]"));
    TROUPE_TRY(const std::string_view role, message.string("role"));
    TROUPE_TRY(const std::string_view content, message.string("content", input_bytes_max));
    prompt.messages.push_back({std::string(role), std::string(content)});
  }
  if (prompt.messages.empty()) return Error{ErrorCode::invalid_argument, where + ": \"messages\" is empty"};
  return prompt;
}

Result<void> read_json_lines(const std::string& name, std::vector<Prompt>& prompts) {
  TROUPE_TRY(const std::string text, read_input(name));
  std::size_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const auto line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (prompts.size() >= prompts_max) {
      return Error{ErrorCode::too_large, name + " has more than " + std::to_string(prompts_max) + " prompts; split it"};
    }
    TROUPE_TRY(Prompt prompt, parse_line(line, name + ":" + std::to_string(line_number), std::to_string(prompts.size() + 1)));
    prompts.push_back(std::move(prompt));
  }
  return {};
}

}  // namespace

Result<std::vector<Prompt>> read_prompts(const PromptSources& sources) {
  std::vector<Prompt> prompts;
  for (const std::string& given : sources.texts) {
    std::string text = given;
    if (given == "-") {
      TROUPE_TRY(text, read_input("-"));
    }
    prompts.push_back(plain_prompt(std::to_string(prompts.size() + 1), std::move(text), sources));
  }
  for (const std::string& file : sources.files) {
    TROUPE_TRY(std::string text, read_input(file));
    prompts.push_back(plain_prompt(file, std::move(text), sources));
  }
  if (!sources.json_lines.empty()) TROUPE_TRY_DO(read_json_lines(sources.json_lines, prompts));
  if (prompts.empty()) {
    return Error{ErrorCode::invalid_argument,
                 "there is no prompt: give one as an argument, with --file, with --input, or \"-\" for the standard input"};
  }
  return prompts;
}

Result<std::vector<model::TokenId>> tokens_of(const Prompt& prompt, const model::Model& model) {
  const auto encode = [&]() -> Result<std::vector<model::TokenId>> {
    if (prompt.messages.empty()) {
      TROUPE_TRY(auto tokens, model.tokenizer->encode(prompt.text));
      const auto prefix = model.tokenizer->text_prefix();
      tokens.insert(tokens.begin(), prefix.begin(), prefix.end());
      return tokens;
    }
    if (!model.chat_template) {
      return Error{ErrorCode::unsupported, "the model has no chat template; use --raw, or write its prompt format yourself"};
    }
    TROUPE_TRY(const auto chat, model.chat_template->render(prompt.messages, /*add_generation_prompt=*/true));
    // What a message says is never taken for a special token, so that it cannot pretend to be another message.
    return model.tokenizer->encode(chat.text, chat.from_messages);
  };
  auto tokens = encode();
  if (!tokens) return std::move(tokens).error().within("prompt " + prompt.id);
  return tokens;
}

}  // namespace troupe::cli
