#include "cli/prompts.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "bench/json_rows.hpp"
#include "model/file.hpp"
#include "model/json.hpp"

namespace troupe::cli {

namespace {

constexpr std::size_t input_bytes_max = std::size_t{64} << 20;
constexpr std::size_t prompts_max = 100'000;
constexpr std::size_t problems_max = 20;  // named

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
  std::map<std::string, int> lines;  // of ids
  std::string problems;
  std::size_t bad_lines = 0;
  const auto complain = [&](const std::string& problem) {
    if (++bad_lines <= problems_max) problems += (problems.empty() ? "" : "\n") + problem;
  };
  TROUPE_TRY_DO(bench::each_line(text, [&](std::string_view row, int line) -> Result<void> {
    if (prompts.size() >= prompts_max) {
      return Error{ErrorCode::too_large, name + " has more than " + std::to_string(prompts_max) + " prompts; split it"};
    }
    const std::string place = name + ":" + std::to_string(line);
    auto prompt = parse_line(row, place, std::to_string(prompts.size() + 1));
    if (!prompt) {
      complain(prompt.error().message);
      return {};
    }
    const auto [there, is_new] = lines.emplace(prompt->id, line);
    if (!is_new) complain(place + ": id \"" + prompt->id + "\" is that of line " + std::to_string(there->second) + " too");
    prompts.push_back(*std::move(prompt));
    return {};
  }));
  if (bad_lines > problems_max) problems += "\n... and " + std::to_string(bad_lines - problems_max) + " more lines";
  if (bad_lines > 0) return Error{ErrorCode::invalid_argument, problems};
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
