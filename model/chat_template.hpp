// A conversation as the text that a model was trained to continue, written by the template that comes with the model: the
// Jinja of Hugging Face's tokenizer_config.json, with trim_blocks and lstrip_blocks (template_parser.hpp says how much of
// Jinja).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "model/template_syntax.hpp"
#include "model/text_span.hpp"

namespace troupe::model {

struct ChatMessage {
  std::string role;
  std::string content;
};

/// A variable besides `messages` and `add_generation_prompt`: bos_token, enable_thinking. Its text is trusted like the
/// template's own.
using ChatVariable = std::pair<std::string, std::variant<bool, std::int64_t, std::string>>;

struct RenderedChat {
  std::string text;
  /// Which bytes of `text` came out of roles and contents, or may have: give them to Tokenizer::encode() if messages must not
  /// be able to write special tokens. Text between two special tokens is encoded the same either way.
  std::vector<TextSpan> from_messages;
};

/// Immutable; any number of threads may render at once.
class ChatTemplate {
 public:
  static constexpr std::size_t messages_max = 65536;

  /// Everything that the template uses and is not supported is refused here, with its line.
  static Result<ChatTemplate> parse(std::string_view source);
  /// The template of a model's folder: chat_template.jinja if there is one, otherwise the field of tokenizer_config.json, whose
  /// bos_token and eos_token become variables. `not_found` if the model has none.
  static Result<ChatTemplate> load(const std::filesystem::path& model_folder);

  /// Errors name the template's line: `invalid_argument` if the template refuses the conversation or cannot handle it, or if a
  /// message is not UTF-8; `too_large` past rendered_bytes_max (template_interpreter.hpp) or the work that a rendering may do.
  Result<RenderedChat> render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                              std::span<const ChatVariable> variables = {}) const;

 private:
  explicit ChatTemplate(TemplateBlock block) : block_(std::move(block)) {}

  TemplateBlock block_;
  std::vector<ChatVariable> defaults_;
};

}  // namespace troupe::model
