// What `troupe generate` was asked to answer: prompts from arguments, files, the standard input or JSON lines.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "model/chat_template.hpp"
#include "model/model.hpp"

namespace troupe::cli {

struct Prompt {
  std::string id;                            ///< shown beside the answer
  std::vector<model::ChatMessage> messages;  ///< a chat, or
  std::string text;                          ///< a raw text to continue, if there are no messages
};

struct PromptSources {
  std::vector<std::string> texts;  ///< arguments; "-" stands for the standard input
  std::vector<std::string> files;  ///< each file is one prompt
  std::string json_lines;  ///< a file of {"id", "messages": [{"role", "content"}]} or {"id", "prompt"}; "-": standard input
  std::string system;      ///< system message of prompts that are not JSON
  bool raw = false;        ///< continue the text as it is, without a chat template
};

/// All prompts in order. Errors name the file and line.
Result<std::vector<Prompt>> read_prompts(const PromptSources& sources);

/// The tokens that the model sees. A chat is rendered by the model's template; an error says which prompt is meant.
Result<std::vector<model::TokenId>> tokens_of(const Prompt& prompt, const model::Model& model);

}  // namespace troupe::cli
